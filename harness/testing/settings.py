"""Global settings of Python and of libraries that a plugin may come to change: how each is read and written back."""

from __future__ import annotations

import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.data.folder import umask

ADVICE = (
    "seeds (manual_seed, numpy's and Python's random), set_default_dtype and its like, torch.backends, autocast, "
    "os.environ, os.chdir, os.umask, sys.path, sys.excepthook, handlers of signals, filters of warnings, "
    "locale, logging.basicConfig, flags of Pillow"
)
"""Where to look when one of them has changed."""
UNTOUCHED = "nothing global is changed: seeds, defaults of torch, environment, filters, folders"
"""What must hold."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a piece of global state is read, and written back.

    Attributes:
        told: what to say of a change, given what was before and what is now.
    """

    read: Callable[[], Any]
    write: Callable[[Any], Any]
    told: Callable[[Any, Any], str] = lambda before, after: f"{after}"


def settings() -> Mapping[str, Setting]:
    """Return what is watched, by a name to read."""
    return {**_of_torch(), **_of_random_states(), **_of_python()}


def _of_torch() -> Mapping[str, Setting]:
    import torch

    return {
        "torch's default dtype": Setting(read=torch.get_default_dtype, write=torch.set_default_dtype),
        "torch's default device": Setting(
            read=torch.get_default_device,
            # Unset, and not set to what it is by default: every call of torch would be looked at from then on.
            write=lambda device: torch.set_default_device(None if device.type == "cpu" else device),
        ),
        "gradient mode": Setting(read=torch.is_grad_enabled, write=torch.set_grad_enabled),
        "autocast": Setting(read=_autocast, write=_set_autocast, told=_keys),
        "anomaly detection": Setting(read=torch.is_anomaly_enabled, write=torch.set_anomaly_enabled),
        "number of threads": Setting(read=torch.get_num_threads, write=torch.set_num_threads),
        "deterministic algorithms": Setting(
            read=torch.get_deterministic_debug_mode, write=torch.set_deterministic_debug_mode
        ),
        "precision of float32 (TF32)": Setting(read=_precision, write=_set_precision, told=_keys),
        "precision of CUDA's sums": _flags(
            torch.backends.cuda.matmul,
            "allow_fp16_reduced_precision_reduction",
            "allow_bf16_reduced_precision_reduction",
            "allow_fp16_accumulation",
        ),
        "flags of cuDNN": _flags(torch.backends.cudnn, "enabled", "benchmark", "deterministic"),
        "flags of oneDNN": _flags(torch.backends.mkldnn, "enabled", "deterministic"),
        "kernels of attention": Setting(read=_attention, write=_set_attention, told=_keys),
        # Nothing tells it but what becomes of one.
        "denormal numbers flushed to 0": Setting(
            read=lambda: sys.float_info.min / 2 == 0, write=torch.set_flush_denormal
        ),
        "sharing of tensors among processes": Setting(
            read=torch.multiprocessing.get_sharing_strategy, write=torch.multiprocessing.set_sharing_strategy
        ),
    }


def _of_random_states() -> Mapping[str, Setting]:
    import numpy as np

    def drawn(before: object, after: object) -> str:
        return "drawn from or seeded"

    return {
        "Python's random state": Setting(read=random.getstate, write=random.setstate, told=drawn),
        "numpy's random state": Setting(read=_numpy_state, write=np.random.set_state, told=drawn),
    }


def _of_python() -> Mapping[str, Setting]:
    import numpy as np
    from PIL import Image, ImageFile

    return {
        "numpy's error handling": Setting(read=np.geterr, write=lambda modes: np.seterr(**modes), told=_keys),
        "working folder": Setting(read=os.getcwd, write=os.chdir),
        "environment variables": Setting(read=lambda: dict(os.environ), write=_set_environment, told=_keys),
        "sys.path": Setting(read=lambda: list(sys.path), write=_set_path, told=_places),
        "handlers of signals": Setting(read=_handlers, write=_set_handlers, told=_keys),
        "hook of uncaught exceptions": Setting(
            read=lambda: sys.excepthook, write=lambda hook: setattr(sys, "excepthook", hook)
        ),
        "mode bits of new files (umask)": Setting(
            read=umask, write=os.umask, told=lambda _, after: f"{after:#o}"
        ),
        "filters of warnings": Setting(read=lambda: list(warnings.filters), write=_set_filters, told=_places),
        "locale": Setting(
            read=lambda: locale.setlocale(locale.LC_ALL),
            write=lambda name: locale.setlocale(locale.LC_ALL, name),
        ),
        "the root logger": Setting(read=_logging, write=_set_logging, told=_keys),
        "garbage collection": Setting(
            read=gc.isenabled, write=lambda enabled: gc.enable() if enabled else gc.disable()
        ),
        "limit of recursion": Setting(read=sys.getrecursionlimit, write=sys.setrecursionlimit),
        "how processes are started": Setting(
            read=lambda: multiprocessing.get_start_method(allow_none=True),
            write=lambda method: multiprocessing.set_start_method(method, force=True),
        ),
        "Pillow's limit of pixels": Setting(
            read=lambda: Image.MAX_IMAGE_PIXELS, write=lambda most: setattr(Image, "MAX_IMAGE_PIXELS", most)
        ),
        "Pillow's refusal of truncated images": Setting(
            read=lambda: not ImageFile.LOAD_TRUNCATED_IMAGES,
            write=lambda refused: setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", not refused),
        ),
    }


