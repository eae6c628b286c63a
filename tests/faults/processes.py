"""Real processes of the command line that a test may kill, and what they leave in a folder."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

from harness.leaderboard import read_rows
from harness.store import Store

HOUSE = ("--threads", "1", "--device", "cpu")
RUN = ("run", "--matrix", "faulty", *HOUSE)
OFTEN = "import harness.train\nharness.train.CHECKPOINT_SECONDS = 0.0\n"
"""Python that makes a victim keep a checkpoint of every epoch."""
MATRIX = """\
  faulty:
    summary: two runs, a parent, and what follows from closed form
    experiment: toy
    axes:
      variant: {plain: {}, direct: {experiment: direct}, closed: {experiment: closed}, after: {stage: two}}
"""


@dataclass
class Place:
    """A registry, a store and leaderboards in a folder of their own."""

    folder: Path

    @property
    def home(self) -> Path:
        """The store."""
        return self.folder / "home"

    def kept(self) -> dict[str, Any]:
        """Return the figures that a reader finds now, by run and by row; every file of a run is checked."""
        store, found = Store(self.home), dict[str, Any]()
        for fingerprint in store.fingerprints():
            assert store.damage(fingerprint) == []
            result = store.result(fingerprint)
            assert result.fingerprint == fingerprint
            found[fingerprint] = result.figures
        rows = self.folder / "leaderboards" / "results.jsonl"
        return found | (
            {f"row {row.labels}": row.metrics for row in read_rows(rows)} if rows.exists() else {}
        )

    def figures(self) -> dict[str, Any]:
        """Return all that must not depend on when, where and how often a run began, by run and by row."""
        store, found = Store(self.home), dict[str, Any]()
        for fingerprint in store.fingerprints():
            folder, result = store.folder(fingerprint), store.result(fingerprint)
            tensors = [load_file(folder / f"{name}.safetensors") for name in ("embeddings", "weights")]
            history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
            found[fingerprint] = (
                *({name: array.tobytes() for name, array in each.items()} for each in tensors),
                *((folder / name).read_bytes() for name in ("ranks.parquet", "queries.npz")),
                [{key: value for key, value in row.items() if key != "seconds"} for row in history],
                result.figures,
                (result.best_epoch, result.val_rsum, result.passport, result.spec),
            )
        rows = self.folder / "leaderboards" / "results.jsonl"
        for row in read_rows(rows):
            found[f"row {row.labels}"] = (row.fingerprint, row.metrics, row.val_rsum, row.best_epoch)
        return found

    def left(self) -> list[Path]:
        """Return what is left of killed processes: nothing, once a run came to its end."""
        hidden = [path for path in self.folder.rglob(".*") if not path.name.endswith(".lock")]
        return hidden + list((self.home / "work").glob("*"))


@dataclass
class Victim:
    """A forked process of the command line."""

    pid: int
    output: Path
    server: Victims

    @property
    def over(self) -> bool:
        """Whether it is known to have ended."""
        return self.pid in self.server.codes

    def wait(self, timeout: float = 300) -> int:
        """Return its exit code, -9 where it was killed."""
        return self.server.ended(self.pid, timeout)

    def kill_after(self, seconds: float, number: int = 9) -> None:
        """Send a signal after some time, unless it ended before."""
        end = time.monotonic() + seconds
        while not self.over and (left := end - time.monotonic()) > 0:
            self.server.listen(left)
        if not self.over:
            self.kill(number)

    def kill(self, number: int) -> None:
        """Send a signal; one that is gone is left alone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")


@dataclass
class Victims:
    """Starts processes of `harness` from one that has imported everything."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    scratch: Path
    modules: list[str] = field(default_factory=list)
    codes: dict[int, int] = field(default_factory=dict)
    began: list[int] = field(default_factory=list)
    rest: bytes = b""
    count: int = 0

    def run(self, place: Place, before: str = OFTEN, **environment: str) -> Victim:
        """Start the matrix of the faults in a process of its own."""
        arguments = (*RUN, "--home", str(place.home))
        return self.start(*arguments, folder=place.folder, before=before, **environment)

    def start(
        self, *arguments: str, folder: Path, before: str = "", learn: Path | None = None, **environment: str
    ) -> Victim:
        """Fork a process that runs `harness` with arguments, or only `before`, in a folder."""
        self.count += 1
        output = self.scratch / f"said-{self.count}.txt"
        order = {
            "arguments": arguments,
            "folder": str(folder),
            "environment": self.environment | environment,
            "output": str(output),
            "before": before,
            "modules": self.modules,
            "learn": str(learn) if learn else "",
        }
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        while not self.began:
            self.listen(120)
        return Victim(self.began.pop(), output, self)

    def ended(self, pid: int, timeout: float) -> int:
        """Wait for a process; return its exit code."""
        end = time.monotonic() + timeout
        while pid not in self.codes:
            assert time.monotonic() < end, f"process {pid} has not ended"
            self.listen(1)
        return self.codes[pid]

    def listen(self, timeout: float) -> None:
        """Take in what the server answers within some seconds."""
        assert self.process.stdout is not None
        handle = self.process.stdout.fileno()
        if not select.select([handle], [], [], timeout)[0]:
            return
        chunk = os.read(handle, 2**16)
        assert chunk, "the server of victims is gone"
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        for told in map(json.loads, lines):
            if "began" in told:
                self.began.append(told["began"])
            else:
                self.codes[told["ended"]] = told["code"]
