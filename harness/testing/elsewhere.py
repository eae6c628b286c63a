"""Reads a dataset in a process of its own, where sets are ordered otherwise and folders are listed backwards."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.protocols import Record
from harness.specs import DatasetSpec

HASH_SEED = "20171"
"""Orders sets and dicts' hashes of text otherwise than the process that asks."""
DRAWN = 16
"""Images of which the pixels are compared."""


def digests(component: Any, records: Sequence[Record], *, embedded: bool) -> list[list[str]]:
    """Return split, id and a hash of the rest for every record; of the first images, the pixels count, too."""
    found = []
    for place, record in enumerate(records):
        rest: Any = [list(record.captions), record.file, sorted(record.tags.items())]
        content = hashlib.sha256(json.dumps(rest).encode())
        if embedded and place < DRAWN:
            content.update(component.pixels(record).tobytes())
        found.append([record.split, record.image, content.hexdigest()])
    return found


def read_elsewhere(spec: DatasetSpec, params: dict[str, Any], source: Path | None) -> list[list[str]] | str:
    """Return the digests that another process finds, or what it died of; the same folders are importable there."""
    question = {
        "target": spec.target,
        "embedded": spec.embedded,
        "name": spec.name,
        "params": params,
        "source": None if source is None else str(source),
    }
    environment = {
        **os.environ,
        "PYTHONHASHSEED": HASH_SEED,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        [sys.executable, "-m", "harness.testing.elsewhere"],
        input=json.dumps(question),
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    found: list[list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Answer the question on standard input on standard output."""
    from harness.build import build
    from harness.catalog import Catalog, Entry
    from harness.data.prepared import annotations_of
    from harness.plan import Part
    from harness.testing.contract import quiet

    asked = json.load(sys.stdin)
    _list_backwards()
    name = asked["name"]
    spec = DatasetSpec(name=name, target=asked["target"], summary="", embedded=asked["embedded"])
    catalog = Catalog(
        components={("dataset", name): Entry(spec=spec, plugin=name, distribution=name, version="")}
    )
    part = Part(name=name, use=name, revision=1, params=asked["params"])
    source = None if asked["source"] is None else Path(asked["source"])
    try:
        with quiet():
            component = build(part, "dataset", catalog)
            records = annotations_of(component, name, source).records
            found = digests(component, records, embedded=spec.embedded)
    except HarnessError as error:
        raise SystemExit(" ".join(str(error).split())) from None
    sys.stdout.write(f"\n{json.dumps(found)}\n")


def _list_backwards() -> None:
    """List folders in another order than they are: no file system promises one."""
    listdir, scandir = os.listdir, os.scandir

    class Scanned:
        def __init__(self, path: Any = ".") -> None:
            with scandir(path) as entries:
                self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

        def __iter__(self) -> Iterator[Any]:
            return self.entries

        def __next__(self) -> Any:
            return next(self.entries)

        def __enter__(self) -> Scanned:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            self.entries = iter(())

    os.listdir = lambda path=".": sorted(listdir(path), reverse=True)  # type: ignore[assignment]
    os.scandir = Scanned  # type: ignore[assignment]


if __name__ == "__main__":
    main()
