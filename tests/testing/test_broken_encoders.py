"""Every check of an encoder catches one that was broken for it, says on what, and spares an honest one."""

from __future__ import annotations

import random
import zlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from harness.catalog import Catalog
from harness.errors import InputError
from harness.testing import CONTRACTS, Violation, check_encoder
from harness.testing.contract import run_checks
from harness.testing.encoder_checks import Subject
from harness.testing.making import made


class Honest(nn.Module):
    """The mean of hashed words, batch normalisation, dropout."""

    def __init__(self):
        super().__init__()
        self.table = nn.EmbeddingBag(50, 16)
        self.norm = nn.BatchNorm1d(16)

    def prepare(self, raw, *, training):
        ids = [zlib.crc32(word.encode()) % 50 for word in raw.split()] or [0]
        return self.padded(ids)

    def padded(self, ids):
        return torch.tensor((ids + [0] * 12)[:12])

    def forward(self, batch):
        return self.finished(functional.dropout(self.norm(self.table(batch)), 0.2, self.training))

    def finished(self, output):
        return output


class Ragged(Honest):
    def padded(self, ids):
        return torch.tensor(ids)


class Numpy(Honest):
    def padded(self, ids):
        return np.array(ids)


class Transposed(Honest):
    def finished(self, output):
        return output.T


class NanOfOneWord(Honest):
    def finished(self, output):
        return output if len(output) > 2 else output * torch.nan


class Drafts(Honest):
    def draft(self, batch):
        return self(batch)[:, :3]


class Reports(Honest):
    def report(self):
        return {"unknown": 0.5}


class DrawsWords(Honest):
    def padded(self, ids):
        return super().padded(ids) * (torch.rand(12) > 0.5)


class AlwaysDrops(Honest):
    def finished(self, output):
        return functional.dropout(output, 0.5, True)


class NeverEvaluates(Honest):
    def train(self, mode=True):
        super().train(mode)
        self.norm.train()
        return self


class StartsAtRandom(Honest):
    def __init__(self):
        super().__init__()

    def finished(self, output):
        return output + random.random() if self.training else output


class MeanOfBatch(Honest):
    def finished(self, output):
        return output - output.mean(0)


class Squeezes(Honest):
    def finished(self, output):
        return output.squeeze()


class OneSize(Honest):
    def finished(self, output):
        return output.view(5, 16)


class NormOfBatch(Honest):
    """Normalises over the batch in evaluation mode as well, where one caption alone has no spread."""

    def finished(self, output):
        return output if self.training else (output - output.mean(0)) / output.std(0)


class RemembersWhatItSaw(Honest):
    """Adds the mean of the batch before, a state that is none."""

    seen = 0.0

    def finished(self, output):
        before, self.seen = self.seen, output.detach().mean(0)
        return output + before


class Detached(Honest):
    def finished(self, output):
        return output.detach()


class Tables(Honest):
    """A table that no state keeps."""

    def __init__(self):
        super().__init__()
        self.weight = torch.ones(16)

    def finished(self, output):
        if self.training:
            self.weight = self.weight + 1
        return output * self.weight


class Seeds(Honest):
    def padded(self, ids):
        torch.manual_seed(1)
        return super().padded(ids)


class Part:
    """The frozen part of an image encoder; `draws`, `wide`, `graded` and `other` break it."""

    shape, key = (48,), "part"

    def __init__(self, encoder):
        self.encoder = encoder

    def view(self, raw, index):
        return self.encoder.prepare(raw, training=False)

    def compute(self, batch):
        return self.encoder.features(batch).detach()


