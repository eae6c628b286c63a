"""Whatever of global state a component changes is named, with what it was asked, and put back."""

from __future__ import annotations

import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from harness.testing.settings import settings
from harness.testing.state import preserved, touched

# What is watched -> ways to change it, and what is said of each.
CHANGES: dict[str, list[tuple[Callable[[], Any], str]]] = {
    "torch's default dtype": [(lambda: torch.set_default_dtype(torch.float64), "torch.float64")],
    "torch's default device": [(lambda: torch.set_default_device("meta"), "meta")],
    "gradient mode": [(lambda: torch.set_grad_enabled(False), "False")],
    "autocast": [
        (lambda: torch.set_autocast_enabled("cpu", True), "other ones: cpu"),
        (lambda: torch.set_autocast_enabled("cuda", True), "other ones: cuda"),
        (lambda: torch.set_autocast_dtype("cuda", torch.bfloat16), "other ones: cuda"),
    ],
    "anomaly detection": [(lambda: torch.set_anomaly_enabled(True), "True")],
    "number of threads": [(lambda: torch.set_num_threads(torch.get_num_threads() + 1), "")],
    "deterministic algorithms": [
        (lambda: torch.use_deterministic_algorithms(True), "2"),
        (lambda: torch.use_deterministic_algorithms(True, warn_only=True), "1"),
    ],
    "precision of float32 (TF32)": [
        (lambda: torch.set_float32_matmul_precision("high"), "get_float32_matmul_precision()"),
        (lambda: torch.set_float32_matmul_precision("medium"), "cuda.matmul"),
        (lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True), "cuda.matmul"),
        (lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"), "cuda.matmul"),
        (lambda: setattr(torch.backends.cudnn, "allow_tf32", False), "cudnn.conv, cudnn.rnn"),
        (lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"), "cudnn.conv"),
    ],
    "flags of cuDNN": [
        (lambda: setattr(torch.backends.cudnn, "benchmark", True), "benchmark"),
        (lambda: setattr(torch.backends.cudnn, "deterministic", True), "deterministic"),
        (lambda: setattr(torch.backends.cudnn, "enabled", False), "enabled"),
    ],
    "precision of CUDA's sums": [
        (lambda name=name, value=value: setattr(torch.backends.cuda.matmul, name, value), name)
        for name, value in (
            ("allow_fp16_reduced_precision_reduction", False),
            ("allow_bf16_reduced_precision_reduction", False),
            ("allow_fp16_accumulation", True),
        )
    ],
    "flags of oneDNN": [
        (lambda: torch.backends.mkldnn.set_flags(False), "enabled"),
        (lambda: torch.backends.mkldnn.set_flags(_deterministic=True), "deterministic"),
    ],
    "kernels of attention": [
        (lambda: torch.backends.cuda.enable_flash_sdp(False), "flash"),
        (lambda: torch.backends.cuda.enable_mem_efficient_sdp(False), "mem_efficient"),
        (lambda: torch.backends.cuda.enable_math_sdp(False), "math"),
        (lambda: torch.backends.cuda.enable_cudnn_sdp(False), "cudnn"),
        (lambda: torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True), "fp16_bf16_reduction_math"),
    ],
    "denormal numbers flushed to 0": [(lambda: torch.set_flush_denormal(True), "True")],
    "sharing of tensors among processes": [
        (lambda: torch.multiprocessing.set_sharing_strategy("file_system"), "file_system")
    ],
    "Python's random state": [
        (random.random, "drawn from or seeded"),
        (lambda: random.seed(0), "drawn from or seeded"),
    ],
    "numpy's random state": [
        (np.random.rand, "drawn from or seeded"),
        (lambda: np.random.seed(0), "drawn from or seeded"),
    ],
    "numpy's error handling": [(lambda: np.seterr(divide="raise"), "divide")],
    "working folder": [(lambda: os.chdir("/"), "/")],
    "environment variables": [
        (lambda: os.environ.update(ACME_TOKEN="secret"), "other ones: ACME_TOKEN"),
        (lambda: os.environ.pop("PATH"), "other ones: PATH"),
    ],
    "sys.path": [
        (lambda: sys.path.insert(0, "/acme"), "with '/acme'"),
        (lambda: sys.path.pop(), "without"),
        (lambda: sys.path.reverse(), "another list"),
    ],
    "handlers of signals": [
        (lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN), "SIGTERM"),
        (lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), "SIGINT"),
    ],
    "hook of uncaught exceptions": [(lambda: setattr(sys, "excepthook", print), "print")],
    "mode bits of new files (umask)": [(lambda: os.umask(0o111), "0o111")],
    "filters of warnings": [
        (lambda: warnings.simplefilter("always", BytesWarning), "BytesWarning"),
        (warnings.resetwarnings, "without"),
    ],
    "locale": [(lambda: locale.setlocale(locale.LC_ALL, "C"), "C")],
    "the root logger": [
        (lambda: logging.root.setLevel(logging.ERROR), "level"),
        (lambda: logging.root.addHandler(logging.NullHandler()), "handlers"),
    ],
    "garbage collection": [(gc.disable, "False")],
    "limit of recursion": [(lambda: sys.setrecursionlimit(12_345), "12345")],
    "how processes are started": [(lambda: multiprocessing.set_start_method("spawn", force=True), "spawn")],
    "Pillow's limit of pixels": [(lambda: setattr(Image, "MAX_IMAGE_PIXELS", None), "None")],
    "Pillow's refusal of truncated images": [
        (lambda: setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True), "False")
    ],
}
CASES = [(name, change, told) for name, ways in CHANGES.items() for change, told in ways]


