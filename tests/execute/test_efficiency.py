"""Operations against what arithmetic says, and what a run keeps of them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.execute.efficiency import MEASURED, efficiency
from tests.execute.conftest import Site


class Pooled(nn.Module):
    """Mean over the pixels, then one matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.map = nn.Linear(3, 5)

    def prepare(self, raw: Any, *, training: bool) -> torch.Tensor:
        return torch.from_numpy(np.asarray(raw, dtype=np.float32))

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.map(batch.mean(dim=(1, 2)))


class Recurrent(nn.Module):
    """A recurrent layer over seven places."""

    def __init__(self, layer: type[nn.GRU] | type[nn.LSTM]) -> None:
        super().__init__()
        self.layer = layer(4, 6, batch_first=True)

    def prepare(self, raw: str, *, training: bool) -> torch.Tensor:
        return torch.ones(7, 4)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        return self.layer(batch)[0][:, -1]


class Images:
    """Images of random pixels, of two shapes."""

    def pixels(self, record: int) -> Any:
        return np.full((8 + record % 2, 8, 3), record, dtype=np.uint8)


@pytest.mark.parametrize(("layer", "gates"), [(nn.GRU, 3), (nn.LSTM, 4)])
def test_operations_are_those_that_arithmetic_says(layer: Any, gates: int) -> None:
    image, text = Pooled().train(), Recurrent(layer).train()
    split: Any = SimpleNamespace(records=range(10), captions=["some words"] * 20)
    found = efficiency(image, text, Images(), split, "cpu")  # type: ignore[arg-type]
    assert tuple(found) == MEASURED
    assert found["image_flops"] == 2 * 3 * 5
    assert found["text_flops"] == 7 * gates * 2 * (4 * 6 + 6 * 6)
    assert found["images_per_second"] > 0
    assert found["captions_per_second"] > 0
    assert image.training
    assert text.training


def test_a_run_keeps_what_embedding_takes(shapes: Site) -> None:
    from harness.store import Store

    store = Store(shapes.workspace.home)
    for fingerprint in shapes.runs.values():
        cost = store.result(fingerprint).cost
        assert all(cost[name] > 0 for name in MEASURED)


def test_a_failed_measurement_costs_no_run(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> dict[str, float]:
        raise ZeroDivisionError("no speed")

    monkeypatch.setattr("harness.execute.run.efficiency", fail)
    notes: list[str] = []
    toy.listener.note = notes.append
    (outcome,) = toy.execute(toy.plan(matrix="one"))
    assert outcome.status == "done"
    assert notes == ["what embedding takes was not measured: ZeroDivisionError: no speed"]
    assert not set(MEASURED) & set(outcome.result.cost)
