"""The contract of any component, by its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.catalog import Catalog
from harness.errors import HarnessError
from harness.specs import Kind
from harness.testing import closed
from harness.testing.adversaries import ADVERSARIES, Adversary
from harness.testing.check import check_evaluator
from harness.testing.contract import Check, quiet
from harness.testing.datasets import DATASET_CHECKS, check_dataset
from harness.testing.encoders import ENCODER_CHECKS, check_encoder
from harness.testing.losses import LOSS_CHECKS, check_loss
from harness.testing.state import preserved
from harness.testing.violation import Violation

CONTRACTS: Mapping[str, Mapping[str, Check[Any] | Adversary]] = {
    "dataset": DATASET_CHECKS,
    "encoder": ENCODER_CHECKS,
    "loss": LOSS_CHECKS,
    "loss in closed form": closed.CHECKS,
    "evaluator": ADVERSARIES,
}
"""Kind -> name -> check."""

_CHECKS: Mapping[Kind, Any] = {
    "dataset": check_dataset,
    "encoder": check_encoder,
    "loss": check_loss,
    "evaluator": check_evaluator,
}


def check_component(
    kind: Kind, name: str, *, params: Mapping[str, Any] | None = None, catalog: Catalog | None = None
) -> list[Violation]:
    """Hold an installed component to the contract of its kind.

    Args:
        params: as registry.yaml would give them; the `sample` of its declaration by default.
        catalog: where the name is looked up; what is installed by default.

    Returns:
        What is wrong, nothing if all is well. One that cannot be built is a violation, too.

    Raises:
        InputError: if there is no such component.
    """
    catalog = Catalog.load() if catalog is None else catalog
    spec = catalog.find(kind, name).spec
    try:
        with preserved(), quiet():
            found: list[Violation] = _CHECKS[kind](
                name, params=spec.sample if params is None else params, catalog=catalog
            )
    except HarnessError as error:
        return [
            Violation(
                kind=kind,
                name=name,
                check="build",
                sample="",
                expected="to be built with the parameters of its 'sample'"
                if params is None
                else "to be built",
                found=f"{type(error).__name__}: {' '.join(str(error).split())}",
                where=f"the {type(spec).__name__} of {name!r}, and {spec.target}",
            )
        ]
    return found
