"""The compiled code itself, for a GPU that need not be there: registers, loads, instructions a logit."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import json
from crystal.kernels import ahead_of_time as aot
built = [aot.compile_state(d, level, "sm_90") for d, level in {chosen}]
built.append(aot.compile_finish("all", "sm_90"))
print(json.dumps([aot.as_dict(b) for b in built]))
"""
LIMITS = {"core": 9.0, "standard": 15.0, "all": 18.5}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """In another process: this one has TRITON_INTERPRET set, and a decorated kernel cannot do both."""
    chosen = [("bfloat16", "core"), ("bfloat16", "standard"), ("bfloat16", "all"), ("float32", "core")]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(chosen=chosen)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_spills_and_nothing_is_atomic(compiled):
    for kernel in compiled:
        assert (kernel["spills"], kernel["stack"], kernel["atomics"]) == (0, 0, 0), kernel
        assert kernel["wide_offsets"], kernel


def test_the_streaming_loop_reads_128_bits_at_once_and_exchanges_nothing(compiled):
    for kernel in compiled[:-1]:
        assert kernel["loads"], kernel
        assert all(load.startswith("LDG.E.128") for load in kernel["loads"]), kernel
        # Each logit once: as many loads as the tile has runs of 16 bytes for one lane.
        assert len(kernel["loads"]) == (4 if kernel["dtype"] == "float32" else 2), kernel
        assert kernel["exchanges"] == 0, kernel


def test_instructions_per_bf16_logit_stay_in_the_budget(compiled):
    for kernel in compiled[:3]:
        assert 4.0 < kernel["per_logit"] <= LIMITS[kernel["level"]], kernel
