"""Compile the shipped kernels ahead of time, without a GPU, and read registers, spills and the hot loop.

Run in a process of its own: a process that has set TRITON_INTERPRET cannot compile.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from .token_finish import finish_kernel
from .token_launch import Block, block_for, flags
from .token_stats import state_kernel

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
DTYPES = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
_STATE_TYPES = (
    {"tokens": "*i64", "chosen_logits": "*fp32", "floats": "*fp32", "counts": "*i32", "scale": "fp32"}
    | dict.fromkeys(("vocab", "split", "time", "rows", "ignored_id", "first_id"), "i32")
    | dict.fromkeys(("stride_batch", "stride_time"), "i64")
)
_FINISH_TYPES = {
    "floats": "*fp32",
    "counts": "*i32",
    "results": "*fp32",
    "places": "*i32",
    "rows": "i32",
    "splits": "i32",
    "temperature": "fp32",
    "scale": "fp32",
}


@dataclass(frozen=True, slots=True)
class Compiled:
    """What one compiled kernel is made of; `loop` is the streaming loop over whole tiles."""

    kernel: str
    target: str
    dtype: str
    level: str
    registers: int
    spills: int
    stack: int
    loop: int
    per_logit: float
    loads: tuple[str, ...]
    exchanges: int
    atomics: int
    wide_offsets: bool


def compile_state(dtype: str, level: str, target: str, block: Block | None = None) -> Compiled:
    """Compile the streaming kernel for a dtype (a key of DTYPES), a level and a target, and take it apart."""
    block = block or block_for(1 << 17, dtype)
    standard, everything = flags(level)
    constants = {"J": block.runs, "R": block.lanes, "K": block.rest, "GIVEN": False}
    constants |= {"STANDARD": standard, "ALL": everything}
    types = {"logits": "*" + DTYPES[dtype]} | _STATE_TYPES
    built = _compile(state_kernel, types, constants, target, block.warps)
    width = 4 if dtype == "float32" else 8
    return _take_apart(built, "state", target, dtype, level, block.runs * width)


def compile_finish(level: str, target: str) -> Compiled:
    """Compile the kernel that merges splits and writes the results."""
    standard, everything = flags(level)
    constants = {"ROWS": 128, "STANDARD": standard, "ALL": everything}
    built = _compile(finish_kernel, _FINISH_TYPES, constants, target, 4)
    return _take_apart(built, "finish", target, "float32", level, 0)


def _compile(
    kernel: object, types: dict[str, str], constants: Mapping[str, object], target: str, warps: int
) -> object:
    names = kernel.arg_names  # type: ignore[attr-defined]
    source = ASTSource(
        fn=kernel,
        signature={name: types.get(name, "constexpr") for name in names},
        constexprs={(i,): constants[name] for i, name in enumerate(names) if name in constants},
        attrs={},
    )
    # Fusing multiply and add is on by default in some versions of Triton only, so it is named.
    options = {"num_warps": warps, "enable_fp_fusion": True}
    return triton.compile(source, target=TARGETS[target], options=options)


def _take_apart(built: object, kernel: str, target: str, dtype: str, level: str, logits: int) -> Compiled:
    code = built.asm  # type: ignore[attr-defined]
    if target.startswith("gfx"):
        text = code["amdgcn"]

        def value(name: str) -> int:
            found = re.search(rf"\.{name}:\s+(\d+)", text)
            return int(found.group(1)) if found else 0

        spills = value("vgpr_spill_count") + value("sgpr_spill_count")
        scratch = value("private_segment_fixed_size")
        atomics = len(re.findall(r"\b(?:global|flat|buffer)_atomic", text))
        return Compiled(
            kernel, target, dtype, level, value("vgpr_count"), spills, scratch, 0, 0.0, (), 0, atomics, True
        )
    tools = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code["cubin"])
        file.flush()
        usage = _run(tools / "cuobjdump", "-res-usage", file.name)
        sass = _run(tools / "nvdisasm", "-c", file.name)
    body = hot_loop(sass)
    loads = tuple(m.group(1) for line in body if (m := re.search(r"\b(LDG\S*)", line)))
    return Compiled(
        kernel=kernel,
        target=target,
        dtype=dtype,
        level=level,
        registers=int(re.search(r"REG:(\d+)", usage).group(1)),  # type: ignore[union-attr]
        spills=len(re.findall(r"\b(?:STL|LDL)\b", sass)),
        stack=int(re.search(r"STACK:(\d+)", usage).group(1)),  # type: ignore[union-attr]
        loop=len(body),
        per_logit=len(body) / logits if logits else 0.0,
        loads=loads,
        exchanges=sum(bool(re.search(r"\b(?:BAR|SHFL|STS|LDS)\b", line)) for line in body),
        atomics=len(re.findall(r"\b(?:atom|red)\.", code["ptx"])),
        wide_offsets=bool(re.search(r"\b(?:mul\.lo\.s64|mad\.lo\.s64|mul\.wide\.)", code["ptx"])),
    )


def _run(tool: Path, *arguments: str) -> str:
    return subprocess.run([str(tool), *arguments], capture_output=True, text=True, check=True).stdout  # noqa: S603


def hot_loop(sass: str) -> list[str]:
    """Return the instructions of the loop over whole tiles: of the loops with 128-bit loads, the longest."""
    instructions: list[str] = []
    labels: dict[str, int] = {}
    loops: list[list[str]] = []
    for line in sass.splitlines():
        if label := re.match(r"\s*(\.L_x_\d+):", line):
            labels[label.group(1)] = len(instructions)
        elif code := re.match(r"\s*/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            instructions.append(code.group(1))
            jump = re.search(r"\bBRA\b.*?(\.L_x_\d+)", code.group(1))
            if jump and jump.group(1) in labels:
                loops.append(instructions[labels[jump.group(1)] :])
    streaming = [loop for loop in loops if any("LDG.E.128" in line for line in loop)]
    return max(streaming, key=len, default=[])


def as_dict(compiled: Compiled) -> dict[str, object]:
    """Return the fields by name, for JSON."""
    return asdict(compiled)
