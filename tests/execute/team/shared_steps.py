"""Steps of training that several processes share: what each computes, for comparison with one process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional

from harness.distributed import Team
from harness.inputs import FeatureInputs
from harness.model import Model
from harness.protocols import Record, Split
from harness.step import Batch, Numerics, Step
from harness_dualpath.instance import InstanceLoss
from harness_dualpath.ranking import RankingLoss

IMAGES, DIM = 12, 8


class Image(nn.Module):
    """Batch normalisation and dropout over cached features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(16, DIM), nn.BatchNorm1d(DIM, affine=False)),
        )

    def head(self, features: Tensor) -> Tensor:
        return self.layers(features)


class Text(nn.Module):
    """A convolution; whole words, channels and single values are dropped. One layer is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.norm = nn.Embedding(30, DIM), nn.BatchNorm1d(DIM)
        self.layer, self.unused = nn.Conv1d(DIM, DIM, 3, padding=1), nn.Linear(2, 2)

    def forward(self, ids: Tensor) -> Tensor:
        if self.training:
            ids = ids * (torch.rand(ids.shape) >= 0.2)
        hidden = self.norm(self.layer(self.table(ids).transpose(1, 2)))
        if self.training:
            hidden = hidden * hidden.new_empty(len(hidden), DIM, 1).bernoulli_(0.9)
        return functional.dropout(hidden, 0.3, self.training).mean(2)


@dataclass
class Seen:
    """What one step gave."""

    terms: dict[str, float]
    gradients: dict[str, Tensor | None]
    buffers: dict[str, Tensor]


def steps(team: Team, rows: tuple[int, ...], precision: str) -> list[Seen]:
    """Take the gradient of instance loss and mined ranking loss on batches of so many rows."""
    torch.manual_seed(0)
    split = Split(
        "train", tuple(Record(image=f"i{k}", split="train", captions=("a", "b")) for k in range(IMAGES))
    )
    features, texts = torch.randn(1, IMAGES, 5), torch.randint(1, 30, (2 * IMAGES, 6))
    losses = {
        "instance": InstanceLoss(dim=DIM, classes=IMAGES, dropout=0.5),
        "ranking": RankingLoss(negatives="mined", candidates=9),
    }
    root = nn.ModuleDict({"image": Image(), "text": Text(), "loss": nn.ModuleDict(losses)}).train()
    model = Model(root, dict.fromkeys(losses, 1.0))
    numerics = Numerics(precision=precision)
    step = Step(model, FeatureInputs(features), split, texts, seed=0, numerics=numerics, team=team)
    compute = team.terms(root, step.terms)
    seen = []
    for count in rows:
        order = torch.arange(count)
        # As a resumed training would: from here on, nothing but the first process's state counts.
        torch.manual_seed(count if team.lead else 100 + team.rank)
        team.same_random("cpu")
        root.zero_grad(set_to_none=True)
        own = features[0, order][team.share(count).slice]
        terms = compute(Batch(images=own, texts=texts[2 * order], groups=order), 1, count)
        torch.stack(list(terms.values())).sum().backward()
        seen.append(
            Seen(
                {name: float(term.detach()) for name, term in terms.items()},
                {n: None if p.grad is None else p.grad.clone() for n, p in root.named_parameters()},
                {name: buffer.clone() for name, buffer in root.named_buffers()},
            )
        )
    return seen


def share(rank: int, size: int, folder: Path, rows: tuple[int, ...], precision: str) -> None:
    """Take the steps as one of several processes; what it saw is written to a file."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", store=dist.FileStore(str(folder / "meeting"), size), rank=rank, world_size=size
    )
    seen = steps(Team(rank, size), rows, precision)
    torch.save([vars(each) for each in seen], folder / f"{rank}.pt")
    dist.destroy_process_group()
