"""`harness show` prints the interval of a figure: of its ranks, or as it was stored with it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.queries import FILE
from harness.statistics import bootstrap, samples
from harness.store import Store


@pytest.fixture
def run(command: Any, planted: Callable[..., str]) -> tuple[str, Store]:
    """Store a run with recalls that follow from its ranks, one that does not, and a correlation with an interval."""
    store, name = Store(Path(command.environment["HARNESS_HOME"])), planted("aaa0", 0.5)
    queries = store.queries(name)
    assert queries is not None
    double = {**samples(queries)["double"].figures(), "t2i.recall@1": 0.9}
    people = {"use": "people", "revision": 1, "params": {}, "values": {"tau": 0.5, "pairs": 12.0}}
    figures = {
        "double": {"use": "double", "revision": 1, "params": {"factor": 2}, "values": double},
        "people": {**people, "intervals": {"tau": [0.375, 0.625]}, "labels": "0123abcd"},
    }
    result = store.result(name)
    told = dict.fromkeys(("method", "visual", "textual", "form", "source", "file", "sha256"), "x")
    made = {"hardware": "x", "versions": {}, "command": "x", "revision": "", "finished": "x"}
    store.update(replace(result, figures=figures, spec={**result.spec, **told}, provenance=made))
    return name, store


def test_in_the_table_and_as_json(
    invoke: Callable[..., tuple[int, str, str]], run: tuple[str, Store]
) -> None:
    name, store = run
    queries = store.queries(name)
    assert queries is not None
    counted = bootstrap([samples(queries)["double"]])
    code, out, _ = invoke("show", name, "--json")
    told = json.loads(out)["intervals"]
    assert code == 0
    assert told["people"] == {"tau": [0.375, 0.625]}
    assert told["double"]["i2t.recall@5"] == [counted["i2t.recall@5"].low, counted["i2t.recall@5"].high]
    assert "t2i.recall@1" not in told["double"]
    out = invoke("show", name)[1]
    lines = {words[1]: " ".join(words[3:-1]) for words in map(str.split, out.splitlines()) if len(words) > 4}
    assert lines["people.tau"] == "0.5000 (0.3750 to 0.6250)"
    assert " to " in lines["double.i2t.recall@5"]
    assert " ".join(next(row for row in out.splitlines() if "labels of" in row).split()[1:-1]).endswith(
        "0123abcd"
    )
    assert "people.pairs" not in lines or " to " not in lines["people.pairs"]


def test_damaged_ranks_take_their_intervals_with_them_and_nothing_else(
    invoke: Callable[..., tuple[int, str, str]], run: tuple[str, Store]
) -> None:
    name, store = run
    path = store.folder(name) / FILE
    path.write_bytes(path.read_bytes()[:-1])
    code, out, err = invoke("show", name)
    assert code == 1
    assert "0.5000 (0.3750 to 0.6250)" in " ".join(out.split())
    assert "damaged" in err
    assert FILE in err
