"""Every check of a loss catches one that was broken for it, says on what, and spares an honest one."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.catalog import Catalog
from harness.errors import InputError, TrainingError
from harness.testing import CONTRACTS, Violation, check_loss
from harness.testing.contract import run_checks
from harness.testing.loss_checks import Subject
from harness.testing.making import made


class Honest(nn.Module):
    """InfoNCE over the cosines of the batch."""

    def forward(self, image: Tensor, text: Tensor, group: Tensor) -> Tensor:
        scores = self.scores(image, text)
        target = torch.arange(len(group), device=group.device)
        return self.reduced(functional.cross_entropy(scores, target, reduction="none"))

    def scores(self, image: Tensor, text: Tensor) -> Tensor:
        return 5 * functional.normalize(image, dim=1) @ functional.normalize(text, dim=1).T

    def reduced(self, terms: Tensor) -> Tensor:
        return terms.mean()


class PerPair(Honest):
    def reduced(self, terms):
        return terms


class Number(Honest):
    def reduced(self, terms):
        return terms.mean().detach()


class DividesByLength(Honest):
    def scores(self, image, text):
        return (image / image.norm(dim=1, keepdim=True)) @ (text / text.norm(dim=1, keepdim=True)).T


class Distance(Honest):
    """Finite values, and gradients that are not where a distance is 0."""

    def scores(self, image, text):
        return -(image[:, None] - text[None]).square().sum(2).sqrt()


class Refuses(Honest):
    def scores(self, image, text):
        raise TrainingError("not today")


class ImageOnly(Honest):
    def scores(self, image, text):
        return super().scores(image, text.detach())


class CaptionOnly(Honest):
    def scores(self, image, text):
        with torch.no_grad():
            image = functional.normalize(image, dim=1)
        return 5 * image @ functional.normalize(text, dim=1).T


class NanOfTwo(Honest):
    """A deviation of one wrong score, which is none."""

    def reduced(self, terms):
        return terms.mean() + 0 * terms[1:].std()


class SaysFloat(Honest):
    def reduced(self, terms):
        return terms.mean().item()


class Grouped(Honest):
    """Takes captions in two halves, and so tells who stands where."""

    def scores(self, image, text):
        half = len(image) // 2
        scores = super().scores(image, text)
        scores[:half, half:] = -5
        return scores


class Repels(Honest):
    def scores(self, image, text):
        return -super().scores(image, text)


class Neighbour(Honest):
    """Takes the pair after it for right."""

    def forward(self, image, text, group):
        return super().forward(image, text.roll(1, 0), group)


class ByPlace(Honest):
    def reduced(self, terms):
        return (terms * torch.arange(len(terms), device=terms.device)).mean()


class ByPlaceAtRandom(Honest):
    """Draws, too: only the mean over many seeds tells."""

    def reduced(self, terms):
        return (terms * torch.arange(len(terms))).mean() + 0.01 * torch.randn(())


class Single(Honest):
    def reduced(self, terms):
        return terms.float().mean()


class MakesOnTheCpu(Honest):
    def reduced(self, terms):
        return (terms * torch.ones(len(terms), dtype=terms.dtype)).mean()


class Seeds(Honest):
    def reduced(self, terms):
        torch.manual_seed(0)
        return terms.mean()


class NumpyDraws(Honest):
    def reduced(self, terms):
        return terms.mean() + 0 * float(np.random.rand())


class PythonSeeds(Honest):
    def reduced(self, terms):
        random.seed(0)
        return terms.mean()


class Doubles(Honest):
    def reduced(self, terms):
        torch.set_default_dtype(torch.float64)
        return terms.mean()


class StopsGradients(Honest):
    def reduced(self, terms):
        value = terms.mean()
        torch.set_grad_enabled(False)
        return value


class TakesAllThreads(Honest):
    def reduced(self, terms):
        torch.set_num_threads(torch.get_num_threads() + 1)
        return terms.mean()


class InPlace(Honest):
    def scores(self, image, text):
        image /= image.norm(dim=1, keepdim=True).clamp(min=1e-6)
        return super().scores(image, text)


class Unseeded(Honest):
    def reduced(self, terms):
        return terms.mean() + torch.rand((), generator=torch.Generator().manual_seed(random.getrandbits(30)))


class Counts(Honest):
    """Warms up over a number of calls that no state keeps."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def reduced(self, terms):
        self.calls += self.training
        return terms.mean() * min(1.0, (self.calls + 1) / 10)


