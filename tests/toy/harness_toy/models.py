"""Encoders and losses of a few hundred parameters; `fault` says how an encoder breaks its contract."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.api import TrainPairs
from harness_toy.log import digest, note

INPUTS, WIDTH, LENGTH, TABLE = 48, 12, 8, 64


def flat(raw: np.ndarray) -> Tensor:
    return torch.from_numpy(raw.copy()).float().div(255).flatten()


class Backbone:
    """The frozen part; `drift` changes its key."""

    def __init__(self, layer: nn.Linear, drift: str) -> None:
        self.layer = layer
        self.key = f"toy {drift} {digest(layer.state_dict())}"
        self.shape = (WIDTH,)

    def view(self, raw: np.ndarray, index: int) -> Tensor:
        generator = torch.Generator().manual_seed(index)
        return flat(raw) + (0.1 * torch.randn(INPUTS, generator=generator) if index else 0.0)

    @torch.no_grad()
    def compute(self, batch: Tensor) -> Tensor:
        note(f"compute {len(batch)}")
        return torch.relu(self.layer(batch))


class Frozen(nn.Module):
    """A backbone whose output is cached where it is frozen, dropout, and a linear head."""

    preprocessing = "all pixels"

    def __init__(self, *, dim: int, drift: str = "") -> None:
        super().__init__()
        self.backbone = nn.Linear(INPUTS, WIDTH, bias=False)
        nn.init.orthogonal_(self.backbone.weight, generator=torch.Generator().manual_seed(7))
        self.top = nn.Linear(WIDTH, dim)
        self.drift, self.first = drift, True

    def prepare(self, raw: np.ndarray, *, training: bool) -> Tensor:
        return flat(raw)

    def frozen_part(self, frozen: Sequence[str]) -> Backbone | None:
        covered = any(fnmatchcase("backbone.weight", glob) for glob in frozen)
        return Backbone(self.backbone, self.drift) if covered else None

    def head(self, features: Tensor) -> Tensor:
        if self.training and self.first:
            self.first = False
            note(f"image starts from {digest(self.top.state_dict())}")
        return self.top(functional.dropout(features, 0.2, self.training))

    def forward(self, batch: Tensor) -> Tensor:
        return self.head(torch.relu(self.backbone(batch)))


class Direct(nn.Module):
    """No frozen part; augments with noise, and drops features at random."""

    preprocessing = "all pixels"

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.top = nn.Linear(INPUTS, dim)

    def prepare(self, raw: np.ndarray, *, training: bool) -> Tensor:
        return flat(raw) + (0.1 * torch.randn(INPUTS) if training else 0.0)

    def forward(self, batch: Tensor) -> Tensor:
        return self.top(functional.dropout(batch, 0.2, self.training))


class Stored(Direct):
    """Reads images that were decoded once, with a shorter side of `stored_size` pixels, and repeats them to 4 x 4."""

    preprocessing = "all pixels, repeated to 4 x 4"

    def __init__(self, *, dim: int, stored_size: int | None = 2) -> None:
        super().__init__(dim=dim)
        self.stored_size = stored_size

    def prepare(self, raw: np.ndarray, *, training: bool) -> Tensor:
        note(f"prepare {raw.shape}")
        return super().prepare(np.resize(raw, (4, 4, 3)), training=training)


class Words(nn.Module):
    """A bag of words. TOY_SLEEP seconds pass at each training step, so that a test can hit one."""

    def __init__(self, *, dim: int, fault: str = "") -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(TABLE, dim)
        self.dim, self.fault, self.first, self.steps = dim, fault, True, 0
        if fault == "default dtype":
            torch.set_default_dtype(torch.float64)

    def prepare(self, raw: str, *, training: bool) -> Tensor:
        ids = [zlib.crc32(word.encode()) % TABLE for word in raw.split()][:LENGTH]
        length = len(ids) if self.fault == "lengths" else LENGTH
        return torch.tensor((ids + [0] * LENGTH)[:length])

    def forward(self, batch: Tensor) -> Tensor:
        if self.training:
            note("step")
            time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
            if self.first:
                self.first = False
                note(f"text starts from {digest(self.table.state_dict())}")
        return self._broken(functional.dropout(self.table(batch), 0.2, self.training))

    def _broken(self, output: Tensor) -> Tensor:
        match self.fault:
            case "killed":
                kill_once()
            case "killed later":
                self._killed_later()
            case "killed always":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hangs":
                re.match(
                    "(a+)+$", 64 * "a" + "b"
                )  # C code that would take centuries and lets nobody else run
            case "raises":
                raise ZeroDivisionError("boom in forward")
            case "exits":
                raise SystemExit(0)
            case "escapes":
                raise GeneratorExit("past every except Exception")
            case "memory":
                bytearray(2**60)
            case "allocator":
                torch.empty(2**47, dtype=torch.uint8)
            case "nan":
                return output * torch.nan
            case "nan on test":
                return output if self.training else output * torch.nan
            case "shape":
                return torch.cat([output, output], 1)
            case "rows":
                return output[:-1] if not self.training else output
            case "prints":
                print("a plugin talks")
            case "prints and raises":
                print("a plugin talks")
                raise ZeroDivisionError("boom in forward")
        return output

    def _killed_later(self) -> None:
        """Kill this process in its sixth step; those before leave a checkpoint each."""
        if killed().exists():
            return
        sys.modules["harness.train"].CHECKPOINT_SECONDS = 0.0
        self.steps += 1
        if self.steps == 6:
            kill_once()


def killed() -> Path:
    """Return the mark of a process that was killed."""
    return Path(os.environ["TOY_LOG"] + ".killed")


def kill_once() -> None:
    """Kill this process, as the system does one that uses up memory; the next that comes here lives."""
    if not killed().exists():
        killed().touch()
        os.kill(os.getpid(), signal.SIGKILL)


class Contrast(nn.Module):
    """InfoNCE with a learned scale."""

    def __init__(self, *, scale: float = 5.0) -> None:
        super().__init__()
        note("training")
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        scores = self.scale * functional.normalize(image, dim=1) @ functional.normalize(text, dim=1).T
        return functional.cross_entropy(scores, torch.arange(len(group), device=group.device))

    def figures(self) -> Mapping[str, Tensor]:
        return {"scale": self.scale.detach()}


class Ridge(nn.Module):
    """Regress the captions' embeddings on the features of `Frozen`."""

    def __init__(self, *, strength: float = 1.0) -> None:
        super().__init__()
        note("training")
        self.strength = strength

    @torch.no_grad()
    def fit(self, image: Any, text: Any, train: TrainPairs) -> Mapping[str, float]:
        x = torch.cat(list(train.images()))[train.caption_image]
        y = text.eval()(torch.cat(list(train.texts())))
        weight = torch.linalg.solve(x.T @ x + self.strength * torch.eye(x.shape[1]), x.T @ y)
        image.top.weight.copy_(weight.T)
        image.top.bias.zero_()
        return {"error": float((x @ weight - y).square().mean())}

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        raise NotImplementedError


