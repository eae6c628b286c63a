"""Names, draws and figures of the text CNN as they were when runs were first measured: checkpoints depend on them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from harness_dualpath.text import TextCNN

CAPTIONS = ["a dog runs over the grass", "two dogs play with a red ball", "the man sees a dog"]
GLOVE = "dog 0.5 -1.5\nthe 1.0 2.0\ncat 3.0 3.0\nman -2.0 1.0\n"
PINNED = {
    "plain": (
        {},
        (0.42083340883255005, 48.503238576930016, 0.26482152938842773),
        [
            [0.9201111, 0.0, 1.3203067, 0.2990103],
            [0.4686612, 1.2696586, 0.0, 1.0465935],
            [0.0, 0.0, 0.0, 0.0],
        ],
        [
            [0.1886086, 0.1597292, -0.0687312, 0.1829050],
            [0.1270827, 0.1018914, 0.0952709, -0.0092531],
            [0.3391275, 0.1305891, 0.1669528, 0.0409201],
        ],
    ),
    "masked": (
        {"shift": False, "mask": True, "test_position": "centre", "relu": False},
        (0.42083340883255005, 48.503238576930016, 0.7968919277191162),
        [
            [1.3055723, -1.1944175, -0.1986600, 0.3683256],
            [-0.1868798, -0.0572915, -1.1130960, -1.3662057],
            [-1.1186936, 1.2517089, 1.3117559, 0.9978804],
        ],
        [
            [0.1872943, -0.0641573, 0.3212660, -0.0796350],
            [-0.0756853, -0.0804284, 0.2719837, -0.1916891],
            [-0.1922093, -0.2106386, 0.1268159, -0.2497008],
        ],
    ),
    "projected": (
        {"vectors": GLOVE, "embedding_dim": 6, "vocabulary": "all"},
        (0.8576002717018127, 91.23761104419827, 0.9540659785270691),
        [[1.3368994, 0.0, 0.1938972, 1.4068171], [0.0, 1.3570393, 1.1161493, 0.0], [0.0, 0.0, 0.0, 0.0]],
        [
            [0.2209511, -1.3407784, 0.7724712, -2.4545927],
            [-0.2189353, -1.1444218, 0.6784241, -2.3888156],
            [0.7542070, -0.7559386, 0.8456589, -2.0250814],
        ],
    ),
    "random": (
        {"vectors": GLOVE, "embedding": "random", "embedding_dim": None},
        (0.44669491052627563, 9.278627693653107, 0.7508397698402405),
        [
            [1.0401164, 0.0, 0.0, 0.0],
            [0.3096837, 1.2788941, 0.0, 0.2278336],
            [0.0, 0.0, 1.3087976, 1.0944797],
        ],
        [
            [0.3524753, 0.1576271, -0.1253507, -0.0737711],
            [0.1921283, -0.0426587, -0.0580181, -0.1318092],
            [0.3972995, 0.1863907, 0.0146825, 0.0885539],
        ],
    ),
}


def built(parameters: dict[str, object]) -> TextCNN:
    torch.manual_seed(0)
    given: dict[str, object] = {
        "dim": 4,
        "captions": CAPTIONS,
        "width": 0.0625,
        "length": 12,
        "embedding_dim": 16,
        "blocks": [2, 1],
        "word_dropout": 0.2,
        "embedding_dropout": 0.2,
        "feature_dropout": 0.2,
    }
    return TextCNN(**{**given, **parameters})  # type: ignore[arg-type]


@pytest.mark.parametrize("case", PINNED)
def test_draws_and_figures_are_those_of_the_measured_runs(case: str, tmp_path: Path) -> None:
    parameters, (after_building, embedding, after_training), trained, tested = PINNED[case]
    if "vectors" in parameters:
        (tmp_path / "glove.txt").write_text(str(parameters["vectors"]))
        parameters = {**parameters, "vectors": str(tmp_path / "glove.txt")}
    model = built(parameters)
    # The next number of the stream tells how many were drawn, and so in which order.
    assert float(torch.rand(())) == after_building
    assert float(model.embedding.weight.detach().double().abs().sum()) == pytest.approx(embedding, rel=1e-5)
    ids = torch.stack([model.prepare(caption, training=False) for caption in CAPTIONS])
    torch.manual_seed(1)
    assert torch.allclose(model.train()(ids), torch.tensor(trained), atol=1e-4)
    assert float(torch.rand(())) == after_training
    assert torch.allclose(model.eval()(ids), torch.tensor(tested), atol=1e-4)


def test_names_and_shapes_of_the_weights_are_those_of_the_stored_ones() -> None:
    state = built({}).state_dict()
    listed = "\n".join(f"{name} {tuple(tensor.shape)}" for name, tensor in state.items())
    assert hashlib.sha256(listed.encode()).hexdigest()[:16] == "71d6811a4bb8be7c", listed
    assert {name.split(".")[0] for name in state} == {
        *("embedding", "embedding_bias", "embedding_norm", "blocks", "projection")
    }
