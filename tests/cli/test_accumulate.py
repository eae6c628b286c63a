"""`harness run --accumulate`: a run that finds too little memory, with the option and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch

Invoke = Callable[..., tuple[int, str, str]]
ONE = ("run", "--matrix", "one", "--json")


def stored(invoke: Invoke, cell: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance of a cell."""
    told: dict[str, Any] = json.loads(invoke("show", cell["fingerprint"], "--json")[1])
    return dict(told["result"]["provenance"])


@pytest.fixture
def narrow(toy_catalog: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the text path memory for four captions of a batch of six."""
    from harness_toy.models import Words

    whole = Words.forward

    def forward(self: Any, batch: Any) -> Any:
        embedded = whole(self, batch)
        if self.training and len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return embedded

    monkeypatch.setattr(Words, "forward", forward)


@pytest.mark.usefixtures("narrow")
def test_memory_that_runs_out_is_named_or_makes_parts_of_a_batch(invoke: Invoke) -> None:
    code, out, err = invoke(*ONE)
    assert code == 1
    (cell,) = json.loads(out)["cells"]
    assert cell["error"].startswith("out of memory at a batch of 6, peak ")
    assert "CUDA out of memory" in cell["error"]
    assert cell["hint"].startswith("Use --accumulate auto, a smaller batch in stage 'one'")

    code, out, err = invoke(*ONE, "--accumulate", "auto")
    assert code == 0, err
    assert "out of memory with 6 images at a time, in epoch 1, step 1: from now on" in " ".join(err.split())
    (cell,) = json.loads(out)["cells"]
    assert stored(invoke, cell)["accumulate"] == 2
    assert "6 images, embedded in 2 parts" in " ".join(invoke("show", cell["fingerprint"])[1].split())


def test_a_number_of_parts_and_none(invoke: Invoke) -> None:
    for arguments, parts in (((), 1), (("--accumulate", "3"), 3)):
        code, out, err = invoke(*ONE, *arguments, "--force")
        assert code == 0, err
        (cell,) = json.loads(out)["cells"]
        assert stored(invoke, cell)["accumulate"] == parts
        assert ("embedded in" in invoke("show", cell["fingerprint"])[1]) == (parts > 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--accumulate", "0"), "it takes auto, or a number of parts from 1"),
        (("--accumulate", "most"), "it takes auto, or a number of parts from 1"),
        (("--accumulate", "auto", "--devices", "2"), "works on one device only, and not compiled"),
        (("--accumulate", "2", "--compile", "eager"), "works on one device only, and not compiled"),
    ],
)
def test_parts_that_cannot_be_are_refused(invoke: Invoke, arguments: tuple[str, ...], message: str) -> None:
    code, _, err = invoke(*ONE, *arguments)
    assert code == 2
    said = " ".join(err.split())
    assert message in said
    assert "Use --accumulate auto" in said or "Leave out --accumulate or" in said
