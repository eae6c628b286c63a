"""What became of a run that failed: its cause on one line, the whole story in a file."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.errors import HarnessError
from harness.execute.outcome import Outcome, Workspace
from harness.execute.provenance import now, peak_bytes
from harness.memory import RanOutError, is_memory
from harness.plan import Cell, RunSpec
from harness.store import Store

LONGEST = 400
"""Characters of a cause; the file has all of it."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a run failed.

    Attributes:
        run: fingerprint of the run that failed first: a child fails with its parent.
        cause: on one line.
        hint: what to do, on one line; empty where nobody knows.
        traceback: file with the whole story.
        provenance: ``finished``, when it failed, ``command`` and ``revision``, as those of a result.
    """

    run: str
    cause: str
    hint: str
    traceback: Path
    provenance: Mapping[str, str] = field(default_factory=dict)

    def of_child(self) -> Failure:
        """Return it as the failure of a run that would have started from the one that failed."""
        if self.cause.startswith("its parent run "):
            return self
        return replace(self, cause=f"its parent run {self.run} failed: {self.cause}")


def record(error: BaseException, run: RunSpec, workspace: Workspace, store: Store, *, name: str) -> Failure:
    """Keep the story of a failure in the file ``failures/<name>.txt`` of the store.

    Raises:
        StoreError: if the file cannot be written.
    """
    cause, hint = told(error)
    if is_memory(error):
        ran_out = error.__cause__
        peak = ran_out.peak if isinstance(ran_out, RanOutError) else peak_bytes(workspace.device)
        cause = f"out of memory at a batch of {run.stage.batch}, peak {peak / 1e9:.1f} GB: {cause}"
        hint = _smaller(run, workspace)
    story = "".join(traceback.format_exception(error))
    path = store.record_failure(name, f"{story}\n{cause}\n{hint}".rstrip() + "\n")
    # Attempts that fail within a second are told apart by it.
    finished = now("microseconds")
    provenance = {"command": workspace.command, "revision": workspace.revision, "finished": finished}
    return Failure(run=run.fingerprint, cause=cause, hint=hint, traceback=path, provenance=provenance)


def failed_outcome(cell: Cell, failure: Failure, seconds: float) -> Outcome:
    """Return what became of a cell whose run, or evaluator, failed."""
    return Outcome(
        cell=cell,
        status="failed",
        error=failure.cause,
        hint=failure.hint,
        traceback=failure.traceback,
        provenance=failure.provenance,
        seconds=seconds,
    )


def _smaller(run: RunSpec, workspace: Workspace) -> str:
    """Return what makes a run smaller that was not tried."""
    others = f"a smaller batch in stage {run.stage.name!r}, or a device with more memory."
    if workspace.parts.halve:
        return f"Use {others}"
    without = (
        " without --devices" if workspace.devices > 1 else " without --compile" if workspace.compile else ""
    )
    return f"Use --accumulate auto{without}, {others}"


def told(error: BaseException) -> tuple[str, str]:
    """Return the cause of an error and its hint, each on one line."""
    if isinstance(error, HarnessError):
        return one_line(error.message), one_line(error.hint)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return one_line(text), ""


def one_line(text: str) -> str:
    """Return a text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
