"""CxC and ECCV Caption on all 5,000 images with their real labels: their authors' figures, and chance."""

from __future__ import annotations

import json
import warnings
from math import comb, sqrt

import numpy as np
import pytest

from harness_judgments.coco import Cxc, EccvCaption

TOP = 60  # no query has more positives than 48, so what stands lower changes no figure
BLOCK = 500
EVALUATORS = {"cxc": Cxc, "eccv": EccvCaption}
SIZES = {"cxc": {"i2t": 5000, "t2i": 24_972}, "eccv": {"i2t": 1261, "t2i": 1332}}
SIDES = {"i2t": "image_to_caption", "t2i": "caption_to_image"}
K = (1, 5, 10)


@pytest.fixture(scope="module")
def ranked(test_5k, planted):
    """Return embeddings of which half find one another, and the best items of each query by id, sorted."""
    image, text = planted(5000, 1.0)
    images = np.array(list(test_5k))
    captions = np.array([caption for each in test_5k.values() for caption in each])
    sides = {"i2t": (image, text, images, captions), "t2i": (text, image, captions, images)}
    return image, text, {side: _lists(*parts) for side, parts in sides.items()}


def _lists(asked, items, asked_ids, item_ids):
    found = {}
    for start in range(0, len(asked), BLOCK):
        scores = items @ asked[start : start + BLOCK].T
        best = np.argpartition(-scores, TOP, axis=0)[:TOP]
        order = np.argsort(-np.take_along_axis(scores, best, 0), axis=0)
        rows = item_ids[np.take_along_axis(best, order, 0)].T.tolist()
        found |= dict(zip(asked_ids[start : start + BLOCK].tolist(), rows, strict=True))
    return found


@pytest.fixture(scope="module")
def theirs(authors, ranked):
    """Return what the package `eccv-caption` says of both label sets, as its users call it."""
    from eccv_caption import Metrics

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = Metrics()
    _, _, lists = ranked
    asked = ("cxc_recalls", "eccv_map_at_r", "eccv_rprecision")
    told = package.compute_all_metrics(lists["i2t"], lists["t2i"], target_metrics=asked, Ks=K)
    found = {}
    for side in SIDES:
        # Asked for all its figures, the package leaves out R@5 and R@10 of ECCV Caption.
        told |= {f"eccv_r{k}": package.eccv_recalls(lists, "all", K=k) for k in K}
        # The package has mAP@R and R-Precision under its own labels only; the function is the same.
        wide = authors.metrics(lists[side], package.cxc_gts[side])
        found |= {
            ("cxc", f"{side}.map@r"): wide["eccv_map_at_r"],
            ("cxc", f"{side}.r_precision"): wide["eccv_rprecision"],
            ("eccv", f"{side}.map@r"): told["eccv_map_at_r"][side],
            ("eccv", f"{side}.r_precision"): told["eccv_rprecision"][side],
        }
        found |= {(n, f"{side}.recall@{k}"): told[f"{n}_r{k}"][side] for n in EVALUATORS for k in K}
    return found


@pytest.mark.parametrize("name", EVALUATORS)
def test_all_figures_are_those_of_the_package_on_the_same_ranking(name, test_5k, gallery, ranked, theirs):
    image, text, _ = ranked
    found = EVALUATORS[name](k=K).evaluate(gallery(test_5k, image, text))
    assert {side: found.pop(f"{side}.queries") for side in SIDES} == SIZES[name]
    expected = {figure: value for (labels, figure), value in theirs.items() if labels == name}
    assert found == pytest.approx(expected, abs=1e-9)
    assert 0.05 < found["t2i.map@r"] < found["t2i.recall@1"] < found["t2i.recall@10"] < 0.8


def chance(authors, name):
    """Return each figure of items in random order, and its standard deviation for that many independent queries.

    Of N items p are right and R are to be found: R@K is 1 - C(N - p, K) / C(N, K); R-Precision is p / N, and has the
    variance of the hypergeometric distribution; each of the first R places is right with probability p / N, and any
    two with that times (p - 1) / (N - 1), which gives mAP@R. It never exceeds R-Precision, nor does its square.
    """
    found = {}
    captions = set(np.load(authors.data / "coco_test_ids.npy").tolist())
    for side, stem in SIDES.items():
        n = len(captions) if side == "i2t" else 5000
        labels = json.loads((authors.data / f"{name}_{stem}.json").read_text()).values()
        sizes = [
            (len([i for i in right if i in captions]) if side == "i2t" else len(right), len(right))
            for right in labels
        ]
        p, r = np.array(sizes).T
        moments = {f"recall@{k}": [1 - comb(n - a, k) / comb(n, k) for a, _ in sizes] for k in K}
        variances = {figure: [x * (1 - x) for x in rates] for figure, rates in moments.items()}
        moments["r_precision"], right = p / n, p / n * (1 - p / n) / r * (n - r) / (n - 1)
        moments["map@r"] = [
            a / n / b * sum((1 + (k - 1) * (a - 1) / (n - 1)) / k for k in range(1, b + 1)) for a, b in sizes
        ]
        variances |= {"r_precision": right, "map@r": right + moments["r_precision"] ** 2}
        found |= {
            f"{side}.{figure}": (np.mean(rates), sqrt(np.sum(variances[figure])) / len(sizes))
            for figure, rates in moments.items()
        }
    return found


@pytest.mark.parametrize("name", EVALUATORS)
def test_a_random_scorer_is_at_chance_and_a_constant_one_never_above(
    name, authors, test_5k, gallery, planted
):
    evaluator, levels = EVALUATORS[name](k=K), chance(authors, name)
    found = evaluator.evaluate(gallery(test_5k, *planted(5000, None)))
    assert levels.keys() == {figure for figure in found if not figure.endswith("queries")}
    for figure, (level, deviation) in levels.items():
        assert 0 < level < 0.02
        assert abs(found[figure] - level) <= 4 * deviation, figure
    # Equal embeddings whose products are rounded.
    point = np.random.default_rng(3).standard_normal(100)
    constant = np.tile((point / np.linalg.norm(point)).astype(np.float32), (25_000, 1))
    same = evaluator.evaluate(gallery(test_5k, constant[:5000], constant))
    assert {same[figure] for figure in levels} == {0.0}