def _keys(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> str:
    """Name what differs; not its values, which may be secret."""
    moved = [f"{key}" for key in {**before, **after} if before.get(key, _keys) != after.get(key, _keys)]
    return f"other ones: {', '.join(moved[:5])}"


def _places(before: list[Any], after: list[Any]) -> str:
    more, less = (
        [each for each in one if each not in other] for one, other in ((after, before), (before, after))
    )
    told = [f"{word} {part[0]!r:.80}" for word, part in (("with", more), ("without", less)) if part]
    return f"another list: {' and '.join(told) or 'in another order'}"


def _numpy_state() -> tuple[Any, ...]:
    import numpy as np

    name, keys, *rest = np.random.get_state(legacy=True)
    return (name, tuple(keys), *rest)


def _precisions() -> Iterator[tuple[str, Any]]:
    """Yield where torch keeps what float32 may be rounded to, by name."""
    import torch

    for library, parts in (
        ("cuda", ("matmul",)),
        ("cudnn", ("conv", "rnn")),
        ("mkldnn", ("matmul", "conv", "rnn")),
    ):
        for part in parts:
            yield f"{library}.{part}", getattr(getattr(torch.backends, library), part)


def _precision() -> dict[str, Any]:
    """Read both of torch's interfaces: the older one raises once the newer one was written to."""
    import torch

    found = {name: place.fp32_precision for name, place in _precisions()}
    older: Mapping[str, Callable[[], Any]] = {
        "get_float32_matmul_precision()": torch.get_float32_matmul_precision,
        "cudnn.allow_tf32": lambda: torch.backends.cudnn.allow_tf32,
    }
    for name, read in older.items():
        try:
            found[name] = read()
        except RuntimeError:
            found[name] = None
    return found


def _set_precision(before: Mapping[str, Any]) -> None:
    import torch

    # The older interface writes through to the newer one, so it comes first.
    if before["get_float32_matmul_precision()"] is not None:
        torch.set_float32_matmul_precision(before["get_float32_matmul_precision()"])
    if before["cudnn.allow_tf32"] is not None:
        torch.backends.cudnn.allow_tf32 = before["cudnn.allow_tf32"]
    for name, place in _precisions():
        place.fp32_precision = before[name]


def _flags(place: object, *names: str) -> Setting:
    """Return the setting of several attributes of a module."""

    def write(before: Mapping[str, Any]) -> None:
        for name, value in before.items():
            setattr(place, name, value)

    return Setting(read=lambda: {name: getattr(place, name) for name in names}, write=write, told=_keys)


def _autocast() -> dict[str, Any]:
    import torch

    return {
        device: (torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)) for device in _DEVICES
    }


def _set_autocast(before: Mapping[str, Any]) -> None:
    import torch

    for device, (enabled, dtype) in before.items():
        torch.set_autocast_enabled(device, enabled)
        torch.set_autocast_dtype(device, dtype)


_DEVICES = ("cpu", "cuda")


def _attention() -> dict[str, bool]:
    from torch.backends import cuda

    found = {
        name: getattr(cuda, f"{name}_sdp_enabled")() for name in ("flash", "mem_efficient", "math", "cudnn")
    }
    return {**found, "fp16_bf16_reduction_math": cuda.fp16_bf16_reduction_math_sdp_allowed()}  # type: ignore[no-untyped-call]


def _set_attention(before: Mapping[str, bool]) -> None:
    from torch.backends import cuda

    cuda.enable_flash_sdp(before["flash"])
    cuda.enable_mem_efficient_sdp(before["mem_efficient"])
    cuda.enable_math_sdp(before["math"])
    cuda.enable_cudnn_sdp(before["cudnn"])
    cuda.allow_fp16_bf16_reduction_math_sdp(before["fp16_bf16_reduction_math"])


def _set_environment(before: Mapping[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _set_path(before: list[str]) -> None:
    sys.path[:] = before


def _handlers() -> dict[str, Any]:
    return {
        each.name: signal.getsignal(each)
        for each in signal.valid_signals()
        if isinstance(each, signal.Signals)
    }


def _set_handlers(before: Mapping[str, Any]) -> None:
    for name, handler in before.items():
        number = signal.Signals[name]
        # None: one that was installed by C, which Python can neither call nor install again.
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _set_filters(before: list[Any]) -> None:
    warnings.resetwarnings()  # which also forgets what was decided by the filters of before
    warnings.filters[:] = before  # type: ignore[index]


def _logging() -> dict[str, Any]:
    return {"level": logging.root.level, "handlers": list(logging.root.handlers)}


def _set_logging(before: Mapping[str, Any]) -> None:
    logging.root.setLevel(before["level"])
    logging.root.handlers[:] = before["handlers"]
