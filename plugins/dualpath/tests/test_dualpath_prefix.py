"""A backbone that is frozen in part: what is cached, and that nothing else changes."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

import numpy as np
import pytest
import timm
import torch
from torch import Tensor, nn

from harness.api import CachedEncoder, FrozenPart, ParameterError
from harness_dualpath.image import ImageCNN

RESNET = ("backbone.conv1.*", "backbone.bn1.*", "backbone.layer[123].*")
EFFICIENTNET = ("backbone.conv_stem.*", "backbone.bn1.*", "backbone.blocks.[01].*")
VIT = ("backbone.cls_token", "backbone.pos_embed", "backbone.patch_embed.*", "backbone.blocks.[0-3].*")


def encoder(backbone: str = "test_resnet", seed: int = 0, **parameters: object) -> ImageCNN:
    torch.manual_seed(seed)
    model = ImageCNN(**{"dim": 8, "backbone": backbone, "weights": None, "hidden": 16, **parameters})  # type: ignore[arg-type]
    for module in model.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.7, 1.4)
            nn.init.uniform_(module.weight, 0.7, 1.4)  # timm lets some start at 0, where nothing can be seen
    return model


def freeze(model: ImageCNN, frozen: Sequence[str]) -> None:
    """Do as the harness does before training."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not any(fnmatchcase(name, glob) for glob in frozen))


def views(count: int = 4) -> Tensor:
    draws = torch.Generator().manual_seed(7)
    return torch.randint(0, 256, (count, 3, 160, 160), dtype=torch.uint8, generator=draws)


def close(one: Tensor, other: Tensor) -> bool:
    return torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.detach().abs().max()))


def cut_of(model: ImageCNN, frozen: Sequence[str]) -> str | None:
    part = model.frozen_part(frozen)
    assert (part is None) == (model.cut is None)
    return None if model.cut is None else model.cut.name


CASES = [
    ("test_resnet", RESNET, (192, 10, 10)),
    # Cut in the middle of a stage and of a block; what is frozen after the first trained layer stays so.
    ("test_resnet", (*RESNET, "backbone.layer4.0.conv1.*", "backbone.layer4.0.bn2.*"), (192, 10, 10)),
    ("test_efficientnet", EFFICIENTNET, (24, 40, 40)),
    ("test_efficientnet", (*EFFICIENTNET, "backbone.blocks.2.0.conv_pw.*", "backbone.bn2.*"), None),
    ("test_convnext", ("backbone.stem.*", "backbone.stages.[012].*"), None),
    ("test_vit", VIT, (101, 64)),
    ("test_vit2", ("backbone.*embed*", "backbone.reg_token", "backbone.blocks.*"), None),
]


@pytest.mark.parametrize(("backbone", "frozen", "shape"), CASES)
def test_cached_activations_equal_the_whole_path(
    backbone: str, frozen: tuple[str, ...], shape: tuple[int, ...] | None
) -> None:
    model = encoder(backbone)
    freeze(model, frozen)
    names = list(model.state_dict())
    part = model.frozen_part(frozen)
    assert isinstance(model, CachedEncoder)
    assert isinstance(part, FrozenPart)
    assert shape in (None, part.shape)
    assert list(model.state_dict()) == names
    batch = views()
    features = part.compute(batch)
    assert features.shape == (4, *part.shape)
    model.eval()
    assert close(model.head(features), model(batch))
    # Again with the running statistics that the first pass left behind.
    for _ in range(2):
        state = copy.deepcopy(model.state_dict())
        expected = model.train()(batch)
        moved = copy.deepcopy(model.state_dict())
        model.load_state_dict(state)
        assert close(model.head(features), expected)
        for name, tensor in model.state_dict().items():
            assert torch.allclose(tensor, moved[name], rtol=1e-3, atol=1e-4), name
    assert close(model.features(features), model.features(batch))


def test_training_moves_the_suffix_and_nothing_that_is_frozen() -> None:
    frozen = (*RESNET, "backbone.layer4.0.conv2.*", "backbone.layer4.0.bn2.*")
    model = encoder()
    freeze(model, frozen)
    part = model.frozen_part(frozen)
    assert part is not None
    batch = views()
    features = part.compute(batch)
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        model.train().head(features).square().sum().backward()
        optimizer.step()
    moved = {n for n, tensor in model.state_dict().items() if not torch.equal(tensor, before[n])}
    moved = {name for name in moved if name.startswith("backbone.")}
    trained = [
        n for n in before if n.startswith("backbone.layer4.") and not re.search(r"layer4\.0\.(conv|bn)2", n)
    ]
    assert moved == set(trained)  # weights and running statistics alike
    # The moved weights are those of the whole path, and the cached prefix is still that of the model.
    assert close(model.eval().head(features), model(batch))
    assert torch.equal(part.compute(batch), features)


def test_weights_that_are_loaded_later_reach_the_suffix() -> None:
    model, other = encoder(), encoder(seed=1)
    part = model.frozen_part(RESNET)
    assert part is not None
    state = other.state_dict() | {n: t for n, t in model.state_dict().items() if "layer4" not in n}
    state = {
        n: other.state_dict()[n] if n.startswith(("backbone.layer4", "projection")) else t
        for n, t in state.items()
    }
    model.load_state_dict(state)
    assert close(model.eval().head(part.compute(views())), model(views()))


