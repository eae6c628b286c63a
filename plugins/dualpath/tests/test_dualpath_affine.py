"""The affine head, which a loss in closed form sets."""

from __future__ import annotations

import pytest
import torch

from harness.api import ParameterError
from harness_dualpath.image import ImageCNN


def encoder(head):
    torch.manual_seed(0)
    return ImageCNN(dim=5, backbone="test_resnet", weights=None, head=head).eval()


def test_an_affine_head_is_set_to_a_given_map():
    model = encoder("affine")
    views = torch.randint(0, 256, (3, 3, model.views.height, model.views.width), dtype=torch.uint8)
    with torch.no_grad():
        features = model.features(views)
        weight, bias = torch.randn(features.shape[1], 5), torch.randn(5)
        model.project(weight, bias)
        torch.testing.assert_close(model(views), features @ weight + bias)
        torch.testing.assert_close(model.head(features), features @ weight + bias)
        assert torch.equal(model.features(features), features)


@pytest.mark.parametrize("head", ["paper", "linear"])
def test_another_head_cannot_be_set(head):
    model = encoder(head)
    with pytest.raises(ParameterError, match="only an affine head"):
        model.project(torch.zeros(3, 5), torch.zeros(5))
