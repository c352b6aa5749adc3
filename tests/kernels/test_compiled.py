"""The compiled code itself, for a GPU that need not be there, and what reads it."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from crystal.kernels import compiled
from crystal.kernels.disassembly import Anatomy, hot_loop, narrow_strides, read_sass
from crystal.kernels.shipped import Stream

PROGRAM = """
import dataclasses, json
from crystal.kernels import compiled
jobs = [job for job in compiled.jobs(["token_stats"]) if job[2] == "sm_90"]
rows = [compiled.build(job) for job in jobs if compiled.name(job) == "bfloat16, all, large vocabulary"]
print(json.dumps([dataclasses.asdict(row) | {"per_logit": row.per_logit} for row in rows]))
"""


def test_the_largest_kernel_compiles_and_holds_to_the_bar(tmp_path):
    """In another process: this one has TRITON_INTERPRET set, and a decorated kernel cannot do both."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    state, finish = json.loads(done.stdout)
    assert (state["kernel"], finish["kernel"]) == ("state_kernel", "finish_kernel")
    assert (state["misses"], finish["misses"]) == ([], [])
    assert 10.0 < state["per_logit"] <= 18.5


GOOD = Anatomy(
    registers=40,
    spills=0,
    stack=0,
    shared=32,
    instructions=300,
    loop=128,
    rest=60,
    loads=("LDG.E.128", "LDG.E.128"),
    exchanges=0,
    stores=6,
    loop_stores=0,
    atomics=0,
    narrow_strides=(),
)
STREAM = Stream(logits=16, bytes=32, limits={"sm_90": 8.0}, rest=4)


def test_good_code_misses_nothing():
    assert compiled.misses(GOOD, STREAM, "sm_90") == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spills": 2}, "2 spills"),
        ({"stack": 8}, "8 bytes of stack"),
        ({"atomics": 1}, "1 atomic"),
        ({"narrow_strides": ("stride_time",)}, "32-bit products of stride_time"),
        ({"loop": 0}, "no loop that loads 128 bits"),
        ({"loads": ("LDG.E.128", "LDG.E.U16")}, "narrow hot loads: LDG.E.U16"),
        ({"loads": ("LDG.E.128",) * 3}, "3 hot loads, 2 would read each logit once"),
        ({"exchanges": 1}, "1 barriers or exchanges"),
        ({"loop_stores": 1}, "1 stores in loops"),
        ({"stores": 17}, "17 stores"),
        ({"loop": 129}, "8.06 instructions a logit"),
        ({"rest": 400}, "rows that are not aligned"),
    ],
)
def test_each_flaw_is_named(change, said):
    found = compiled.misses(dataclasses.replace(GOOD, **change), STREAM, "sm_90")
    assert len(found) == 1
    assert said in found[0]


def test_only_spills_scratch_and_atomics_are_asked_of_amd_and_of_kernels_that_do_not_stream():
    bare = dataclasses.replace(GOOD, loop=0, loads=())
    assert compiled.misses(bare, STREAM, "gfx942") == ()
    assert compiled.misses(bare, None, "sm_90") == ()
    assert compiled.misses(dataclasses.replace(bare, stack=4), None, "gfx942") != ()


SASS = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_2:
        /*0010*/                   LDG.E.128 R4, [R2.64] ;
.L_x_1:
        /*0020*/                   FADD R0, R0, R4 ;
        /*0030*/               @P1 BRA `(.L_x_1) ;
        /*0040*/               @P0 BRA `(.L_x_2) ;
        /*0050*/                   STG.E [R8.64], R0 ;
        /*0060*/                   EXIT ;
.L_x_3:
        /*0070*/                   BRA `(.L_x_3);
"""


def test_the_loop_is_the_longest_with_wide_loads_and_padding_is_none():
    instructions, loops = read_sass(SASS)
    assert len(instructions) == 8
    assert loops == [(2, 4), (1, 5)]
    assert hot_loop(instructions, loops) == (1, 5)
    assert hot_loop(instructions, loops, "LDG.E.64") == (0, 0)


def test_a_stride_in_a_product_of_32_bits_is_found():
    names = ("logits", "stride_time")
    load = "ld.param.b32 \t%r4, [state_kernel_param_1];\n"
    assert narrow_strides(load + "mul.lo.s32 \t%r5, %r4, %r1;", names) == ("stride_time",)
    assert narrow_strides(load + "mul.wide.s32 \t%rd5, %r4, %r1;", names) == ()
    assert narrow_strides(load + "mul.lo.s32 \t%r5, %r40, %r1;", names) == ()
