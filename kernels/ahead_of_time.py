"""Compile launches of kernels ahead of time, for GPUs that need not be there.

A launch is recorded on tensors without memory and compiled from what was recorded, by Triton's own rules for
types, constants and alignment: the code that is looked at is the code that runs. Needs a process in which
TRITON_INTERPRET is not set, as a decorated kernel cannot do both.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, make_backend
from triton.runtime.jit import JITFunction, create_function_from_signature

TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}


@dataclass(frozen=True, slots=True)
class Launch:
    """One call ``kernel[grid](*arguments, **options)``."""

    kernel: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The kernel's name."""
        return str(self.kernel.__name__)


@dataclass(frozen=True, slots=True)
class Built:
    """A compiled launch: `code` has ``ptx`` and ``cubin``, or ``amdgcn``; `parameters` are names in order."""

    code: dict[str, Any]
    parameters: tuple[str, ...]
    shared: int


def record(launch: Callable[[], object]) -> list[Launch]:
    """Return what `launch` launches, in order; nothing runs. Give it tensors on the device ``meta``."""
    launches: list[Launch] = []

    def run(kernel: Any, *arguments: Any, **options: Any) -> None:
        plain = {name: value for name, value in options.items() if name not in ("grid", "warmup")}
        launches.append(Launch(kernel, arguments, plain))

    original = JITFunction.run
    JITFunction.run = run
    try:
        launch()
    finally:
        JITFunction.run = original
    return launches


def bind(launch: Launch, target: str) -> tuple[Any, dict[str, str], dict[Any, Any], dict[Any, Any]]:
    """Return Triton's options, types, constants and attributes for a launch: all that its code depends on."""
    kernel, backend = launch.kernel, make_backend(TARGETS[target])
    binder = create_function_from_signature(kernel.signature, kernel.params, backend)
    bound, specialization, extra = binder(*launch.arguments, **launch.options)
    packed = kernel._pack_args(backend, dict(launch.options), bound, specialization, extra)
    options, types, constants, attributes = packed
    return options, types, constants, attributes


def compile_launch(launch: Launch, target: str) -> Built:
    """Compile a recorded launch for one of TARGETS, as it would be compiled on that GPU."""
    options, types, constants, attributes = bind(launch, target)
    source = ASTSource(fn=launch.kernel, signature=types, constexprs=constants, attrs=attributes)
    with warnings.catch_warnings():
        # Whether multiply and add are fused is said at each launch; the notice of its default is not for us.
        warnings.filterwarnings("ignore", message="TRITON_DEFAULT_FP_FUSION")
        built = triton.compile(source, target=TARGETS[target], options=options.__dict__)
    names = tuple(name for name, kind in types.items() if kind != "constexpr")
    return Built(dict(built.asm), names, int(built.metadata.shared))
