"""Every promise has a test, and every test that is named is there."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
ROWS = yaml.safe_load((ROOT / "tests" / "faults" / "rows.yaml").read_text(encoding="utf-8"))


def test_every_promise_is_held_by_a_test_that_is_there() -> None:
    here = [path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "faults").glob("test_*.py")]
    marked = {int(row) for text in here for row in re.findall(r"mark\.fault\((\d+)\)", text)}
    assert marked <= set(ROWS)
    assert set(ROWS) == set(range(1, 31))
    assert not [row for row, promise in ROWS.items() if row not in marked and not promise.get("elsewhere")]
    found = defaultdict(list)
    for path in [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "plugins").glob("*/tests/test_*.py")]:
        for name in re.findall(r"^def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            found[f"{path.name}::{name}"].append(path)
    named = [name for promise in ROWS.values() for name in promise.get("elsewhere", ())]
    assert len(named) == len(set(named))
    assert [name for name in named if len(found[name]) != 1] == []
