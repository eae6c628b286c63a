"""What this plugin declares; nothing here loads numpy."""

from __future__ import annotations

from harness.api import EvaluatorSpec, hookimpl


@hookimpl
def harness_evaluators() -> list[EvaluatorSpec]:
    """Declare `recall`."""
    return [
        EvaluatorSpec(
            name="recall",
            target="harness_recall.recall:Recall",
            summary="R@K, median and mean rank in both directions, and rSum",
            reference="Hodosh, Young and Hockenmaier, JAIR 47 (2013)",
            metrics=("i2t.*", "t2i.*", "rsum", "expected.*"),
        )
    ]
