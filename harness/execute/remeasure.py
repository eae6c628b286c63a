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
from harness.execute.stored import imported
from harness.plan.fingerprint import digest
from harness.store import Result, Store


def remeasure(
    fingerprint: str, workspace: Workspace, store: Store, folder: Path, known: dict[str, dict[str, float]]
) -> Result:
    """Return a stored run's result with what embedding takes here and now; nothing is stored.

    Args:
        folder: of registry.yaml.
        known: what was measured before, by encoders: weights alone make none faster, so that runs with the same
            encoders on the same images get the same figures. What is measured now is put into it.

    Raises:
        HarnessError: as `harness.execute.restore.restore`; or an image is gone.
    """
    store.checked(fingerprint, "result.json")
    result = store.result(fingerprint)
    if imported(result.spec):
        raise InputError(f"run {fingerprint} was imported ({result.spec['method']}): its model is not here")
    key = digest([result.passport, *(result.spec[name] for name in ("image", "text", "dim", "limit"))])
    if key not in known:
        restored = restore(fingerprint, workspace, store, folder)
        split = restored.dataset.split("test", restored.spec.limit)
        model = restored.model
        known[key] = efficiency(model.image, model.text, restored.dataset, split, workspace.device)
    return replace(result, cost={**result.cost, **known[key]})


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
