"""What `check_evaluator` takes, how evaluators are asked, and galleries of their own."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.api import EvaluatorSpec, Gallery, Record, Scale, ScoreError, Split
from harness.catalog import Catalog
from harness.errors import InputError, ParameterError, PluginError
from harness.testing import check_evaluator
from harness.testing.check import make_gallery
from harness_recall.recall import Recall

RECORDS = tuple(Record(image=f"i{n}", split="test", captions=("a", "b")) for n in range(10))


class Sources:
    """Reads what its gallery wrote, from the folder that the harness gives."""

    def __init__(self, *, source: Path | None = None) -> None:
        self.source = source

    def evaluate(self, ranking):
        file = self.source / "right.txt" if self.source else None
        if file is None or not file.is_file() or "i0" not in ranking.split.image_ids:
            return {}
        if not (np.isfinite(ranking.image).all() and np.isfinite(ranking.text).all()):
            raise ScoreError("toy: an embedding is not finite")
        pairs = [line.split() for line in file.read_text().splitlines()]
        at = {image: place for place, image in enumerate(ranking.split.image_ids)}
        columns = {caption: place for place, caption in enumerate(ranking.split.caption_ids)}
        scores = [
            (
                ranking.image[at[image]] @ ranking.text[columns[caption]],
                ranking.image[at[image]] @ ranking.text.T,
            )
            for image, caption in pairs
            if image in at and caption in columns
        ]
        if not scores:
            return {}
        return {"first": float(np.mean([(row >= score).sum() == 1 for score, row in scores]))}


def gallery(folder: Path) -> Gallery:
    split = Split("test", RECORDS)
    relevance = np.zeros((10, 20))
    for image in range(10):
        # The caption of another image is the right one.
        relevance[image, (2 * image + 2) % 20] = 1.0
    names = [(split.image_ids[i], split.caption_ids[(2 * i + 2) % 20]) for i in range(10)]
    (folder / "right.txt").write_text("\n".join(f"{image} {caption}" for image, caption in names))
    return Gallery(split=split, relevance=relevance)


def spec(**fields) -> EvaluatorSpec:
    return EvaluatorSpec(name="toy", target="a.b:C", summary="", metrics=("first",), **fields)


def test_an_installed_evaluator_by_name(toy_catalog: Catalog) -> None:
    assert check_evaluator("hits", catalog=toy_catalog) == []
    assert check_evaluator("hits", params={"k": 3}, catalog=toy_catalog) == []
    (violation,) = check_evaluator("hits", params={"fault": "raises"}, catalog=toy_catalog)
    assert (violation.name, violation.check, violation.sample) == ("hits", "declaration", "")
    assert "LookupError: boom in evaluate" in violation.found
    (violation,) = check_evaluator("hits", params={"fault": "infinite"}, catalog=toy_catalog)
    assert "not finite: rsum" in violation.found


def test_wrong_names_and_parameters(toy_catalog: Catalog) -> None:
    with pytest.raises(InputError, match="no plugin declares evaluator 'hitz'; did you mean 'hits'"):
        check_evaluator("hitz", catalog=toy_catalog)
    with pytest.raises(ParameterError, match="takes no parameter 'kk'"):
        check_evaluator("hits", params={"kk": 3}, catalog=toy_catalog)
    with pytest.raises(InputError, match="has its parameters already"):
        check_evaluator(Recall(), params={"folds": 5})


def test_a_live_evaluator_needs_no_plugin() -> None:
    assert check_evaluator(Recall(folds=5)) == []


def test_folds_that_no_gallery_of_sixty_has_ask_for_a_gallery() -> None:
    (violation,) = check_evaluator(Recall(folds=7))
    assert "a refusal: recall: 60 images of split 'test' do not divide into 7 folds" in violation.found
    assert "'gallery'" in violation.where


def test_an_evaluator_with_a_source_gets_the_folder_of_its_gallery(
    toy_catalog: Catalog,
) -> None:
    components = dict(toy_catalog.components)
    entry = components["evaluator", "hits"]
    declared = EvaluatorSpec(
        name="hits",
        target=f"{__name__}:Sources",
        summary="",
        metrics=("first",),
        scales={"first": Scale(better="higher", best=1.0, worst=0.0, chance=0.05)},
        gallery=f"{__name__}:gallery",
    )
    components["evaluator", "hits"] = replace(entry, spec=declared)
    catalog = replace(toy_catalog, components=components)
    assert check_evaluator("hits", catalog=catalog) == []
    # Without a gallery it has nothing to say, and is asked for one.
    components["evaluator", "hits"] = replace(entry, spec=replace(declared, gallery=""))
    (violation,) = check_evaluator("hits", catalog=replace(toy_catalog, components=components))
    assert "'gallery'" in violation.found


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("no_such_module_at_all:gallery", "ModuleNotFoundError"),
        (f"{__name__}:missing", "AttributeError"),
        (f"{__name__}:raising", "KeyError: 'boom'"),
        (f"{__name__}:splitting", "not a Gallery with captions"),
        (f"{__name__}:empty", "not a Gallery with captions"),
        (f"{__name__}:flat", r"relevance is \(20,\), not finite numbers of \(10, 20\) images and captions"),
        (f"{__name__}:unknown", "not finite numbers"),
    ],
)
def test_a_gallery_that_is_none(made: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        make_gallery(spec(gallery=made), tmp_path)
    assert f"gallery {made} of evaluator 'toy'" in str(caught.value)


def raising(folder):
    raise KeyError("boom")


def splitting(folder):
    return Split("test", RECORDS)


def empty(folder):
    return Gallery(split=Split("test", ()))


def flat(folder):
    return Gallery(split=Split("test", RECORDS), relevance=np.zeros(20))


def unknown(folder):
    return Gallery(split=Split("test", RECORDS), relevance=np.full((10, 20), np.nan))


def test_this_module_can_be_imported_by_its_name() -> None:
    # The galleries above are named so.
    assert importlib.import_module(__name__).gallery is gallery
