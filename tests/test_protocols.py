"""Splits are flat and in order; ranks by counting agree with the definition; protocols know their members."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.protocols import CachedEncoder, ClosedFormLoss, FrozenPart, Ranks, Record, Reporting, Split


def test_a_split_is_flat_and_its_captions_stand_by_their_image() -> None:
    counts = (2, 1, 3)
    records = tuple(
        Record(image=f"i{k}", split="test", captions=tuple(f"{k}{j}" for j in range(n)))
        for k, n in enumerate(counts)
    )
    split = Split("test", records)
    assert split.captions == ("00", "01", "10", "20", "21", "22")
    assert split.caption_image.tolist() == [0, 0, 1, 2, 2, 2]
    assert split.caption_image.dtype == np.int64
    assert split.image_ids == ("i0", "i1", "i2")
    assert split.caption_ids == ("i0#0", "i0#1", "i1#0", "i2#0", "i2#1", "i2#2")


def ranks(above: int, tied: int, matched: int) -> Ranks:
    return Ranks(above=np.array([above]), tied=np.array([tied]), matched=np.array([matched]))


@given(above=st.integers(0, 3), tied=st.integers(0, 4), matched=st.integers(1, 3), k=st.integers(1, 9))
def test_ties_against_all_orders_one_by_one(above: int, tied: int, matched: int, k: int) -> None:
    found = ranks(above, tied, matched)
    size = tied + matched
    # Where the relevant ones stand among the tied, each choice of places as likely as any other.
    first = [above + 1 + min(places) for places in itertools.combinations(range(size), matched)]
    assert found.rank("expected")[0] == pytest.approx(np.mean(first))
    assert found.hits(k, "expected")[0] == pytest.approx(np.mean([rank <= k for rank in first]))
    assert found.rank()[0] == max(first) == above + tied + 1
    assert found.hits(k)[0] == float(max(first) <= k)


class Whole:
    key, shape = "k", (1,)

    def frozen_part(self, frozen: Any) -> None: ...
    def head(self, features: Any) -> None: ...
    def view(self, raw: Any, index: int) -> None: ...
    def compute(self, batch: Any) -> None: ...
    def fit(self, image: Any, text: Any, train: Any) -> None: ...
    def figures(self) -> None: ...


@pytest.mark.parametrize("protocol", [CachedEncoder, FrozenPart, ClosedFormLoss, Reporting])
def test_what_the_harness_asks_for_at_run_time(protocol: Any) -> None:
    assert isinstance(Whole(), protocol)
    assert not isinstance(object(), protocol)
