"""What torch is set to."""

from __future__ import annotations

from typing import Any

import torch

from harness.execute.settings import settle


def gradient() -> bytes:
    """Return the gradient of rows that are chosen several times, large enough for torch to use its threads."""
    draws = torch.Generator().manual_seed(0)
    table = torch.randn(64, 512, generator=draws).requires_grad_()
    weight = torch.randn(64, 512, generator=draws)
    (table[torch.randint(8, (64,), generator=draws)] * weight).sum().backward()  # type: ignore[no-untyped-call]
    assert table.grad is not None
    return table.grad.numpy().tobytes()


def test_what_threads_add_up_on_a_cpu_has_one_order(toy: Any) -> None:
    threads = torch.get_num_threads()
    try:
        settle(toy.workspace(threads=2))
        assert len({gradient() for _ in range(100)}) == 1
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.set_num_threads(threads)


def test_a_switch_that_was_turned_is_turned_back(toy: Any) -> None:
    settle(toy.workspace())
    torch.set_deterministic_debug_mode("error")
    torch.set_default_dtype(torch.float64)
    settle(toy.workspace())
    assert torch.get_deterministic_debug_mode() == 1
    assert torch.get_default_dtype() == torch.float32