@pytest.fixture(scope="module", autouse=True)
def loaded() -> None:
    """Load what torch loads at a first call, with filters and variables of its own."""
    torch.use_deterministic_algorithms(True)
    torch.use_deterministic_algorithms(False)


@pytest.fixture(autouse=True)
def as_torch_begins() -> None:
    """Begin from torch's own precision: a run of a test before this one has asked for another."""
    for library in (torch.backends.cuda, torch.backends.mkldnn):
        library.matmul.fp32_precision = "none"
    for part in (torch.backends.mkldnn.conv, torch.backends.mkldnn.rnn):
        part.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


def read() -> dict[str, Any]:
    return {name: setting.read() for name, setting in settings().items()}


def step(change: Callable[[], Any]) -> Callable[[], Iterator[str]]:
    def steps() -> Iterator[str]:
        yield "made anew"
        yield "8 random pairs"
        change()
        yield "their gradient"

    return steps


@pytest.fixture(autouse=True)
def another_locale() -> Iterator[None]:
    """Begin from a locale that is none but everywhere: there may be no other."""
    kept = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C")
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    yield
    locale.setlocale(locale.LC_ALL, kept)


@pytest.mark.parametrize(("name", "change", "told"), CASES, ids=[name for name, *_ in CASES])
def test_a_change_is_told_with_what_was_asked_and_put_back(
    name: str, change: Callable[[], Any], told: str
) -> None:
    before = read()
    (found,) = touched(step(change))
    assert (found.name, found.sample) == (name, "8 random pairs")
    assert told in found.became
    assert "secret" not in found.became
    after = read()
    assert {key for key in before if before[key] != after[key]} == set()


def test_there_is_a_change_of_everything_that_is_watched() -> None:
    assert set(CHANGES) == set(settings())


def test_several_are_told_each_with_where_it_happened() -> None:
    def steps() -> Iterator[str]:
        yield "made anew"
        torch.manual_seed(0)
        os.environ["ACME"] = "1"
        yield "its value"
        os.environ["ACME"] = "2"
        random.random()

    found = {each.name: each.sample for each in touched(steps)}
    assert found == {
        "environment variables": "made anew",
        "Python's random state": "its value",
        "torch's random state": "made anew",
    }


def test_to_draw_from_torch_is_fine_and_to_seed_it_is_not() -> None:
    assert touched(step(lambda: torch.rand(3))) == []
    (found,) = touched(step(lambda: torch.manual_seed(3)))
    assert (found.name, found.sample) == ("torch's random state", "8 random pairs")
    assert "seeded" in found.became
    # As a component should that wants numbers of its own.
    with_generator = step(lambda: torch.rand(3, generator=torch.Generator().manual_seed(3)))
    assert touched(with_generator) == []


def test_what_raises_is_put_back_too() -> None:
    before = read()

    def steps() -> Iterator[str]:
        yield "made anew"
        os.environ["ACME"] = "1"
        torch.set_default_dtype(torch.float64)
        raise LookupError("boom")

    with pytest.raises(LookupError, match="boom"):
        touched(steps)
    assert read() == before


def test_torch_is_put_back_after_both_of_its_interfaces_were_written_to() -> None:
    before = read()
    with preserved():
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        with pytest.raises(RuntimeError, match="mix"):
            torch.get_float32_matmul_precision()
    assert read() == before
    assert torch.get_float32_matmul_precision() == "highest"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU of CUDA")
def test_a_seed_of_cuda_is_told_and_its_states_are_put_back() -> None:
    torch.cuda.init()
    before = torch.cuda.get_rng_state_all()
    assert touched(step(lambda: torch.rand(3, device="cuda"))) == []
    (found,) = touched(step(lambda: torch.cuda.manual_seed_all(0)))
    assert (found.name, found.sample) == ("CUDA's random states", "8 random pairs")
    assert all(map(torch.equal, before, torch.cuda.get_rng_state_all()))
