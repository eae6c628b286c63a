"""What two stored runs were made of, as far as it differs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

ABSENT = "–"
CLOSED = "none: solved in closed form"
"""What 0 epochs of a stage mean; its one look at val counts as an epoch in figures and tables."""
_ROLES = ("dataset", "image", "text")
_IGNORED = ("title", "name", "files", "losses", "settings", "seed")
"""Names, and in a stage what the losses of the run say already."""


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return what two specifications differ in, beside the seed: the key, and both values as text.

    Another component in a role is one difference, whatever its parameters are; a loss that one lacks, its weight.
    """
    one, other = dict(_told(a, b)), dict(_told(b, a))
    keys = dict.fromkeys([*one, *other])
    pairs = [(key, one.get(key, ABSENT), other.get(key, ABSENT)) for key in keys]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _told(spec: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield keys and values of a specification, in so much detail as it takes beside the other one."""
    for role in _ROLES:
        mine, theirs = spec.get(role, {}), other.get(role, {})
        yield role, str(mine.get("use", ABSENT))
        if mine.get("use") == theirs.get("use"):
            yield from _flat(mine, role)
    losses, rivals = (
        {loss["name"]: loss for loss in each.get("losses", ()) if isinstance(loss, Mapping)}
        for each in (spec, other)
    )
    for name, loss in losses.items():
        yield f"loss {name}", f"weight {loss.get('weight')}"
        if name in rivals:
            yield from _flat({key: value for key, value in loss.items() if key != "weight"}, f"loss {name}")
    rest = {key: value for key, value in spec.items() if key not in (*_ROLES, "losses", "stage", "protocol")}
    yield from _flat(rest, "")
    yield from _flat(spec.get("stage", {}), "stage")


def _flat(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield key, value if isinstance(value, str) else json.dumps(value)
        return
    for name, item in value.items():
        if name not in _IGNORED:
            below = name if name != "params" else ""
            if key == "stage" and name == "epochs" and item == 0:
                item = CLOSED
            yield from _flat(item, " ".join(part for part in (key, below) if part))