def test_seeds_that_trained_other_suffixes_share_a_cache() -> None:
    def key(model: ImageCNN, frozen: Sequence[str] = RESNET) -> str:
        part = model.frozen_part(frozen)
        assert part is not None
        return part.key

    first, second = encoder(), encoder(seed=1)
    own = second.state_dict()
    second.load_state_dict(
        {n: own[n] if "layer4" in n or "projection" in n else t for n, t in first.state_dict().items()}
    )
    assert not torch.equal(second.backbone.layer4[0].conv1.weight, first.backbone.layer4[0].conv1.weight)
    assert key(second) == key(first)
    assert key(first, ["backbone.*"]) != key(first)
    assert len({key(first, (*RESNET[:2], f"backbone.layer[{stages}].*")) for stages in ("12", "123")}) == 2
    with torch.no_grad():
        second.backbone.layer1[0].conv1.weight.view(-1)[0] += 1e-3
    assert key(second) != key(first)
    # A batch normalisation's statistics are of the prefix, too.
    first.backbone.layer2[0].bn1.running_var[0] = 2.0
    assert key(first) != key(encoder())


def test_the_key_of_a_whole_backbone_is_the_one_that_caches_have() -> None:
    part = encoder("test_efficientnet", test_crop=0.9).frozen_part(["backbone.*"])
    assert part is not None
    masked = re.sub(r"(timm|pillow|weights)=[0-9a-f.]+", r"\1=?", part.key)
    assert masked == (
        "timm=? backbone=test_efficientnet weights=? mean=[123.67500305175781, 116.27999877929688, "
        "103.52999877929688] std=[58.39500045776367, 57.12000274658203, 57.375] height=160 width=160 "
        "interpolation=bicubic test_crop=0.9 crop_size=0.8 crop_aspect=1.3333333333333333 flip=0.5 pillow=? revision=1"
    )
    assert f"timm={timm.__version__} " in part.key
    assert re.search(r" weights=[0-9a-f]{64} ", part.key)
    assert part.shape == (256,)


def test_a_part_frozen_whole_is_the_same_before_and_after_a_cut() -> None:
    model = encoder().eval()
    whole = model.frozen_part(["backbone.*"])
    part = model.frozen_part(RESNET)
    again = model.frozen_part(["*"])  # as a loss's train_features asks for it
    assert whole is not None
    assert part is not None
    assert again is not None
    assert again.key == whole.key
    assert torch.equal(again.compute(views()), whole.compute(views()))
    # head tells what it gets by its shape.
    assert close(model.head(whole.compute(views())), model.head(part.compute(views())))


def test_activations_that_look_like_pooled_features_are_no_cut() -> None:
    model = encoder("test_vit2")
    frozen = ("backbone.*embed*", "backbone.reg_token", "backbone.blocks.*")  # all but the norm after pooling
    part = model.frozen_part(frozen)
    assert part is not None
    assert model.cut is not None
    assert model.cut.name != "mean"
    assert part.shape == (100, 64)  # the tokens before pooling


@pytest.mark.parametrize(
    "frozen",
    [
        (),
        ("projection.*",),
        ("backbone.bn1.*",),
        ("backbone.layer[1234].*",),  # the first convolution is trained
        ("backbone.*.bias", "backbone.*bn*"),
    ],
)
def test_without_a_frozen_beginning_pixels_are_read(frozen: tuple[str, ...]) -> None:
    assert cut_of(encoder(), frozen) is None


def test_position_embeddings_alone_are_no_prefix() -> None:
    assert cut_of(encoder("test_vit"), ["backbone.pos_embed", "backbone.cls_token"]) is None


def test_activations_larger_than_wanted_are_not_cached() -> None:
    stem = ("backbone.conv1.*", "backbone.bn1.*")
    assert cut_of(encoder(), stem) == "maxpool"  # 32 x 40 x 40 against 3 x 160 x 160
    assert cut_of(encoder(cut_size=0.6), stem) is None
    assert cut_of(encoder(cut_size=0), RESNET) is None
    assert encoder(cut_size=0).frozen_part(["backbone.*"]) is not None
    with pytest.raises(ParameterError, match="cut_size is -1"):
        encoder(cut_size=-1)


def test_a_cut_encoder_is_copied_pickled_and_compiled() -> None:
    model = encoder()
    freeze(model, RESNET)
    part = model.frozen_part(RESNET)
    assert part is not None
    features = part.compute(views())
    expected = model.eval().head(features)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(other.head(features), expected)
        with torch.no_grad():
            other.backbone.layer4[0].conv1.weight.zero_()  # the copy's own weights are those that it uses
        assert not torch.equal(other.head(features), expected)
    assert torch.equal(model.head(features), expected)
    compiled = torch.compile(lambda batch: model.head(batch), backend="eager")
    assert torch.allclose(compiled(features), expected)


def test_views_of_a_photograph_go_through_the_prefix() -> None:
    model = encoder().eval()
    part = model.frozen_part(RESNET)
    assert part is not None
    photo = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    assert torch.equal(part.view(photo, 0), model.prepare(photo, training=False))
    assert not torch.equal(part.view(photo, 1), part.view(photo, 0))
