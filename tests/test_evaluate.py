"""A gallery is embedded in evaluation mode, ranked, judged, stored, and read back the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from harness.errors import RunError, ScoreError
from harness.evaluate import embed, intervals, judge, rank, read_ranking, write_embeddings, write_ranks
from harness.inputs import FeatureInputs, RowInputs
from harness.protocols import Ranking, Record, Split
from harness.ranking import Ranked, rsum

N, DIM = 6, 4


class Head(nn.Module):
    def __init__(self, poison: int = -1, width: int = DIM) -> None:
        super().__init__()
        self.layer, self.drop = nn.Linear(3, width), nn.Dropout(0.5)
        self.poison = poison

    def head(self, batch: Tensor) -> Tensor:
        output = self.drop(self.layer(batch))
        if self.poison >= 0:
            output[self.poison] = torch.nan
        return output

    forward = head


def split(name: str = "test", first: int = 0) -> Split:
    records = (Record(image=f"i{first + k}", split=name, captions=("a", "b")[: 1 + k % 2]) for k in range(N))
    return Split(name, tuple(records))


def embedded(image: nn.Module, text: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1, N, 3, generator=generator)
    texts = torch.randn(len(split().captions), 3, generator=generator)
    return embed(split(), image, text, FeatureInputs(features), texts)


@pytest.fixture
def ranking() -> Ranked:
    torch.manual_seed(3)
    return rank(split(), *embedded(Head(), Head()))


def test_embeddings_are_normalised_and_without_dropout() -> None:
    image, text = Head(), Head()
    image.train()
    text.eval()
    rows, columns = embedded(image, text)
    assert (rows.shape, rows.dtype) == ((N, DIM), np.float32)
    assert (columns.shape, columns.dtype) == ((9, DIM), np.float32)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1)
    assert np.linalg.norm(columns, axis=1) == pytest.approx(1)
    again = embedded(image, text)
    assert (again[0] == rows).all()
    assert (again[1] == columns).all()
    assert (image.training, image.drop.training, text.training) == (True, True, False)


def test_images_of_different_shapes_have_the_embeddings_that_they_have_alone() -> None:
    class Pooled(Head):
        def head(self, batch: Tensor) -> Tensor:
            return super().head(batch.mean(1))

    torch.manual_seed(3)
    image, text, rows = Pooled(), Head(), [torch.randn(1 + k % 2, 3) for k in range(N)]
    texts = torch.randn(len(split().captions), 3)
    whole = embed(split(), image, text, RowInputs(rows, "cpu"), texts)[0]
    alone = torch.cat([image.eval().head(row[None]) for row in rows]).detach().numpy()
    assert whole == pytest.approx(alone / np.linalg.norm(alone, axis=1, keepdims=True), abs=1e-6)


def test_modes_come_back_after_a_failure_too() -> None:
    image = Head().train()
    with pytest.raises(RuntimeError):
        embedded(image, nn.Linear(2, DIM))
    assert image.training


def test_nan_is_named_by_image_and_by_caption() -> None:
    with pytest.raises(ScoreError, match="1 of 6 image embeddings are NaN or infinite: i3"):
        embedded(Head(poison=3), Head())
    with pytest.raises(ScoreError, match="1 of 9 caption embeddings are NaN or infinite: i1#1"):
        embedded(Head(), Head(poison=2))


def test_encoders_that_disagree_are_named_with_their_shapes() -> None:
    with pytest.raises(ScoreError, match=r"images are \(6, 4\), captions are \(9, 5\)"):
        embedded(Head(), Head(width=5))
    with pytest.raises(ScoreError, match="disagree"):
        embedded(Flat(), Flat())


class Flat(nn.Module):
    def head(self, batch: Tensor) -> Tensor:
        return batch.sum(1)

    forward = head


class Judge:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[return-value]


def test_figures_become_plain_numbers(ranking: Ranked) -> None:
    figures = judge("mine", Judge({"a": np.float32(0.5), "b": 1}), ranking)
    assert figures == {"a": 0.5, "b": 1.0}
    assert {type(value) for value in figures.values()} == {float}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (KeyError("boom"), "evaluator 'mine' failed: KeyError: 'boom'"),
        ({"fine": 1.0, "bad": float("nan")}, "evaluator 'mine' returned a figure that is not finite: bad"),
        ({"bad": float("inf")}, "not finite: bad"),
        ({"bad": "much"}, "evaluator 'mine' failed: ValueError"),
        (None, "evaluator 'mine' failed: TypeError"),
        (ScoreError("too small a gallery"), "too small a gallery"),
    ],
)
def test_an_evaluator_that_breaks_is_named(ranking: Ranked, answer: object, message: str) -> None:
    with pytest.raises(RunError, match=message):
        judge("mine", Judge(answer), ranking)


class ByImage:
    """Tells of each image what it is given."""

    def __init__(self, sums: object, counts: object) -> None:
        self.told = {"share": (sums, counts)}

    def evaluate(self, ranking: Ranking) -> Mapping[str, float]:
        return {"share": 0.5, "other": 1.0}

    def by_image(self, ranking: Ranking) -> Mapping[str, tuple[np.ndarray, np.ndarray]]:
        return self.told  # type: ignore[return-value]


def test_what_is_told_by_image_gives_an_interval(ranking: Ranked) -> None:
    evaluator = ByImage([0, 1, 0, 1, 0, 1], [1, 1, 1, 1, 1, 1])
    found = intervals("e", evaluator, ranking, judge("e", evaluator, ranking))
    low, high = found.pop("share")
    assert found == {}
    assert 0.0 <= low < 0.5 < high <= 1.0
    assert intervals("e", Judge({"share": 1.0}), ranking, {"share": 1.0}) == {}


@pytest.mark.parametrize(
    ("sums", "counts", "message"),
    [
        ([0, 1, 0, 1, 0, 0], [1] * 6, r"'e': by its images share is 0.333333, by its figures 0.5"),
        ([1, 1], [2, 2], "share is nan"),
        ([np.nan] * 6, [1] * 6, "share is nan"),
        ([0] * 6, [0] * 6, "share is nan"),
        ([2, 1, 0, 0, 0, 0], [7, 0, 0, 0, 0, -1], "share is nan"),
        ("x", [1] * 6, "evaluator 'e' failed: ValueError"),
    ],
)
def test_what_does_not_add_up_to_the_figure_is_named(
    ranking: Ranked, sums: object, counts: object, message: str
) -> None:
    with pytest.raises(RunError, match=message):
        intervals("e", ByImage(sums, counts), ranking, {"share": 0.5})


def test_what_is_stored_gives_the_same_figures(ranking: Ranked, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "e.safetensors", ranking)
    write_ranks(tmp_path / "r.parquet", ranking)
    back = read_ranking(tmp_path / "e.safetensors", tmp_path / "r.parquet", split())
    assert (back.image == ranking.image).all()
    assert (back.text == ranking.text).all()
    for side in ("i2t", "t2i"):
        for name in ("above", "tied", "matched"):
            stored, fresh = getattr(getattr(back, side), name), getattr(getattr(ranking, side), name)
            assert stored.dtype == np.int64
            assert (stored == fresh).all()
    assert rsum(back) == rsum(ranking)
    assert rsum(back.fold(0, 3)) == rsum(ranking.fold(0, 3))


def test_tiles_are_stored_where_there_are_several(
    ranking: Ranked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.ranking.BLOCK", 2)
    tiled = rank(ranking.split, ranking.image, ranking.text)
    write_embeddings(tmp_path / "e.safetensors", tiled)
    write_ranks(tmp_path / "r.parquet", tiled)
    back = read_ranking(tmp_path / "e.safetensors", tmp_path / "r.parquet", split())
    assert rsum(back) == rsum(ranking)
    assert tiled.tiles is not None
    assert back.tiles is not None
    for stored, fresh in zip(back.tiles, tiled.tiles, strict=True):
        assert stored.rank().tolist() == fresh.rank().tolist()
    assert rsum(back.fold(0, 2)) == rsum(ranking.fold(0, 2))


def test_ranks_are_a_table_that_others_can_read(ranking: Ranked, tmp_path: Path) -> None:
    import pandas as pd

    write_ranks(tmp_path / "r.parquet", ranking)
    frame = pd.read_parquet(tmp_path / "r.parquet")
    assert list(frame.columns) == ["side", "query", "above", "tied", "matched"]
    assert frame["side"].tolist() == ["i2t"] * N + ["t2i"] * 9
    assert frame["query"].tolist() == [*split().image_ids, *split().caption_ids]


def test_a_ranking_of_other_images_is_refused(ranking: Ranked, tmp_path: Path) -> None:
    write_embeddings(tmp_path / "e.safetensors", ranking)
    write_ranks(tmp_path / "r.parquet", ranking)
    with pytest.raises(ScoreError, match=r"e\.safetensors holds other image ids than split 'test'"):
        read_ranking(tmp_path / "e.safetensors", tmp_path / "r.parquet", split(first=1))


@pytest.mark.parametrize("side", ["i2t", "t2i"])
def test_ranks_in_another_order_are_refused(ranking: Ranked, tmp_path: Path, side: str) -> None:
    import pandas as pd

    write_embeddings(tmp_path / "e.safetensors", ranking)
    write_ranks(tmp_path / "r.parquet", ranking)
    frame = pd.read_parquet(tmp_path / "r.parquet")
    rows = frame.index[frame["side"] == side].to_numpy()
    order = frame.index.to_numpy().copy()
    order[rows] = rows[::-1]
    frame.loc[order].to_parquet(tmp_path / "r.parquet", index=False)
    with pytest.raises(ScoreError, match=rf"r\.parquet holds other {side} queries than split 'test'.*order"):
        read_ranking(tmp_path / "e.safetensors", tmp_path / "r.parquet", split())
