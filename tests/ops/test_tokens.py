"""The public door: kinds in and out, fields, backends, and what it refuses."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch

import crystal
from crystal.errors import SettingsError
from crystal.kernels.token_fields import RESULTS

LOGITS = np.array([[2.0, 1.0, 1.0], [0.0, 0.0, 0.0]], np.float32) * np.float32(math.log(2))


def test_values_by_hand_and_numpy_out():
    got = crystal.token_stats(LOGITS, [2, -100], backend="torch")
    assert isinstance(got.entropy, np.ndarray)
    assert got.entropy.dtype == np.float32
    assert got.argmax.dtype == np.int64
    assert got.entropy[0] == pytest.approx(1.5 * math.log(2), abs=1e-6)
    assert got.logprob[0] == pytest.approx(-2 * math.log(2), abs=1e-6)
    assert (got.n_greater[0], got.n_equal[0], got.argmax[0]) == (1, 2, 0)
    assert got.status.tolist() == [0, 4]
    assert math.isnan(got.entropy[1])


def test_torch_in_torch_out_in_the_shape_of_the_ids():
    logits = torch.from_numpy(LOGITS).expand(4, 2, 3)
    got = crystal.token_stats(logits, torch.zeros(4, 2, dtype=torch.int32))
    for field in fields(got):
        value = getattr(got, field.name)
        assert isinstance(value, torch.Tensor)
        assert value.shape == (4, 2)


def test_float64_logits_are_computed_in_float64():
    logits = torch.randn(3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    got = crystal.token_stats(logits, [1, 2, 3])
    want = torch.distributions.Categorical(logits=logits).entropy()
    assert got.entropy.dtype == torch.float64
    assert (got.entropy - want).abs().max() < 1e-13


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_bits_in_numpy_equal_the_tensor(dtype):
    logits = (torch.randn(3, 50, generator=torch.Generator().manual_seed(1)) * 4).to(dtype)
    want = crystal.token_stats(logits, [1, 2, 3])
    if dtype == torch.bfloat16:
        got = crystal.token_stats(logits.view(torch.uint16).numpy(), [1, 2, 3], dtype="bfloat16")
    else:
        got = crystal.token_stats(logits.numpy(), [1, 2, 3])
    for name in RESULTS:
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name).numpy())


def test_read_only_memory_is_read():
    logits = LOGITS.copy()
    logits.flags.writeable = False
    assert crystal.token_stats(logits, [0, 0]).status.tolist() == [0, 0]


def test_gradients_are_not_followed():
    logits = torch.from_numpy(LOGITS.copy()).requires_grad_()
    assert not crystal.token_stats(logits, [0, 0]).entropy.requires_grad


def test_metrics_select_fields():
    got = crystal.token_stats(LOGITS, [0, 0], metrics=["entropy", "collision"])
    present = {field.name for field in fields(got) if getattr(got, field.name) is not None}
    assert present == {"entropy", "collision", "status"}
    for wrong in (["perplexity"], "entropy"):
        with pytest.raises(SettingsError, match="metrics: unknown names"):
            crystal.token_stats(LOGITS, [0, 0], metrics=wrong)


def test_arrow_takes_the_result():
    pa = pytest.importorskip("pyarrow")
    table = pa.table(crystal.token_stats(torch.from_numpy(LOGITS)[None], [[0, -100]], metrics=["entropy"]))
    assert table.column_names == ["status", "entropy"]
    assert table["status"].to_pylist() == [0, 4]


def test_unknown_backends_are_refused():
    with pytest.raises(SettingsError, match="backend: unknown"):
        crystal.token_stats(LOGITS, [0, 0], backend="cuda")


PROGRAM = """
import sys
import crystal
import crystal.kernels
from crystal.errors import SettingsError
assert not {"torch", "triton", "numpy"} & set(sys.modules)
import torch
rows = torch.linspace(-3, 3, 14).reshape(2, 7)
try:
    got = crystal.token_stats(rows, [1, 6], backend="triton")
    want = crystal.token_stats(rows, [1, 6], backend="torch")
    close = (got.entropy - want.entropy).abs().max().item() < 3e-6
    print("ran", close, got.n_greater.tolist(), got.entropy.dtype)
    crystal.token_stats(rows.double(), [1, 6], backend="triton")
except SettingsError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("interpret", "says"),
    [
        ("0", "got logits on the CPU"),
        ("1", "ran True [5, 0] torch.float32\nlogits: triton does not read float64"),
    ],
)
def test_triton_takes_cpu_memory_only_in_the_interpreter(interpret, says):
    pytest.importorskip("triton")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "TRITON_INTERPRET": interpret},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert says in done.stdout
