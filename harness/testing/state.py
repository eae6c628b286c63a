"""Global state that no component may touch: it is everybody's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How a piece of global state is read, and written back."""

    read: Callable[[], Any]
    write: Callable[[Any], Any]


def settings() -> Mapping[str, Setting]:
    """Return what is watched, by a name to read."""
    import os
    import random

    import numpy as np
    import torch

    return {
        "torch's default dtype": Setting(read=torch.get_default_dtype, write=torch.set_default_dtype),
        "torch's default device": Setting(
            read=torch.get_default_device,
            # Unset, and not set to what it is by default: every call of torch would be looked at from then on.
            write=lambda device: torch.set_default_device(None if device.type == "cpu" else device),
        ),
        "gradient mode": Setting(read=torch.is_grad_enabled, write=torch.set_grad_enabled),
        "number of threads": Setting(read=torch.get_num_threads, write=torch.set_num_threads),
        "deterministic algorithms": Setting(
            read=torch.are_deterministic_algorithms_enabled, write=torch.use_deterministic_algorithms
        ),
        "precision of matrix products": Setting(
            read=torch.get_float32_matmul_precision, write=torch.set_float32_matmul_precision
        ),
        "Python's random state": Setting(read=random.getstate, write=random.setstate),
        "numpy's random state": Setting(read=_numpy_state, write=np.random.set_state),
        "numpy's error handling": Setting(read=np.geterr, write=lambda modes: np.seterr(**modes)),
        "working folder": Setting(read=os.getcwd, write=os.chdir),
    }


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Leave global state as it is found, torch's random state included."""
    import torch

    watched = settings()
    before = {name: setting.read() for name, setting in watched.items()}
    random = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(random)
        for name, setting in watched.items():
            if setting.read() != before[name]:
                setting.write(before[name])


def touched(call: Callable[[], object]) -> list[tuple[str, str]]:
    """Call twice, from different seeds; return what it changed, each with what it became.

    To draw from torch's global random state is fine, as the harness seeds it and stores it with a checkpoint; to seed
    it is not, and neither is to draw from those of numpy and Python, which nobody seeds or stores.
    """
    import torch

    found: dict[str, str] = {}
    ends = []
    for seed in (1, 2):
        with preserved():
            torch.manual_seed(seed)
            watched = settings()
            before = {name: setting.read() for name, setting in watched.items()}
            call()
            for name, setting in watched.items():
                after = setting.read()
                if after != before[name]:
                    found[name] = "drawn from or seeded" if "random" in name else f"{after}"
            ends.append(torch.get_rng_state())
    if torch.equal(*ends):
        found["torch's random state"] = "seeded: it is the same after two different ones"
    return list(found.items())


def _numpy_state() -> tuple[Any, ...]:
    import numpy as np

    name, keys, *rest = np.random.get_state(legacy=True)
    return (name, tuple(keys), *rest)