class SharesMemory(Honest):
    def __init__(self):
        super().__init__()
        self.register_buffer("one", torch.ones(4))
        self.register_buffer("part", self.one[:2])


class KeepsTheGraph(Honest):
    def reduced(self, terms):
        self.value = terms.mean()
        return self.value

    def figures(self):
        return {"value": self.value}


class Vector(KeepsTheGraph):
    def figures(self):
        return {"value": self.value.detach() * torch.ones(3)}


class Empty(KeepsTheGraph):
    def figures(self):
        return {"value": self.value.detach() / 0}


# check, loss, sample, expected, found
CASES = [
    ("scalar", PerPair, "8 random pairs", "shape ()", "one of shape (8,)"),
    ("scalar", Number, "8 random pairs", "with gradient", "detached"),
    ("scalar", DividesByLength, "all zero", "a finite number", "nan"),
    ("scalar", Distance, "exactly their images", "finite gradients", "image embedding"),
    ("scalar", Refuses, "8 random pairs", "no error", "TrainingError: not today, raised at"),
    ("gradient", ImageOnly, "8 random pairs", "a gradient to the caption embeddings", "none"),
    ("gradient", CaptionOnly, "8 random pairs", "a gradient to the image embeddings", "none"),
    ("scalar", NanOfTwo, "2 random pairs", "a finite number", "nan"),
    ("scalar", SaysFloat, "8 random pairs", "a tensor of shape ()", "float"),
    ("batch order", Grouped, "8 random pairs in training mode", "in any order", "in another one"),
    ("agreement", Repels, "8 pairs of seed 0", "where captions lie by other images", "by its own"),
    ("agreement", Neighbour, "8 pairs of seed 0", "where captions lie by other images", "by its own"),
    ("batch order", ByPlace, "8 random pairs in evaluation mode", "in any order", "in another one"),
    ("batch order", ByPlaceAtRandom, "8 random pairs in evaluation mode", "±", "in another one"),
    ("dtype and device", Single, "torch.float64", "a value of torch.float64", "torch.float32"),
    ("dtype and device", MakesOnTheCpu, "device", "where the embeddings are", "RuntimeError"),
    ("global state", Seeds, "8 random pairs", "torch's random state as it was", "seeded"),
    ("global state", NumpyDraws, "8 random pairs", "numpy's random state as it was", "drawn from"),
    ("global state", PythonSeeds, "8 random pairs", "Python's random state as it was", "seeded"),
    ("global state", Doubles, "8 random pairs", "default dtype as it was", "float64"),
    ("global state", StopsGradients, "8 random pairs", "gradient mode as it was", "False"),
    ("global state", TakesAllThreads, "8 random pairs", "number of threads as it was", ""),
    ("inputs", InPlace, "8 random pairs", "the image embeddings", "changed in place"),
    ("repeatable", Unseeded, "8 random pairs", "as the first time", ""),
    ("state", Counts, "in training mode", "as of the loss whose state was stored", ""),
    ("state", SharesMemory, "three steps", "can be stored", "share memory"),
    ("figures", KeepsTheGraph, "figure 'value'", "a detached number", "with gradient"),
    ("figures", Vector, "figure 'value'", "a tensor of one number", "(3,)"),
    ("figures", Empty, "figure 'value'", "a finite number", "inf"),
]


def alone(check: str, loss: nn.Module) -> list[Violation]:
    """Run one check: a broken loss may fail others as well."""
    subject = Subject(made=made("loss", loss, params=None, catalog=None, values={}), dim=16, classes=24)
    return run_checks("loss", type(loss).__name__, {check: CONTRACTS["loss"][check]}, subject)


def by(check: str, violations: list[Violation]) -> list[Violation]:
    return [violation for violation in violations if violation.check == check]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[1].__name__)
