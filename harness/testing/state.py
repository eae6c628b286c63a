"""Global state that no component may touch: it is everybody's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.testing.settings import settings


@dataclass(frozen=True, kw_only=True)
class Touched:
    """What a component changed.

    Attributes:
        name: of the piece of global state.
        became: what it became.
        sample: what the component was asked when it did.
    """

    name: str
    became: str
    sample: str


@contextlib.contextmanager
def preserved() -> Iterator[None]:
    """Leave global state as it is found, torch's random states included."""
    watched = settings()
    before = {name: setting.read() for name, setting in watched.items()}
    random = _random()
    try:
        yield
    finally:
        _set_random(random)
        for name, setting in watched.items():
            if setting.read() != before[name]:
                setting.write(before[name])


def touched(steps: Callable[[], Iterator[str]]) -> list[Touched]:
    """Take all steps twice, from different seeds; return what they changed.

    To draw from torch's global random state is fine, as the harness seeds it and stores it with a checkpoint; to seed
    it is not, and neither is to draw from those of numpy and Python, which nobody seeds or stores.

    Args:
        steps: takes one step after the other; before each it yields what the component is asked in it.
    """
    import torch

    found: dict[str, Touched] = {}
    states: list[list[tuple[str, Any]]] = []
    for seed in (1, 2):
        with preserved():
            torch.manual_seed(seed)
            states.append(list(_watched(steps(), found)))
    for name in ("torch's random state", "CUDA's random states"):
        # Seeds that differ leave other states, until somebody seeds.
        alike = (
            sample
            for (sample, one), (_, other) in zip(*states, strict=False)
            if name in one and _equal(one[name], other[name])
        )
        if sample := next(alike, ""):
            found.setdefault(
                name,
                Touched(name=name, became="seeded: it is the same after two different ones", sample=sample),
            )
    return list(found.values())


def _watched(steps: Iterator[str], found: dict[str, Touched]) -> Iterator[tuple[str, Any]]:
    """Take the steps and note what each changed; yield its sample and the random states after it."""
    watched = settings()
    before = {name: setting.read() for name, setting in watched.items()}
    sample = next(steps, None)
    while sample is not None:
        following = next(steps, None)
        for name, setting in watched.items():
            after = setting.read()
            if after != before[name]:
                became = setting.told(before[name], after)
                found.setdefault(name, Touched(name=name, became=became, sample=sample))
                before[name] = after
        yield sample, _random()
        sample = following


def _random() -> dict[str, Any]:
    """Read torch's random states: that of the CPU, and those of CUDA's devices once there are any in use."""
    import torch

    found: dict[str, Any] = {"torch's random state": [torch.get_rng_state()]}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        found["CUDA's random states"] = torch.cuda.get_rng_state_all()
    return found


def _set_random(before: dict[str, Any]) -> None:
    import torch

    torch.set_rng_state(before["torch's random state"][0])
    if "CUDA's random states" in before:
        torch.cuda.set_rng_state_all(before["CUDA's random states"])


def _equal(one: list[Any], other: list[Any]) -> bool:
    import torch

    return all(map(torch.equal, one, other))
