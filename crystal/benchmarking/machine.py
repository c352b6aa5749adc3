"""The machine card: what a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

from crystal.ops import threads

_PACKAGES = ("numpy", "pyarrow", "scipy", "scikit-learn", "duckdb", "polars", "fastcluster", "torch")


def card() -> dict[str, str]:
    """Return what the machine is, how busy it is now, and the versions of what is compared.

    Examples
    --------
    >>> list(card())[:3]
    ['crystal', 'processor', 'cores']
    """
    import crystal

    load = ", ".join(f"{x:.1f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    found = {
        "crystal": crystal.__version__,
        "processor": _processor(),
        "cores": str(threads.available()),
        "load": f"{load} (over 1, 5 and 15 minutes, as it began)",
        "memory": _memory(),
        "system": f"{platform.system()}, {platform.machine()}",
        "python": platform.python_version(),
        "threads": os.environ.get("CRYSTAL_THREADS", "all"),
    }
    return found | {name: version for name in _PACKAGES if (version := version_of(name)) is not None}


def version_of(package: str) -> str | None:
    """Return the version of an installed package, None if there is none."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def peak_memory() -> int | None:
    """Return the most memory that the process has held, in bytes; None if unknown."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return None


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of those that it started and waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    except (AttributeError, ValueError, OSError):
        return "unknown"