class Image(nn.Module):
    """The mean of a grid of cells, a fixed map, and a trained one."""

    part: Any = Part
    preprocessing = "16 pixels of a grid"

    def __init__(self):
        super().__init__()
        self.fixed = nn.Linear(48, 48)
        self.top = nn.Linear(48, 16)

    def prepare(self, raw, *, training):
        rows, columns = (np.arange(4) * side // 4 for side in raw.shape[:2])
        return torch.from_numpy(raw[rows][:, columns].astype(np.float32) / 255).flatten()

    def features(self, batch):
        return torch.relu(self.fixed(batch))

    def head(self, features):
        return self.top(features)

    def forward(self, batch):
        return self.head(self.features(batch))

    def frozen_part(self, frozen):
        part = self.part(self)
        if part.key == "part":
            part.key = f"part {self.fixed.weight.sum().item()}"
        return part


class Draws(Part):
    def view(self, raw, index):
        return super().view(raw, index) + torch.rand(48) * index


class Wide(Part):
    shape = (47,)


class Graded(Part):
    def compute(self, batch):
        return self.encoder.features(batch)


class OneKey(Part):
    key = "always"


class AnotherFeature(Part):
    def compute(self, batch):
        return super().compute(batch) + 1


class Keyless(Part):
    key = ""


class ChangesRaw(Image):
    def prepare(self, raw, *, training):
        prepared = super().prepare(raw, training=training)
        raw[:] = 0
        return prepared


class UnseededView(Image):
    def prepare(self, raw, *, training):
        return super().prepare(raw, training=training) + (random.random() if training else 0)


class TellsNothing(Image):
    def __init__(self):
        super().__init__()
        self.preprocessing = ""


class TellsNumbers(Image):
    preprocessing: Any = 224


class SeveralViews(Honest):
    test_view = 3


def image(part: Any) -> Any:
    return type(part.__name__, (Image,), {"part": part})


# check, encoder, sample, expected, found
CASES = [
    ("shapes", Ragged, "5 texts in training mode", "of one shape", ",)"),
    ("shapes", Numpy, "caption 'A black dog", "a tensor from prepare()", "ndarray"),
    ("shapes", Transposed, "5 texts", "(5, 16)", "(16, 5)"),
    ("shapes", NanOfOneWord, "a caption of one word", "finite embeddings", "row 0"),
    ("shapes", Drafts, "draft()", "(5, 16)", "(5, 3)"),
    ("shapes", Reports, "report()", "whole numbers", "0.5"),
    ("passport", TellsNothing, "its attributes", "a text as 'preprocessing'", "''"),
    ("passport", TellsNumbers, "its attributes", "a text as 'preprocessing'", "224"),
    ("passport", SeveralViews, "its attributes", "a text as 'test_view'", "3"),
    ("preparation", DrawsWords, "caption 'A black dog", "the same tensor", "another one"),
    ("preparation", ChangesRaw, "an image of 80 x 60 pixels", "the input as it was", "changed in place"),
    ("preparation", UnseededView, "an image of", "the same view for training", "another one"),
    ("modes", AlwaysDrops, "5 texts in evaluation mode", "from any seed", "dropped or drawn"),
    ("modes", NeverEvaluates, "after eval()", "all of it in evaluation mode", "norm"),
    ("modes", NeverEvaluates, "5 texts in evaluation mode", "its state as it was", "norm.running_mean"),
    ("determinism", StartsAtRandom, "5 texts in training mode", "the same embeddings", "others"),
    ("variable batch", MeanOfBatch, "in a batch of 1", "its embedding in a batch of 5", "away from it"),
    ("variable batch", Squeezes, "a batch of 1", "(1, 16)", "(16,)"),
    ("variable batch", OneSize, "a batch of 1", "no error", "RuntimeError"),
    ("variable batch", NormOfBatch, "a batch of 1", "finite embeddings", "NaN"),
    ("modes", RemembersWhatItSaw, "5 texts in evaluation mode", "from any seed", "others"),
    ("gradient", Detached, "2 texts in training mode", "with gradient", "detached"),
    ("state", Tables, "caption 'A black dog", "whose state was stored", "away from it"),
    ("frozen part", image(Draws), "view 1 of an image", "seeded by its index", "another one"),
    ("frozen part", image(Wide), "view 0 of an image", "(47,)", "(48,)"),
    ("frozen part", image(Graded), "view 0 of an image", "without gradient", "with gradient"),
    ("frozen part", image(OneKey), "two seeds", "another 'key'", "the same"),
    ("frozen part", image(AnotherFeature), "an image of 80 x 60", "what the encoder makes", "away from it"),
    ("frozen part", image(Keyless), "frozen_part(('*',))", "'key'", "''"),
    ("global state", Seeds, "prepare() of 5 texts in training mode", "torch's random state", "seeded"),
    ("global state", StartsAtRandom, "5 texts in training mode", "Python's random state", "drawn from"),
]


def alone(check: str, encoder: Any) -> list[Violation]:
    """Run one check: a broken encoder may fail others as well."""
    how = made("encoder", encoder, params=None, catalog=None, values={})
    subject = Subject(made=how, modality="image" if isinstance(encoder, Image) else "text", dim=16)
    return run_checks("encoder", type(encoder).__name__, {check: CONTRACTS["encoder"][check]}, subject)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1].__name__}")
def test_the_check_catches_it(case: Any) -> None:
    check, broken, sample, expected, found = case
    violations = alone(check, broken())
    assert any(sample in v.sample and expected in v.expected and found in v.found for v in violations), list(
        map(str, violations)
    )
    assert {(v.kind, v.check, v.where) for v in violations} == {
        ("encoder", check, CONTRACTS["encoder"][check].where)
    }


def test_an_image_encoder_that_does_not_tell_its_preprocessing_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(Image, "preprocessing")
    (violation,) = check_encoder(Image(), modality="image")
    assert (violation.check, violation.found) == ("passport", "no such attribute")
    assert "self.preprocessing = " in violation.where


def test_there_is_a_broken_encoder_for_every_check() -> None:
    assert {case[0] for case in CASES} == set(CONTRACTS["encoder"])


def test_honest_encoders_are_spared() -> None:
    torch.manual_seed(0)
    assert check_encoder(Honest(), modality="text") == []
    assert check_encoder(Image(), modality="image") == []


def test_by_name(toy_catalog: Catalog) -> None:
    assert check_encoder("words", catalog=toy_catalog) == []
    (violation, *_) = check_encoder("words", params={"fault": "raises"}, catalog=toy_catalog)
    assert "ZeroDivisionError: boom in forward, raised at" in violation.found
    assert "models.py:" in violation.found


def test_wrong_arguments(toy_catalog: Catalog) -> None:
    with pytest.raises(InputError, match="does not tell its modality"):
        check_encoder(Honest())
    with pytest.raises(InputError, match="a live encoder has its parameters already"):
        check_encoder(Honest(), params={"x": 1}, modality="text")
