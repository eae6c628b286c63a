"""Which stored run a person means."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.store import Store


def find_run(store: Store, text: str) -> str:
    """Return the fingerprint that begins with `text`.

    Raises:
        InputError: if there is none, or more than one.
    """
    from harness.errors import InputError, nearest

    known = store.fingerprints()
    found = [fingerprint for fingerprint in known if fingerprint.startswith(text)]
    if len(found) != 1:
        what = "no run" if not found else f"{len(found)} runs"
        hint = "" if known else "The store is empty; fill it with: harness run"
        raise InputError(f"{what} {text!r} in {store.home}{nearest(text, found or known[:20])}", hint=hint)
    return found[0]
