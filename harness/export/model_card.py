"""A model card for the Hugging Face Hub: its ``model-index``, and the figures with intervals for people.

Format: https://github.com/huggingface/hub-docs/blob/main/modelcard.md, field ``model-index``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.export.every_eval_ever import LIBRARY, slug
from harness.export.facts import Facts, Score
from harness.export.readings import EXPECTED
from harness.leaderboard.markdown import escape, pipe_table, plain

TASK = "image-text-retrieval"


def model_card(facts: Facts) -> tuple[str, str]:
    """Return the name of a card below its folder, and its text: metadata between ``---`` lines, then markdown."""
    import yaml

    metadata = yaml.safe_dump(
        {"tags": [TASK], "model-index": [_index(facts)]},
        sort_keys=False,
        allow_unicode=False,
        width=10**6,
    )
    text = "\n".join(["---", metadata.rstrip("\n"), "---", "", *_body(facts)]) + "\n"
    return f"{slug(facts.name)}-{facts.result.fingerprint}.md", text


def _index(facts: Facts) -> dict[str, Any]:
    result = facts.result
    # The Hub shows one value a type: that of the other policy on ties stands in the table alone.
    scores = [score for score in facts.scores if not score.figure.startswith(EXPECTED)]
    results = []
    for evaluator in dict.fromkeys(score.evaluator for score in scores):
        entry = result.figures[evaluator]
        found: dict[str, Any] = {
            "task": {"type": TASK, "name": "Image-text retrieval"},
            "dataset": {
                "name": plain(facts.dataset),
                "type": slug(result.dataset),
                "split": facts.split,
                "args": {
                    "images": result.images,
                    "captions": result.captions,
                    "passport": facts.passport,
                    "evaluator": f"{entry['use']} {entry['revision']}",
                },
            },
            "metrics": [_metric(score) for score in scores if score.evaluator == evaluator],
        }
        if facts.source.startswith(("https://", "http://")):
            found["source"] = {"name": plain(facts.name), "url": plain(facts.source, 2000)}
        results.append(found)
    return {"name": plain(facts.name), "results": results}


def _metric(score: Score) -> dict[str, Any]:
    """Return one metric: proportions in percent, as the literature has them."""
    metric: dict[str, Any] = {
        "type": score.reading.kind,
        "value": _shown(score, score.value),
        "name": f"{score.reading.name}{' (%)' if _in_percent(score) else ''}",
        "verified": False,
    }
    arguments: Mapping[str, Any] = dict(score.reading.parameters)
    if score.interval is not None:
        low, high = (_shown(score, bound) for bound in (score.interval.low, score.interval.high))
        arguments = {**arguments, "interval_95": [low, high]}
    return {**metric, "args": arguments} if arguments else metric


def _in_percent(score: Score) -> bool:
    return score.reading.unit == "proportion"


def _shown(score: Score, value: float) -> float:
    return round(100.0 * value if _in_percent(score) else value, 4)


def _body(facts: Facts) -> list[str]:
    rows = [
        [
            escape(score.evaluator),
            escape(score.reading.name),
            f"{_shown(score, score.value):.2f}",
            "–"
            if score.interval is None
            else f"{_shown(score, score.interval.low):.2f} to {_shown(score, score.interval.high):.2f}",
        ]
        for score in facts.scores
    ]
    who = ", from embeddings or ranks that another code wrote" if facts.imported else ""
    return [
        f"# {escape(facts.name)}",
        "",
        f"Measured with {LIBRARY} on {escape(facts.dataset)} ({facts.split}: {facts.result.images:,} images, "
        f"{facts.result.captions:,} captions){who}. Proportions in percent; a tie is lost unless a figure "
        "says otherwise. Intervals: bootstrap over images. Compare figures of one passport alone.",
        "",
        pipe_table(["evaluator", "figure", "value", "95 %"], rows, figures={2, 3}),
        "",
        *(f"- {escape(key)}: {escape(value, 2000)}" for key, value in facts.details().items()),
    ]
