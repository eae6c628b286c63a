"""The summary of the faults tells what was lost: a suite that can only say that all is well says nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import COLUMNS, Faults

HERE = Path(__file__).resolve().parent
SUITE = """
import pytest

@pytest.mark.fault(1)
def test_that_survives_two(faults):
    with faults.inject(2):
        pass
    faults.notes.append("two of a kind")

@pytest.mark.fault(1)
def test_that_loses(faults):
    faults.one()
    faults.one(lost=3)
    faults.one(wrong=2)

@pytest.mark.fault(2)
def test_that_fails_within_a_fault(faults):
    faults.one()
    with faults.inject():
        assert not "as promised"

@pytest.mark.fault(3)
def test_that_fails_after_all_faults(faults):
    faults.one()
    faults.one()
    assert not "as promised"

@pytest.mark.fault(4)
def test_that_fails_before_it_counts(faults):
    assert not "as promised"

@pytest.mark.fault(5)
@pytest.mark.parametrize("sound", [True, False])
def test_that_counts_nothing(sound):
    assert sound

@pytest.fixture
def broken():
    yield
    raise RuntimeError("it cannot be taken down")

@pytest.mark.fault(6)
def test_that_ends_badly(broken):
    pass

@pytest.fixture
def unready():
    raise RuntimeError("it cannot be set up")

@pytest.mark.fault(7)
def test_that_cannot_begin(unready):
    pass

@pytest.mark.fault(8)
def test_that_is_passed_over():
    pytest.skip("not here")
"""


def test_what_is_not_survived_stands_in_the_summary(tmp_path: Path) -> None:
    for name in ("conftest.py", "rows.yaml"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "test_inner.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    ended = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    found = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)  (?=\w)", ended.stdout, re.MULTILINE)
    assert {int(row): tuple(map(int, counts)) for row, *counts in found} == {
        1: (5, 3, 3, 2),
        2: (2, 1, 0, 0),
        3: (2, 1, 0, 0),
        4: (1, 0, 0, 0),
        5: (2, 1, 0, 0),
        6: (1, 0, 0, 0),
        7: (1, 0, 0, 0),
    }
    assert " two of a kind\n" in ended.stdout
    assert "faults injected: 14, survived: 6, results lost: 3, wrong figures: 2\n" in ended.stdout


def test_a_fault_is_survived_only_where_nothing_went_wrong_within_it() -> None:
    faults = Faults()
    with pytest.raises(AssertionError), faults.inject(3):
        raise AssertionError
    with faults.inject(2):
        faults.wrong += 1
    faults.one(lost=1)
    faults.one()
    assert [getattr(faults, column) for column in COLUMNS] == [7, 1, 1, 1]
