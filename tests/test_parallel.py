"""Work on all cores: in order, and no further than needed after a failure."""

from __future__ import annotations

import threading

import pytest

from harness.parallel import cores, each


def test_results_come_in_the_order_of_the_items() -> None:
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0 and cores() > 1:
            assert later.wait(10)
        later.set()
        return item * item

    assert list(each(work, range(50))) == [item * item for item in range(50)]
    assert list(each(work, [])) == []


def test_a_failure_reaches_the_caller_and_ends_what_has_not_begun() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        return item

    found = []
    with pytest.raises(ValueError, match="three"):
        found.extend(each(work, range(10_000)))
    assert len(begun) < 10_000
