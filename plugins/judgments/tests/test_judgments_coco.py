"""CxC and ECCV Caption: the authors' code on the same ranking, and what may be wrong with ids and files."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from harness.api import DataError, ParameterError, ScoreError
from harness.ranking import rank
from harness_judgments.coco import Cxc, EccvCaption
from harness_recall.recall import Recall

TOP = 60  # no query has more positives than 48, so what stands lower changes no figure


def lists(asked, items, row_ids, item_ids):
    """Return the best items of each query by id, sorted, as the authors' code takes them."""
    found = {}
    for number, row in zip(row_ids, asked, strict=True):
        scores = items @ row
        best = np.argpartition(-scores, TOP)[:TOP] if len(scores) > TOP else np.arange(len(scores))
        found[number] = [item_ids[place] for place in best[np.argsort(-scores[best])]]
    return found


def theirs(authors, labels, ids, image, text, k, *, whole):
    """Compute the figures of both directions with the authors' functions; in a part, of what is there."""
    images, captions = list(ids), [caption for captions in ids.values() for caption in captions]
    figures = {}
    for side, stem, parts in (
        ("i2t", "image_to_caption", (image, text, images, captions)),
        ("t2i", "caption_to_image", (text, image, captions, images)),
    ):
        content = json.loads((authors.data / f"{labels}_{stem}.json").read_text())
        queries, items = set(parts[2]), set(parts[3])
        positives = {int(query): right for query, right in content.items() if int(query) in queries}
        if not whole:
            positives = {
                query: [item for item in right if item in items] for query, right in positives.items()
            }
            positives = {query: right for query, right in positives.items() if right}
        wanted = np.flatnonzero(np.isin(parts[2], list(positives)))
        ranked = lists(parts[0][wanted], parts[1], [parts[2][place] for place in wanted], parts[3])
        values = authors.metrics(ranked, positives)
        figures |= {
            f"{side}.map@r": values["eccv_map_at_r"],
            f"{side}.r_precision": values["eccv_rprecision"],
            **{f"{side}.recall@{cut}": authors.recall(ranked, positives, K=cut) for cut in k},
            f"{side}.queries": len(positives),
        }
    return figures


@pytest.mark.parametrize("noise", [None, 1.0])
def test_cxc_agrees_with_the_authors_code_on_a_part_of_the_test_set(
    authors, test_5k, gallery, planted, noise
):
    part = {image: test_5k[image] for image in list(test_5k)[:400]}
    image, text = planted(400, noise)
    found = Cxc().evaluate(gallery(part, image, text))
    assert found == pytest.approx(
        theirs(authors, "cxc", part, image, text, (1, 5, 10), whole=False), abs=1e-9
    )
    assert found["i2t.queries"] == 400


@pytest.fixture
def source(tmp_path):
    """Return a folder whose labels know each image's own captions, and that images 1 and 2 share them."""
    for labels in ("cxc", "eccv"):
        (tmp_path / f"{labels}_image_to_caption.json").write_text(
            '{"1": [10, 11, 20], "2": [20, 10], "3": ["30"]}'
        )
        (tmp_path / f"{labels}_caption_to_image.json").write_text(
            '{"10": [1, 2], "11": [1], "20": [2, 1], "30": [3]}'
        )
    return tmp_path


IDS = {1: [10, 11], 2: [20], 3: [30]}


