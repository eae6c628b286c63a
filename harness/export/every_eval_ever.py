"""JSON by the schema of Every Eval Ever (https://github.com/evaleval/every_eval_ever), as of version 0.3.0.

A record is one run; its results are the figures of all its evaluators. What has no field of its own there, such as
the passport, stands under ``additional_details``, whose values are text by that schema.
"""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from typing import Any

from harness.export.facts import Facts, Score
from harness.statistics import RESAMPLES

SCHEMA = "0.3.0"
LIBRARY = "retrieval-harness"


def every_eval_ever(facts: Facts, *, now: float | None = None) -> tuple[str, str]:
    """Return the path of a record below its folder, and its text.

    The path is ``<dataset>/<organization>/<model>/<uuid>.json``, as that collection keeps its files; the uuid
    follows from the run, so that a second export takes the place of the first.

    Args:
        now: seconds since 1970 of the export; the clock's where it is not given.
    """
    result = facts.result
    developer, model = slug(facts.organization), slug(facts.name)
    finished = str(result.provenance.get("finished", ""))
    record = {
        "schema_version": SCHEMA,
        "evaluation_id": f"{slug(result.dataset)}/{developer}/{model}/{result.fingerprint}",
        "evaluation_timestamp": finished or "unknown",
        "retrieved_timestamp": str(int(time.time() if now is None else now)),
        "source_metadata": {
            "source_name": LIBRARY,
            "source_type": "evaluation_run",
            "source_organization_name": facts.organization,
            # Who made an import is not told.
            "evaluator_relationship": "other" if facts.imported else "first_party",
            "additional_details": facts.details(),
        },
        "eval_library": {
            "name": LIBRARY,
            "version": str(result.provenance.get("versions", {}).get(LIBRARY, "unknown")),
        },
        "model_info": {
            "name": facts.name,
            "id": f"{developer}/{model}",
            "developer": facts.organization,
            "additional_details": {
                "deployment_type": "unknown" if facts.imported else "self_deployed",
                "model_availability": "unknown",
                "specification": json.dumps(dict(result.spec), sort_keys=True),
            },
        },
        "evaluation_results": [_result(facts, score, finished) for score in facts.scores],
    }
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{LIBRARY}:{result.fingerprint}")
    path = f"{slug(result.dataset)}/{developer}/{model}/{name}.json"
    return path, json.dumps(record, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _result(facts: Facts, score: Score, finished: str) -> dict[str, Any]:
    result, read = facts.result, score.reading
    details: dict[str, Any] = {"score": score.value}
    if score.interval is not None:
        details["uncertainty"] = {
            "confidence_interval": {
                "lower": score.interval.low,
                "upper": score.interval.high,
                "confidence_level": 0.95,
                "method": "percentile bootstrap over images, the captions of an image move together",
            },
            "num_samples": result.images,
            "num_bootstrap_samples": RESAMPLES,
        }
    entry = result.figures[score.evaluator]
    return {
        "evaluation_result_id": f"{result.fingerprint}.{score.evaluator}.{score.figure}",
        "evaluation_name": f"{result.dataset}.{score.evaluator}",
        "evaluation_timestamp": finished or "unknown",
        "source_data": {
            "dataset_name": facts.dataset,
            "source_type": "other",
            "source_id": result.dataset,
            "source_version": facts.passport,
            "additional_details": {
                "split": facts.split,
                "images": str(result.images),
                "captions": str(result.captions),
            },
        },
        "metric_config": {
            "metric_id": f"image_text_retrieval.{score.figure}",
            "metric_name": read.name,
            "metric_kind": read.kind,
            "metric_unit": read.unit,
            "metric_parameters": dict(read.parameters),
            "lower_is_better": read.lower_is_better,
            "score_type": "continuous",
            "min_score": _bound(read.low),
            "max_score": _bound(read.high),
            "additional_details": {
                "evaluator": f"{entry['use']} {entry['revision']}",
                "parameters": json.dumps(entry["params"], sort_keys=True),
            },
        },
        "score_details": details,
    }


def _bound(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "Infinity" if value > 0 else "-Infinity"


def slug(text: str) -> str:
    """Return a text as a part of a path and of an id: letters, digits, ``.``, ``_`` and ``-``."""
    # Dots at an end would make `..` or a hidden file.
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.")[:80] or "unknown"
