"""The contract of a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.catalog import Catalog
from harness.protocols import ClosedFormLoss, Loss
from harness.testing import closed, loss_checks
from harness.testing.contract import Check, run_checks
from harness.testing.loss_checks import Subject
from harness.testing.making import made
from harness.testing.samples import CAPTIONS, features, remember
from harness.testing.settings import ADVICE, UNTOUCHED
from harness.testing.violation import Violation


def check_loss(
    loss: str | Loss | ClosedFormLoss,
    *,
    params: Mapping[str, Any] | None = None,
    dim: int = 16,
    classes: int = 24,
    catalog: Catalog | None = None,
) -> list[Violation]:
    """Hold a loss to its contract: `LOSS_CHECKS`, or `closed.CHECKS` if it is one in closed form.

    Args:
        loss: the name of an installed one, or a live module, which is copied.
        params: parameters of an installed one, as registry.yaml would give them; the `sample` of its declaration
            by default.
        dim: size of the embeddings, which a live one may have been made for.
        classes: number of training images, at least 8, which a live one may have been made for.
        catalog: where the name is looked up; what is installed by default.

    Returns:
        What is wrong, nothing if all is well.

    Raises:
        InputError: if there is no such loss, its parameters do not fit, or a live one comes with parameters.
        PluginError: if the plugin cannot be imported.
        RunError: if it cannot be built.
    """
    values = {
        "dim": dim,
        "classes": classes,
        "captions": CAPTIONS,
        "seed": 0,
        "train_features": lambda: features(classes),
        "remember": remember,
    }
    how = made("loss", loss, params=params, catalog=catalog, values=values)
    if isinstance(how.make(0), ClosedFormLoss):
        return run_checks("loss", how.name, closed.CHECKS, closed.Subject(made=how, dim=dim))
    return run_checks("loss", how.name, LOSS_CHECKS, Subject(made=how, dim=dim, classes=classes))


LOSS_CHECKS: Mapping[str, Check[Subject]] = {
    "scalar": Check(
        summary="a finite scalar with finite gradients, of ordinary and of odd batches",
        where="divisions and logarithms by what may be 0, roots and arccos at their ends, and the last reduction",
        run=loss_checks.scalar,
    ),
    "gradient": Check(
        summary="a gradient to both paths",
        where="detach, no_grad, argmax and casts to whole numbers on the way from that path",
        run=loss_checks.gradient,
    ),
    "agreement": Check(
        summary="lower where captions lie by their own images than where they lie by others'",
        where="the sign of the loss and of the scores, and which pairs are taken for right",
        run=loss_checks.agreement,
    ),
    "batch order": Check(
        summary="the same in any order of the batch",
        where="whether each pair is told by `group` and its row, and not by its place in the batch",
        run=loss_checks.order,
    ),
    "dtype and device": Check(
        summary="a value of the embeddings' dtype, computed on their device",
        where="tensors that are made without dtype= and device=, .float(), .cpu() and .numpy()",
        run=loss_checks.numbers,
    ),
    "global state": Check(
        summary=UNTOUCHED,
        where=ADVICE,
        run=loss_checks.global_state,
    ),
    "inputs": Check(
        summary="embeddings and groups as they were",
        where="operations whose name ends in _, and assignments to rows",
        run=loss_checks.inputs,
    ),
    "repeatable": Check(
        summary="the same value from the same seed",
        where="what is drawn from other random states than torch's global one, times, and orders of sets",
        run=loss_checks.repeatable,
    ),
    "state": Check(
        summary="the same after its state was stored and loaded",
        where="counters and tables that are plain attributes: register_buffer keeps them",
        run=loss_checks.state,
    ),
    "figures": Check(
        summary="detached finite numbers, where it reports any",
        where="figures(): detach() what it returns",
        run=loss_checks.figures,
    ),
}
"""Name -> check, in the order in which they are run."""
