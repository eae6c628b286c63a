"""Memory that runs out is told from what else goes wrong."""

from __future__ import annotations

import pytest
import torch

from harness.memory import is_memory, release


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    """Return an error that was raised from another."""
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def handled(first: BaseException, second: BaseException) -> BaseException:
    """Return an error that was raised where another was handled."""
    try:
        try:
            raise first
        except BaseException:
            raise second  # noqa: B904 - it is the context that is looked into
    except BaseException as caught:
        return caught


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
        ),
        raised(ValueError("embedding failed"), cause=MemoryError()),
        raised(ValueError("a"), cause=raised(KeyError("b"), cause=torch.OutOfMemoryError())),
        handled(MemoryError(), KeyError("while cleaning up")),
    ],
    ids=["machine", "device", "allocator", "cause", "causes", "context"],
)
def test_memory_that_ran_out(error: BaseException) -> None:
    assert is_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        RuntimeError("shapes do not fit"),
        ValueError("can't allocate memory"),
        raised(ValueError("a"), cause=KeyError("b")),
    ],
    ids=["nothing", "another", "text-alone", "causes"],
)
def test_what_else_goes_wrong(error: BaseException | None) -> None:
    assert not is_memory(error)


def test_what_torch_itself_says_of_the_memory_of_the_machine() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_memory(caught.value)
    release()


def test_errors_that_name_each_other_as_cause_end() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert not is_memory(one)
