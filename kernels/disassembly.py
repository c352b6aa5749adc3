"""Take compiled kernels apart: registers, spills, the hot loop, and what it loads, exchanges and stores.

NVIDIA code is read as SASS by the disassembler that Triton's wheel brings, AMD code as the assembly that
Triton keeps.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import triton

from .ahead_of_time import Built

_EXCHANGE = re.compile(r"\b(?:BAR|SHFL|STS|LDS|REDUX|WARPSYNC)\b")


@dataclass(frozen=True, slots=True)
class Anatomy:
    """What a compiled kernel is made of; counts are of instructions.

    `loop` is the streaming loop over whole tiles, with its `loads` and `exchanges` between threads; `rest` is
    the longest other loop that loads. On AMD loops are not looked for.
    """

    registers: int
    spills: int
    stack: int
    shared: int
    instructions: int
    loop: int
    rest: int
    loads: tuple[str, ...]
    exchanges: int
    stores: int
    loop_stores: int
    atomics: int
    narrow_strides: tuple[str, ...]


def take_apart(built: Built) -> Anatomy:
    """Return the anatomy of a compiled launch."""
    return _nvidia(built) if "cubin" in built.code else _amd(built)


def _amd(built: Built) -> Anatomy:
    text = built.code["amdgcn"]

    def value(name: str) -> int:
        found = re.search(rf"\.{name}:\s+(\d+)", text)
        return int(found.group(1)) if found else 0

    instructions = re.findall(r"^\s+((?:s|v|ds|global|flat|buffer|scratch)_\w+)", text, re.MULTILINE)
    return Anatomy(
        registers=value("vgpr_count"),
        spills=value("vgpr_spill_count") + value("sgpr_spill_count"),
        stack=value("private_segment_fixed_size"),
        shared=built.shared,
        instructions=len(instructions),
        loop=0,
        rest=0,
        loads=(),
        exchanges=0,
        stores=sum("_store" in name for name in instructions if not name.startswith("ds_")),
        loop_stores=0,
        atomics=sum("_atomic" in name for name in instructions),
        narrow_strides=(),
    )


def disassemble(built: Built) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the instructions of NVIDIA code, and each loop as the range of its instructions."""
    return read_sass(_tool("nvdisasm", built, "-c"))


def _nvidia(built: Built) -> Anatomy:
    usage = _tool("cuobjdump", built, "-res-usage")
    instructions, loops = disassemble(built)
    hot = hot_loop(instructions, loops)
    body = instructions[slice(*hot)]
    others = [instructions[begin:end] for begin, end in loops if (begin, end) != hot]
    loading = [len(other) for other in others if any("LDG" in code for code in other)]
    in_loops = {i for begin, end in loops for i in range(begin, end)}
    stores = [i for i, code in enumerate(instructions) if re.search(r"\bSTG\b", code)]
    return Anatomy(
        registers=_number(r"REG:(\d+)", usage),
        spills=sum(bool(re.search(r"\b(?:STL|LDL)\b", code)) for code in instructions),
        stack=_number(r"STACK:(\d+)", usage),
        shared=built.shared,
        instructions=len(instructions),
        loop=len(body),
        rest=max(loading, default=0),
        loads=tuple(m.group(1) for code in body if (m := re.search(r"\b(LDG\S*)", code))),
        exchanges=sum(bool(_EXCHANGE.search(code)) for code in body),
        stores=len(stores),
        loop_stores=sum(i in in_loops for i in stores),
        atomics=len(re.findall(r"\b(?:atom|red)\.", built.code["ptx"])),
        narrow_strides=narrow_strides(built.code["ptx"], built.parameters),
    )


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"cuobjdump said nothing of {pattern}:\n{text}")
    return int(found.group(1))


def _tool(name: str, built: Built, option: str) -> str:
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / name
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(built.code["cubin"])
        file.flush()
        return subprocess.run(  # noqa: S603
            [str(tool), option, file.name], capture_output=True, text=True, check=True
        ).stdout


def read_sass(sass: str) -> tuple[list[str], list[tuple[int, int]]]:
    """Return the instructions, and each loop (a branch backwards) as the range of its instructions."""
    instructions: list[str] = []
    labels: dict[str, int] = {}
    loops: list[tuple[int, int]] = []
    for line in sass.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label.group(1)] = len(instructions)
        elif code := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            instructions.append(code.group(1))
            jump = re.search(r"\bBRA\b.*?(\.L_x_\d+)", code.group(1))
            # The branch to itself behind the last instruction is padding, not a loop.
            if jump and labels.get(jump.group(1), len(instructions)) < len(instructions) - 1:
                loops.append((labels[jump.group(1)], len(instructions)))
    return instructions, loops


def hot_loop(
    instructions: list[str], loops: list[tuple[int, int]], load: str = "LDG.E.128"
) -> tuple[int, int]:
    """Return the loop over whole tiles: of the loops with that load, the longest; (0, 0) if there is none."""
    streaming = [loop for loop in loops if any(load in code for code in instructions[slice(*loop)])]
    return max(streaming, key=lambda loop: loop[1] - loop[0], default=(0, 0))


def narrow_strides(ptx: str, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """Return the parameters named stride_* that enter a product of 32 bits: it overflows in large tensors."""
    found = []
    for index, name in enumerate(parameters):
        if not name.startswith("stride"):
            continue
        registers = set(re.findall(rf"ld\.param\.\w+\s+(%\w+),\s*\[\w+_param_{index}\]", ptx))
        products = re.findall(r"\b(?:mul|mad)\.lo\.[su]32\s+([^;]+);", ptx)
        if any(registers & set(re.findall(r"%\w+", product)) for product in products):
            found.append(name)
    return tuple(found)
