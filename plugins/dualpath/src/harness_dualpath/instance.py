"""Instance loss: every training image with its captions is a class of its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import Tensor, nn

from harness.api import ParameterError
from harness_dualpath.layers import bound


class InstanceLoss(nn.Module):
    """Classify images and captions with one shared classifier (Zheng et al., eqs. 3-6).

        L = image_weight CE(f_img W_share, c) + text_weight CE(f_text W_share, c)

    over raw logits: no normalisation, no scale. It is not the batch-wise softmax that some libraries call so.

    Args:
        dim: size of the common embedding; given by the harness.
        classes: number of training images; given by the harness.
        dropout: probability of dropping an entry of an embedding before W_share, in [0, 1).
        bias: give W_share a bias, as the authors' code does.
        image_weight, text_weight: weights of the two terms, at least 0.
        smoothing: label smoothing, in [0, 1]; the paper has none.

    Raises:
        ParameterError: if a number is out of its range.
    """

    def __init__(
        self,
        *,
        dim: int,
        classes: int,
        dropout: float = 0.75,
        bias: bool = True,
        image_weight: float = 1.0,
        text_weight: float = 1.0,
        smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1 or not 0 <= smoothing <= 1 or min(image_weight, text_weight) < 0:
            raise ParameterError(
                f"instance loss: dropout {dropout} is not in [0, 1), smoothing {smoothing} not in [0, 1], "
                f"or a weight ({image_weight}, {text_weight}) is negative"
            )
        self.weight = nn.Parameter(torch.empty(classes, dim))
        nn.init.uniform_(self.weight, -0.1 * bound(dim), 0.1 * bound(dim))
        self.bias = nn.Parameter(torch.zeros(classes)) if bias else None
        self.dropout = nn.Dropout(dropout)
        self.image_weight, self.text_weight, self.smoothing = image_weight, text_weight, smoothing
        self._figures: dict[str, Tensor] = {}

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            image, text: (batch, dim) embeddings.
            group: (batch,) int64 class of each pair.
        """
        # One product over both paths reads W_share once.
        logits = F.linear(self.dropout(torch.cat([image, text])), self.weight, self.bias)
        target = torch.cat([group, group])
        terms = F.cross_entropy(logits, target, reduction="none", label_smoothing=self.smoothing)
        image_loss, text_loss = terms.view(2, -1).mean(dim=1)
        self._note(logits.detach(), target, image_loss.detach(), text_loss.detach())
        loss: Tensor = self.image_weight * image_loss + self.text_weight * text_loss
        return loss

    def figures(self) -> Mapping[str, Tensor]:
        """Return the last call's cross-entropy and top-1 and top-5 accuracy, 0..1, of either path."""
        return dict(self._figures)

    def _note(self, logits: Tensor, target: Tensor, image_loss: Tensor, text_loss: Tensor) -> None:
        # Rank by counting, ties lost: no sort of the classes.
        others = (logits >= logits.gather(1, target.unsqueeze(1))).sum(dim=1) - 1
        image_rank, text_rank = others.view(2, -1)
        self._figures = {"image_ce": image_loss, "text_ce": text_loss}
        for path, rank in (("image", image_rank), ("text", text_rank)):
            for k in (1, 5):
                self._figures[f"{path}_top{k}"] = (rank < k).float().mean()
