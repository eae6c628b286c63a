"""What embedding takes of a stored run, measured anew: its model is put together again, nothing is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness.durable import Waiting, hold
from harness.errors import InputError
from harness.execute.efficiency import efficiency
from harness.execute.outcome import Workspace
from harness.execute.provenance import hardware
from harness.execute.restore import restore
from harness.store import Result, Store


def remeasure(fingerprint: str, workspace: Workspace, store: Store, folder: Path) -> Result:
    """Return a stored run's result with what embedding takes here and now; nothing is stored.

    Args:
        folder: of registry.yaml.

    Raises:
        HarnessError: as `harness.execute.restore.restore`; or an image is gone.
    """
    restored = restore(fingerprint, workspace, store, folder)
    split = restored.dataset.split("test", restored.spec.limit)
    model = restored.model
    found = efficiency(model.image, model.text, restored.dataset, split, workspace.device)
    return replace(restored.result, cost={**restored.result.cost, **found})


def keep(measured: Result, workspace: Workspace, store: Store, waiting: Waiting) -> None:
    """Store what `remeasure` returned.

    Raises:
        InputError: if the run was made on other hardware, which its row names beside these speeds.
    """
    here = hardware(workspace.device, workspace.threads, workspace.devices)
    there = measured.provenance["hardware"]
    if here != there:
        raise InputError(
            f"run {measured.fingerprint} was made on {there}, and this is {here}",
            hint="A row names one machine: measure there, or run it again here with --force.",
        )
    with hold(store.home, measured.fingerprint, waiting):
        store.update(replace(store.result(measured.fingerprint), cost=measured.cost))
