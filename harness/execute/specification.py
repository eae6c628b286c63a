"""The specification of a stored run, read back as it was planned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError, StoreError
from harness.execute.stored import imported
from harness.plan import Part, RunSpec
from harness.plan.files import files_of
from harness.plan.records import PRECISION
from harness.registry import Stage
from harness.store import Result


def spec_of(result: Result, folder: Path) -> RunSpec:
    """Return the specification of a stored run.

    Raises:
        InputError: if it was imported and has no model.
        StoreError: if another version wrote it, or a file that its parameters name is another now.
        RegistryError: if such a file is missing.
    """
    stored = result.spec
    if imported(stored):
        raise InputError(
            f"run {result.fingerprint} was imported ({stored['method']}): its model is not here",
            hint="harness show and harness compare work from its ranks.",
        )

    def part(kept: Mapping[str, Any]) -> Part:
        files = files_of(kept["params"], folder)
        for value, digest in kept.get("files", {}).items():
            if value not in files or files[value].sha256 != digest:
                raise StoreError(
                    f"{value} is not the file that run {result.fingerprint} was made with (sha256 {digest})",
                    hint="Put that file back, or run it again.",
                )
        return Part(**{**kept, "files": files})

    try:
        losses = tuple(
            (part({key: value for key, value in entry.items() if key != "weight"}), entry["weight"])
            for entry in stored["losses"]
        )
        spec = RunSpec(
            dataset=part(stored["dataset"]),
            protocol=stored["protocol"],
            image=part(stored["image"]),
            text=part(stored["text"]),
            losses=losses,
            stage=stage_of(stored["stage"]),
            dim=stored["dim"],
            seed=stored["seed"],
            limit=stored["limit"],
            parent=stored["parent"],
            precision=stored.get("precision", PRECISION),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _foreign(result.fingerprint, str(error)) from error
    if spec.fingerprint != result.fingerprint:
        raise _foreign(result.fingerprint, f"the same specification is {spec.fingerprint} now")
    return spec


def stage_of(stored: Mapping[str, Any]) -> Stage:
    """Return a stage as it was before it became JSON: a loss's parameters stand beside its weight again.

    Raises:
        ValueError: if it has unknown fields or wrong values.
    """
    from pydantic import ValidationError

    fields = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
    settings = fields.pop("settings", {})
    fields["losses"] = {
        name: {"weight": weight, **settings[name]} if name in settings else weight
        for name, weight in stored["losses"].items()
    }
    try:
        return Stage.model_validate(fields)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ValueError(f"its stage: {'; '.join(faults)}") from error


def _foreign(fingerprint: str, why: str) -> StoreError:
    return StoreError(
        f"run {fingerprint} was stored by another version of the harness ({why})", hint="Run it again."
    )