def test_an_oracle_of_the_labels_is_perfect_and_one_of_single_truth_is_not(gallery, source):
    image = np.eye(3, dtype=np.float32)
    # Every caption stands at its image, and a little at the other one that it fits.
    fits = np.array([[1, 0.5, 0], [1, 0, 0], [0.5, 1, 0], [0, 0, 1]], np.float32)
    ranking = gallery(IDS, image, fits)
    for evaluator in (Cxc, EccvCaption):
        found = evaluator(k=(1, 2), source=source).evaluate(ranking)
        assert {name: v for name, v in found.items() if not name.endswith("queries")} == dict.fromkeys(
            [
                f"{side}.{f}"
                for side in ("i2t", "t2i")
                for f in ("map@r", "r_precision", "recall@1", "recall@2")
            ],
            1.0,
        )
        assert (found["i2t.queries"], found["t2i.queries"]) == (3, 4)
    blind = gallery(IDS, image, image[[0, 0, 1, 2]])
    found = Cxc(source=source).evaluate(blind)
    # Image 1 finds its own two of three, and caption 20 ties with the wrong 30 for the third place.
    assert found["i2t.recall@1"] == found["t2i.recall@1"] == 1.0
    assert found["i2t.r_precision"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert Recall(k=(1,)).evaluate(rank(blind.split, blind.image, blind.text))["rsum"] == 200.0


def test_with_single_truth_as_labels_recall_is_that_of_recall(authors, test_5k, gallery, planted, tmp_path):
    for stem in ("image_to_caption", "caption_to_image"):
        shutil.copy(authors.data / f"original_{stem}.json", tmp_path / f"cxc_{stem}.json")
    part = {image: test_5k[image] for image in list(test_5k)[:300]}
    ranking = gallery(part, *planted(300, 1.5))
    found = Cxc(source=tmp_path).evaluate(ranking)
    plain = Recall().evaluate(rank(ranking.split, ranking.image, ranking.text))
    names = [f"{side}.recall@{k}" for side in ("i2t", "t2i") for k in (1, 5, 10)]
    assert {name: found[name] for name in names} == {name: plain[name] for name in names}
    assert 0.1 < found["t2i.recall@1"] < 0.9


def test_the_order_of_the_gallery_does_not_matter(authors, test_5k, gallery, planted):
    image, text = planted(500, 1.0)
    part = {number: test_5k[number] for number in list(test_5k)[:500]}
    order = np.random.default_rng(0).permutation(500)
    shuffled = {list(part)[k]: part[list(part)[k]] for k in order}
    captions = (5 * order[:, None] + np.arange(5)).ravel()
    assert Cxc().evaluate(gallery(shuffled, image[order], text[captions])) == pytest.approx(
        dict(Cxc().evaluate(gallery(part, image, text)))
    )


def test_a_positive_that_the_whole_test_set_lacks_is_missed_but_not_in_a_part_of_it(gallery, source):
    (source / "cxc_image_to_caption.json").write_text('{"1": [10, 11, 99], "2": [20], "3": [30]}')
    image = np.eye(3, dtype=np.float32)
    text = image[[0, 0, 1, 2]]
    whole = Cxc(source=source).evaluate(gallery(IDS, image, text))
    assert whole["i2t.map@r"] == whole["i2t.r_precision"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    part = Cxc(source=source).evaluate(gallery({1: [10, 11], 3: [30]}, image[[0, 2]], text[[0, 1, 3]]))
    assert part["i2t.map@r"] == part["i2t.r_precision"] == part["t2i.map@r"] == 1.0
    assert (part["i2t.queries"], part["t2i.queries"]) == (2, 3)


def test_galleries_that_are_not_coco_have_no_figures(gallery, source):
    eye = np.eye(2, dtype=np.float32)
    foreign = gallery({7: [70], 8: [80]}, eye, eye)
    assert EccvCaption(source=source).evaluate(foreign) == {}
    for record in foreign.split.records:
        del record.tags["caption_ids"]
    assert Cxc(source=source).evaluate(foreign) == {}
    for record in foreign.split.records:
        record.tags.clear()
    assert Cxc(source=source).evaluate(foreign) == {}
    assert Cxc(source=source).evaluate(gallery({}, eye[:0], eye[:0])) == {}


def test_one_direction_alone_may_have_queries(gallery, source):
    (source / "eccv_caption_to_image.json").write_text('{"99": [3]}')
    eye = np.eye(3, dtype=np.float32)
    found = EccvCaption(source=source).evaluate(gallery(IDS, eye, eye[[0, 0, 1, 2]]))
    assert {name.split(".")[0] for name in found} == {"i2t"}


@pytest.mark.parametrize(
    ("ids", "wrong", "message"),
    [
        ({1: [10], 2: [20]}, {"caption_ids": "10,11"}, "1.jpg: 2 ids in tag 'caption_ids' for 1 captions"),
        ({1: [10], 2: [20]}, {"caption_ids": "x"}, "1.jpg: 'x' is no COCO id"),
        ({1: [10], 2: [20]}, {"coco_id": "2"}, "image id 2 stands 2 times"),
        ({1: [20], 2: [20]}, {}, "caption id 20 stands 2 times"),
        ({1: [10], 2: [20]}, {"coco_id": None}, "1.jpg: '' is no COCO id"),
    ],
)
def test_ids_that_cannot_be_used_are_named(gallery, source, ids, wrong, message):
    eye = np.eye(2, dtype=np.float32)
    ranking = gallery(ids, eye, eye)
    tags = ranking.split.records[0].tags
    tags.update({key: value for key, value in wrong.items() if value is not None})
    for key in [key for key, value in wrong.items() if value is None]:
        del tags[key]
    with pytest.raises(DataError, match=message) as caught:
        Cxc(source=source).evaluate(ranking)
    assert "harness data prepare" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "holds no object of ids"),
        ("{}", "holds no object of ids"),
        ('{"1": [10}', "is no JSON of ids"),
        ('{"1": [10], "1": [11]}', "'1' stands twice"),
        ('{"1": 10}', "'1': '10' is no list"),
        ('{"one": [10]}', "'one': 'one' is no id"),
        ('{"1": [true, 1.5]}', "'1': 'True' is no id"),
    ],
)
def test_files_that_hold_no_ids_are_named(gallery, source, content, message):
    (source / "cxc_image_to_caption.json").write_text(content)
    eye = np.eye(3, dtype=np.float32)
    with pytest.raises(DataError, match=message) as caught:
        Cxc(source=source).evaluate(gallery(IDS, eye, eye[[0, 0, 1, 2]]))
    assert "cxc_image_to_caption.json" in caught.value.message


