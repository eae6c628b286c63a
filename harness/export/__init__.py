"""Results in the words of others: every_eval_ever's JSON, and a model card of the Hugging Face Hub."""

from __future__ import annotations

from harness.export.every_eval_ever import every_eval_ever
from harness.export.facts import Facts, facts_of, intervals_of, method_of
from harness.export.model_card import model_card

__all__ = ["Facts", "every_eval_ever", "facts_of", "intervals_of", "method_of", "model_card"]
