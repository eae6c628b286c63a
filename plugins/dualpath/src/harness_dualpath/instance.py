"""Instance loss: every training image with its captions is a class of its own."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812 - the name that torch's own documentation uses
from torch import Tensor, nn

from harness.api import ParameterError
from harness_dualpath.layers import bound

CACHED = 1 << 20
"""Numbers that a core's cache holds."""


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
        sampled: part of the classes that a training step compares with, in (0, 1]: those of the batch, and others
            drawn anew for each step (An et al., Killing Two Birds with One Stone: Efficient and Robust Training of
            Face Recognition CNNs by Partial FC, CVPR 2022). Below 1 it is another loss, whose figures are those
            among the drawn classes; in evaluation mode all classes count.

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
        sampled: float = 1.0,
    ) -> None:
        super().__init__()
        if not 0 < sampled <= 1:
            raise ParameterError(f"instance loss: parameter 'sampled' is {sampled}, not in (0, 1]")
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
        self.sampled = sampled
        self._figures: dict[str, Tensor] = {}

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            image, text: (batch, dim) embeddings.
            group: (batch,) int64 class of each pair.
        """
        weight: Tensor = self.weight
        bias: Tensor | None = self.bias
        if self.training and self.sampled < 1:
            drawn = self._draw(group)
            weight, bias = weight[drawn], None if bias is None else bias[drawn]
            group = torch.searchsorted(drawn, group)
        # One product over both paths reads W_share once.
        logits = F.linear(self.dropout(torch.cat([image, text])), weight, bias)
        target = torch.cat([group, group])
        terms = F.cross_entropy(logits, target, reduction="none", label_smoothing=self.smoothing)
        image_loss, text_loss = terms.view(2, -1).mean(dim=1)
        self._note(logits.detach(), target, image_loss.detach(), text_loss.detach())
        loss: Tensor = self.image_weight * image_loss + self.text_weight * text_loss
        return loss

    def figures(self) -> Mapping[str, Tensor]:
        """Return the last call's cross-entropy and top-1 and top-5 accuracy, 0..1, of either path."""
        return dict(self._figures)

    def _draw(self, group: Tensor) -> Tensor:
        """Return the classes of a step in order: those of `group`, and others at random up to the part `sampled`."""
        count = round(self.sampled * len(self.weight))
        if count < len(group):  # asked only then: a GPU that tells how many differ is waited for
            count = max(count, len(torch.unique(group)))
        order = torch.rand(len(self.weight), device=group.device)
        order[group] = 2.0
        return order.topk(count).indices.sort().values

    def _note(self, logits: Tensor, target: Tensor, image_loss: Tensor, text_loss: Tensor) -> None:
        image_rank, text_rank = _others(logits, target).view(2, -1)
        self._figures = {"image_ce": image_loss, "text_ce": text_loss}
        for path, rank in (("image", image_rank), ("text", text_rank)):
            for k in (1, 5):
                self._figures[f"{path}_top{k}"] = (rank < k).float().mean()


def _others(logits: Tensor, target: Tensor) -> Tensor:
    """Count the other classes that score at least as high as the target: its rank from 0, ties lost, without a sort."""
    truth = logits.gather(1, target.unsqueeze(1))
    if logits.device.type != "cpu":
        return (logits >= truth).sum(dim=1) - 1
    # Several times as fast as to sum booleans; float32 counts exactly up to 2^24.
    rows = max(1, CACHED // logits.shape[1])
    memory = torch.empty(min(rows, len(logits)), logits.shape[1])
    counted = [
        torch.ge(part, own, out=memory[: len(part)]).sum(dim=1)
        for part, own in zip(torch.split(logits, rows), torch.split(truth, rows), strict=True)
    ]
    return torch.cat(counted).long() - 1
