"""The image path: its head, its frozen part, and what training may and may not change."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
import pytest
import torch
from torch import nn

from harness.api import CachedEncoder, FrozenPart, ParameterError
from harness_dualpath.backbone import create, folded
from harness_dualpath.image import ImageCNN


def encoder(**parameters: object) -> ImageCNN:
    torch.manual_seed(0)
    given = {"dim": 8, "backbone": "test_resnet", "weights": None, "hidden": 16, **parameters}
    return ImageCNN(**given)  # type: ignore[arg-type]


def photographs(count: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    sizes = [(90, 120), (300, 170), (160, 160), (7, 400)]
    return [random.integers(0, 256, (*sizes[k % 4], 3), dtype=np.uint8) for k in range(count)]


def untrivial(model: nn.Module) -> None:
    """Give batch normalisations statistics that matter."""
    draws = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2, generator=draws)
            module.running_var.uniform_(0.7, 1.4, generator=draws)


@pytest.mark.parametrize("head", ["paper", "linear"])
@pytest.mark.parametrize("standardize", [False, True])
def test_embeds_any_photograph(head: str, standardize: bool) -> None:
    model = encoder(head=head, standardize=standardize)
    batch = torch.stack([model.prepare(photo, training=True) for photo in photographs(4)])
    assert batch.shape == (4, 3, 160, 160)
    assert batch.dtype == torch.uint8
    output = model.train()(batch)
    assert output.shape == (4, 8)
    assert torch.isfinite(output).all()


def test_head_of_the_paper() -> None:
    model = encoder(hidden=None, dim=8)
    width = 96  # pooled features of this backbone; the head is as wide unless told otherwise
    linears = [m for m in model.projection.modules() if isinstance(m, nn.Linear)]
    assert [tuple(m.weight.shape) for m in linears] == [(width, width), (8, width)]
    assert all(m.bias is None for m in linears)
    norms = [m for m in model.projection.modules() if isinstance(m, nn.BatchNorm1d)]
    assert [m.eps for m in norms] == [1e-3, 1e-3]
    limit = (3 / width) ** 0.5
    assert linears[0].weight.detach().abs().max() <= limit
    assert float(linears[0].weight.detach().std()) == pytest.approx(width**-0.5, rel=0.05)


def test_vgg_offers_fc7_before_its_relu() -> None:
    with torch.device("meta"):
        model = ImageCNN(dim=8, backbone="vgg11", weights=None)
    assert isinstance(model.backbone.pre_logits.act2, nn.Identity)
    assert isinstance(model.backbone.pre_logits.act1, nn.ReLU)
    first = next(m for m in model.projection.modules() if isinstance(m, nn.Linear))
    assert first.weight.shape == (4096, 4096)


def test_relu_ends_training_features_and_not_those_of_the_test() -> None:
    features = torch.randn(6, 96)
    model = encoder()
    assert model.train().head(features).min() == 0
    before = model.eval().head(features)
    assert before.min() < 0
    model.projection.embed.test_before_relu = False
    assert torch.equal(model.head(features), before.relu())
    assert encoder(relu=False).train().head(features).min() < 0


def test_dropout_of_features_is_for_training_only() -> None:
    model, features = encoder(feature_dropout=0.5, hidden_dropout=0.5), torch.randn(6, 96)
    assert not torch.equal(model.train().head(features), model.head(features))
    assert torch.equal(model.eval().head(features), model.head(features))


def test_standardized_features_do_not_depend_on_their_scale() -> None:
    torch.manual_seed(0)
    features = torch.randn(64, 96)
    model = encoder(standardize=True).train()
    assert torch.allclose(model.head(features), model.head(features * 7 + 3), atol=1e-3)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "test_vit", "test_byobnet"])
def test_cached_features_equal_the_whole_path(backbone: str) -> None:
    model = encoder(backbone=backbone).eval()
    untrivial(model)
    part = model.frozen_part(["backbone.*"])
    assert isinstance(model, CachedEncoder)
    assert isinstance(part, FrozenPart)
    photos = photographs()
    views = torch.stack([part.view(photo, 0) for photo in photos])
    assert torch.equal(views, torch.stack([model.prepare(photo, training=False) for photo in photos]))
    features = part.compute(views)
    assert features.shape == (3, *part.shape)
    assert features.std() > 0
    expected = model(views)
    assert torch.allclose(model.head(features), expected, atol=1e-4 * float(expected.detach().abs().max()))
    model.train().head(features).sum().backward()  # cached features serve a trained head


def test_folding_leaves_no_normalisation_and_the_original_alone() -> None:
    model = create("test_resnet", None).eval()
    untrivial(model)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sample = torch.rand(2, 3, 160, 160)
    copy = folded(model, sample)
    assert not [m for m in copy.modules() if isinstance(m, nn.BatchNorm2d)]
    assert torch.allclose(copy(sample), model(sample), rtol=1e-3, atol=1e-4)
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())


def test_a_model_that_cannot_be_folded_is_left_as_it_is() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return (self.norm(y) + y).mean((2, 3))  # the convolution's own output is used, too

    model = Shared().eval()
    untrivial(model)
    sample = torch.rand(2, 3, 5, 5)
    copy = folded(model, sample)
    assert isinstance(copy.norm, nn.BatchNorm2d)
    assert torch.equal(copy(sample), model(sample))


def test_there_is_no_frozen_part_where_the_first_layers_are_trained() -> None:
    model = encoder()
    assert model.frozen_part([]) is None
    assert model.frozen_part(["backbone.layer4.*"]) is None
    assert model.frozen_part(["projection.*"]) is None
    assert model.frozen_part(["*"]) is not None
    assert encoder(backbone_norm="batch").frozen_part(["backbone.*"]) is None


def test_the_key_changes_with_all_that_changes_features() -> None:
    def key(model: ImageCNN) -> str:
        part = model.frozen_part(["backbone.*"])
        assert part is not None
        return part.key

    first = key(encoder())
    torch.manual_seed(0)
    same = encoder()
    assert key(same) == first
    with torch.no_grad():
        next(same.backbone.parameters()).view(-1)[0] += 1e-3
    assert key(same) != first
    statistics = encoder()
    next(m for m in statistics.backbone.modules() if isinstance(m, nn.BatchNorm2d)).running_mean[0] = 1.0
    assert key(statistics) != first
    others = [{"test_crop": 0.9}, {"crop_size": 0.5}, {"crop_aspect": 1.0}, {"flip": 0.0}]
    assert len({key(encoder(**other)) for other in others} | {first}) == 5


def test_the_key_does_not_depend_on_the_head() -> None:
    model = encoder()
    other = encoder(hidden=4, dim=3, feature_dropout=0.5)
    other.backbone.load_state_dict(model.backbone.state_dict())
    first, second = model.frozen_part(["backbone.*"]), other.frozen_part(["backbone.*"])
    assert first is not None
    assert second is not None
    assert first.key == second.key


def test_a_frozen_backbone_keeps_its_statistics_while_the_head_trains() -> None:
    batch = torch.randint(0, 256, (4, 3, 160, 160), dtype=torch.uint8)
    for setting, changes in (("stored", False), ("batch", True)):
        model = encoder(backbone_norm=setting)
        model.backbone.requires_grad_(False)
        before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
        model.train()(batch)
        after = model.backbone.state_dict()
        assert any(not torch.equal(after[name], before[name]) for name in before) == changes
        assert model.projection.training
    tuned = encoder()
    assert tuned.train().backbone.training  # its parameters are trained


def test_state_round_trips() -> None:
    first, second = encoder(standardize=True), encoder(standardize=True)
    batch = torch.randint(0, 256, (4, 3, 160, 160), dtype=torch.uint8)
    first.train()(batch)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(batch), second.eval()(batch))


def test_training_views_follow_the_global_random_state() -> None:
    model, photo = encoder(), photographs(1)[0]
    torch.manual_seed(5)
    first, other = (model.prepare(photo, training=True) for _ in range(2))
    torch.manual_seed(5)
    assert torch.equal(model.prepare(photo, training=True), first)
    assert not torch.equal(first, other)


def test_wrong_parameters_are_named() -> None:
    with pytest.raises(ParameterError, match="did you mean 'test_resnet'"):
        encoder(backbone="test_resnett")
    with pytest.raises(ParameterError, match=r"test_crop is 1\.5"):
        encoder(test_crop=1.5)
    with pytest.raises(ParameterError, match=r"dropout probability .* got 1.5"):
        encoder(feature_dropout=1.5)


def test_a_glob_names_all_new_normalisation() -> None:
    model = encoder(standardize=True)
    scales = [name for name, _ in model.projection.named_parameters() if fnmatchcase(name, "*norm.weight")]
    assert scales == ["hidden_norm.weight", "embed.norm.weight"]
