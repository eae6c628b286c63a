"""The processes that train one run together, and what they tell each other."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.distributed.share import Share, share_of
from harness.inputs import ImageInputs

if TYPE_CHECKING:
    from torch import Tensor, nn

    from harness.inputs import Ints


@dataclass(frozen=True)
class Team:
    """One of `size` processes that see the same batches; torch's default process group joins them.

    Each embeds its share of the rows. The embeddings are gathered, so that every process computes the losses of the
    whole batch; gradients are averaged over processes, which makes them those of one process on the whole batch.
    A team of one does nothing of that.
    """

    rank: int = 0
    size: int = 1

    @property
    def lead(self) -> bool:
        """Whether this is the process that validates, writes and speaks."""
        return self.rank == 0

    def share(self, total: int) -> Share:
        """Return this process's rows of a batch of `total`."""
        return share_of(total, self.rank, self.size)

    def batches(
        self, images: ImageInputs, order: Ints, views: Ints, size: int, seed: int | None
    ) -> Iterator[Tensor]:
        """Yield this process's share of each batch of `size` images, see `harness.inputs.ImageInputs.batches`."""
        import numpy as np

        if self.size == 1:
            yield from images.batches(order, views, size, seed)
            return
        full = len(order) // size * size
        for start, stop, rows in ((0, full, size), (full, len(order), len(order) - full)):
            if start == stop:
                continue
            own = self.share(rows)
            firsts = np.arange(start, stop, rows)
            mine = (firsts[:, None] + np.arange(own.start, own.stop)).ravel()
            yield from images.batches(order[mine], views[mine], own.rows, seed)

    def whole(self, embed: Callable[[Tensor], Tensor], own: Tensor, total: int) -> Tensor:
        """Embed a batch together.

        Args:
            embed: (rows, ...) -> (rows, dim).
            own: this process's rows of it.
            total: rows of the whole batch.

        Returns:
            (total, dim) with gradient to this process's rows.
        """
        share = self.share(total)
        if share.parts == 1:
            return embed(own)
        from harness.distributed.collectives import gather
        from harness.distributed.whole_batch import WholeBatch

        with WholeBatch(share):
            embedded = embed(own)
        return gather(embedded, share)

    def terms(self, root: nn.Module, compute: Callable[..., dict[str, Tensor]]) -> Callable[..., Any]:
        """Return `compute`, which uses the parameters of `root`, so that a backward pass averages their gradients.

        All processes start from the weights of the first.
        """
        if self.size == 1:
            return compute
        from torch.nn.parallel import DistributedDataParallel

        from harness.distributed.collectives import Computing

        # Which parameters a loss leaves out is its own affair; torch warns where there are none. The name that is
        # to take the place of broadcast_buffers is not in the older versions.
        for message in ("find_unused_parameters=True", "`broadcast_buffers` is deprecated"):
            warnings.filterwarnings("ignore", message=message)
        return DistributedDataParallel(
            Computing(root, compute), broadcast_buffers=False, find_unused_parameters=True
        )

    def agree(self, *values: float) -> tuple[float, ...]:
        """Return the numbers that the first process has; all must call it."""
        if self.size == 1:
            return values
        import torch
        import torch.distributed as dist

        told = torch.tensor(values, dtype=torch.float64)
        dist.broadcast(told, 0)
        return tuple(told.tolist())

    def same(self, rows: Tensor) -> Tensor:
        """Return the (k,) int64 of the first process, whose k may be another than here; all must call it."""
        if self.size == 1:
            return rows
        import torch
        import torch.distributed as dist

        count = int(self.agree(len(rows))[0])
        # Where they lie: a GPU that is read from is waited for.
        told = rows.contiguous() if self.lead else torch.empty(count, dtype=torch.int64, device=rows.device)
        dist.broadcast(told, 0)
        return told

    def same_random(self, device: str) -> None:
        """Take over the state of the first process's random generators, of the CPU and of `device`."""
        if self.size == 1:
            return
        import torch
        import torch.distributed as dist

        states = [torch.get_rng_state()]
        if device != "cpu":
            states.append(torch.cuda.get_rng_state(device))
        told = torch.cat(states)
        dist.broadcast(told, 0)
        if not self.lead:
            own = torch.split(told, [len(state) for state in states])
            torch.set_rng_state(own[0].clone())
            if device != "cpu":
                torch.cuda.set_rng_state(own[1].clone(), device)

    @contextlib.contextmanager
    def lead_first(self) -> Iterator[None]:
        """Let the first process do the block before the others do it."""
        if not self.lead:
            self.agree(0)
        yield
        if self.lead:
            self.agree(0)


ALONE = Team()