def test_the_check_catches_it(case: Any) -> None:
    check, broken, sample, expected, found = case
    mine = violations = alone(check, broken())
    assert any(sample in v.sample and expected in v.expected and found in v.found for v in mine), list(
        map(str, violations)
    )
    assert {(v.kind, v.name, v.where) for v in mine} == {
        ("loss", broken.__name__, CONTRACTS["loss"][check].where)
    }


def test_there_is_a_broken_loss_for_every_check() -> None:
    assert {case[0] for case in CASES} == set(CONTRACTS["loss"])


def test_an_honest_loss_is_spared_and_nothing_is_left_behind() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads(), torch.get_default_dtype()
    assert check_loss(Honest()) == []
    for broken in (TakesAllThreads, Doubles, StopsGradients, PythonSeeds):
        alone("scalar", broken())
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), torch.get_num_threads(), torch.get_default_dtype())
    assert torch.is_grad_enabled()


def test_an_error_is_told_once_with_its_place() -> None:
    violations = check_loss(Refuses())
    assert [v.check for v in violations] == ["scalar"]
    assert violations[0].found.startswith("TrainingError: not today, raised at ")
    assert __file__ in violations[0].found


def test_a_violation_reads_as_a_sentence() -> None:
    (violation,) = alone("gradient", ImageOnly())
    assert str(violation) == (
        "loss 'ImageOnly', check 'gradient': 8 random pairs: expected a gradient to the caption embeddings; found "
        "none. Look at detach, no_grad, argmax and casts to whole numbers on the way from that path."
    )


def test_by_name_and_with_parameters(toy_catalog: Catalog) -> None:
    assert check_loss("contrast", catalog=toy_catalog) == []
    assert check_loss("asking", catalog=toy_catalog) == []
    # It mines a few captions for the batch as a whole; with a row that is none, it says so.
    assert check_loss("mined", catalog=toy_catalog) == []
    (violation, *_) = check_loss("mined", catalog=toy_catalog, params={"fault": "rows"})
    assert "IndexError" in violation.found
    with pytest.raises(InputError, match="a live loss has its parameters already"):
        check_loss(Honest(), params={"x": 1})
    with pytest.raises(InputError, match="no plugin declares loss 'contrasd'; did you mean 'contrast'"):
        check_loss("contrasd", catalog=toy_catalog)


class Closed(nn.Module):
    """Ridge regression of the captions' features on the images'."""

    def fit(self, image, text, train):
        x = torch.cat(list(train.images()))[self.owner(train)]
        y = torch.cat(list(train.texts()))
        z = y @ torch.linalg.qr(y.T @ x).Q[:, : text.projection.out_features]
        a = torch.linalg.lstsq(x, z).solution
        b = torch.linalg.lstsq(y, z).solution
        pad = text.projection.out_features - z.shape[1]
        self.project(image, functional.pad(a, (0, pad)))
        text.project(functional.pad(b, (0, pad)), torch.zeros(text.projection.out_features))
        return {"error": self.error()}

    def owner(self, train):
        return train.caption_image

    def project(self, image, weight):
        image.project(weight, torch.zeros(weight.shape[1]))

    def error(self):
        return 0.5

    def forward(self, image, text, group):
        raise TrainingError("nothing to descend")


class WrongOwner(Closed):
    def owner(self, train):
        return train.caption_image.flip(0)


class Infinite(Closed):
    def error(self):
        return float("inf")


class FirstHalf(Closed):
    """Looks at the first images alone."""

    def owner(self, train):
        return train.caption_image.clamp(max=20)


class Noisy(Closed):
    def project(self, image, weight):
        super().project(image, weight + 0.01 * random.random())


class ClosedSeeds(Closed):
    def error(self):
        torch.manual_seed(0)
        return 0.0


@pytest.mark.parametrize(
    ("check", "broken"),
    [
        ("fit", WrongOwner),
        ("fit", Infinite),
        ("train order", FirstHalf),
        ("repeatable", Noisy),
        ("global state", ClosedSeeds),
    ],
)
def test_a_loss_in_closed_form(check: str, broken: Any) -> None:
    assert by(check, check_loss(broken()))
    assert check_loss(Closed()) == []
