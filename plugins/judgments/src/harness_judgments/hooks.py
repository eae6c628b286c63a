"""What this plugin declares; nothing here loads numpy."""

from __future__ import annotations

from harness.api import EvaluatorSpec, hookimpl


@hookimpl
def harness_evaluators() -> list[EvaluatorSpec]:
    """Declare the evaluators of this package."""
    return []