def test_files_may_be_named_in_the_registry(gallery, source, tmp_path_factory):
    given = {
        side: str(source / f"cxc_{stem}.json")
        for side, stem in (("i2t", "image_to_caption"), ("t2i", "caption_to_image"))
    }
    eye = np.eye(3, dtype=np.float32)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert Cxc(**given, source=elsewhere).evaluate(gallery(IDS, eye, eye[[0, 0, 1, 2]]))["i2t.queries"] == 3
    with pytest.raises(ParameterError, match="'i2t' and 't2i' belong together"):
        Cxc(i2t=given["i2t"])


def test_a_file_that_is_nowhere_is_an_error_that_says_where_to_get_it(gallery, tmp_path, monkeypatch):
    monkeypatch.setattr("harness_judgments.labels.PACKAGE", "no_such_package")
    eye = np.eye(3, dtype=np.float32)
    for source in (tmp_path, None):
        with pytest.raises(DataError, match=r"cxc_image_to_caption\.json is not found") as caught:
            Cxc(source=source).evaluate(gallery(IDS, eye, eye[[0, 0, 1, 2]]))
        assert "retrieval-harness-judgments[eccv]" in caught.value.hint


@pytest.mark.parametrize("k", [(), (0,), (5, 5)])
def test_wrong_cut_offs_are_named(k):
    with pytest.raises(ParameterError, match="eccv-caption: parameter 'k'"):
        EccvCaption(k=k)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_embedding_is_named(gallery, source, bad):
    image = np.eye(3, dtype=np.float32)
    text = image[[0, 0, 1, 2]]
    text[2, 0] = bad
    with pytest.raises(ScoreError, match=r"cxc: 1 of 4 caption embeddings are NaN or infinite: 2.jpg#0"):
        Cxc(source=source).evaluate(gallery(IDS, image, text))