class Mined(Contrast):
    """InfoNCE that also compares with the candidates that are nearest to the batch's images."""

    def __init__(self, *, candidates: int = 5, take: int = 2, fault: str = "", weigh: float = 1.0) -> None:
        super().__init__()
        self.candidates, self.take, self.fault, self.weigh = candidates, take, fault, weigh

    @torch.no_grad()
    def mine(self, image: Tensor, group: Tensor, text: Tensor, text_group: Tensor) -> Tensor:
        assert text.shape[0] == text_group.shape[0] <= self.candidates
        assert not text.requires_grad
        assert not image.requires_grad
        note(f"candidates {text_group.tolist()}")
        return (image @ text.T).amax(0).topk(self.take).indices + (100 if self.fault == "rows" else 0)

    def forward(self, image: Tensor, text: Tensor, group: Tensor, mined: Tensor | None = None) -> Tensor:
        assert (mined is None) == (self.candidates == 0)
        if mined is not None:
            assert mined.shape == (self.take, image.shape[1])
            assert mined.requires_grad
            text = torch.cat([text, mined])
        return self.weigh * super().forward(image, text, group)


class Asking(Contrast):
    """Asks for the features of the train images, and keeps their mean; with a `key`, once for all runs."""

    def __init__(
        self,
        *,
        train_features: Callable[[], Tensor],
        remember: Callable[[str, Callable[[], Tensor]], Tensor],
        classes: int,
        key: str = "",
    ) -> None:
        super().__init__()

        def mean() -> Tensor:
            note(f"mean {key}")
            features = train_features()
            assert features.shape == (classes, WIDTH)
            return features.mean(0)

        self.register_buffer("mean", remember(key, mean) if key else mean())


class Constant(nn.Module):
    """Embeds every caption in one point."""

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.point = nn.Parameter(torch.ones(dim))

    def prepare(self, raw: str, *, training: bool) -> Tensor:
        return torch.zeros(1)

    def forward(self, batch: Tensor) -> Tensor:
        return self.point.expand(len(batch), -1)
