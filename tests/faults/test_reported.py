"""What a command reports is on disk by then: each file's bytes, and the names of files and folders."""

from __future__ import annotations

import json
import os
import re
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

from tests.faults.processes import HOUSE

CACHES = ("features", "decoded", "derived", "looks", "locks", "work")
"""Folders of a store that hold no result: what is lost there is made anew."""


@dataclass
class Disk:
    """What the disk is sure to hold of all below a folder, by what this process asked the system for.

    Attributes:
        loose: folders some name in which is not brought to disk yet.
        synced: files and folders that were.
        torn: what took its place before its bytes were on disk.
        told: texts that were printed, each with the folders that were loose then.
    """

    root: Path
    loose: set[Path] = field(default_factory=set)
    synced: set[Path] = field(default_factory=set)
    torn: list[Path] = field(default_factory=list)
    told: list[tuple[str, set[Path]]] = field(default_factory=list)

    def counts(self, path: Path) -> bool:
        """Tell whether a name is that of a result, or of a folder above one."""
        home = self.root / "home"
        within = path.relative_to(home).parts if path.is_relative_to(home) else ()
        return path.is_relative_to(self.root) and within[:1] not in {(name,) for name in CACHES}

    def fsync(self, path: Path) -> None:
        self.synced.add(path)
        self.loose.discard(path)

    def named(self, path: Path) -> None:
        if self.counts(path):
            self.loose.add(path.parent)

    def moved(self, source: Path, target: Path) -> None:
        aside = target.suffix == ".old" or target.name.endswith("~previous")
        if self.counts(target) and not aside:
            inside = [source / file.name for file in target.iterdir()] if target.is_dir() else []
            self.torn += [path for path in (source, *inside) if path not in self.synced]
        if source in self.synced:
            self.synced.add(target)
        self.named(target)

    def loose_when_told(self, pattern: str) -> set[Path]:
        """Return what was not on disk when a text was printed, which must have been."""
        found = [loose for text, loose in self.told if re.search(pattern, text)]
        assert found, pattern
        return set().union(*found)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path)
    fsync, rename, replace, mkdir = os.fsync, os.rename, os.replace, os.mkdir

    def synced(handle: int) -> None:
        fsync(handle)
        disk.fsync(Path(os.readlink(f"/proc/self/fd/{handle}")))

    def moving(real: Callable[..., None]) -> Callable[..., None]:
        def moved(source: Any, target: Any, **named: Any) -> None:
            real(source, target, **named)
            disk.moved(Path(source), Path(target))

        return moved

    def made(path: Any, *rest: Any, **named: Any) -> None:
        mkdir(path, *rest, **named)
        disk.named(Path(path))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", moving(rename))
    monkeypatch.setattr(os, "replace", moving(replace))
    monkeypatch.setattr(os, "mkdir", made)
    return disk


class Printed:
    """A stream that notes what the disk was sure of at each text."""

    def __init__(self, stream: Any, disk: Disk) -> None:
        self.stream, self.disk = stream, disk

    def write(self, text: str) -> int:
        self.disk.told.append((text, set(self.disk.loose)))
        return int(self.stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@pytest.fixture
def reported(disk: Disk, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a command; whatever it prints that fits the pattern must be true of the disk when it is printed."""

    def run(pattern: str, *arguments: object) -> None:
        disk.told.clear()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", Printed(sys.stdout, disk))
            patch.setattr(sys, "stderr", Printed(sys.stderr, disk))
            code, _, err = invoke(*arguments)
        assert code == 0, err
        assert disk.loose_when_told(pattern) == set()
        assert disk.torn == []
        assert disk.loose == set()

    return run


@pytest.mark.fault(1)
def test_what_is_reported_is_on_disk(
    reported: Callable[..., None], disk: Disk, toy_log: Any, command: Any, tmp_path: Path
) -> None:
    registry = command.folder / "registry.yaml"
    registry.write_text(
        registry.read_text().replace(
            "summary: two runs, experiment: toy, leaderboard: false", "summary: two, experiment: toy"
        )
    )
    home = Path(command.environment["HARNESS_HOME"])
    # A store and leaderboards that are not there yet: their own names count, too.
    reported(r"seed=\d  rSum|leaderboards: ", "run", "--matrix", "seeds", *HOUSE)
    assert {home, home / "runs", command.folder / "leaderboards"} <= disk.synced
    assert tmp_path in disk.synced
    reported(r"seed=\d  rSum", "run", "--matrix", "seeds", *HOUSE, "--force")
    reported(r"2 of 2 runs rescored", "rescore", "-e", "five", "--publish")
    reported(
        r"model-card|\.md", "export", "--all", "--format", "model-card", "--to", tmp_path / "to" / "cards"
    )
    stored = sorted((home / "runs").glob("*/embeddings.safetensors"))[0]
    arrays, ids = load_file(stored), identities()
    np.savez(tmp_path / "theirs.npz", **arrays, **ids)
    reported(
        r"run \w+: 8 images|its row stands in",
        *("import", tmp_path / "theirs.npz", "--as", "Theirs", "--dataset", "toys"),
    )


def identities() -> dict[str, list[str]]:
    from harness_toy.data import Toys

    test = [record for record in Toys().annotations(None).records if record.split == "test"]
    return {
        "image_ids": [record.image for record in test],
        "text_ids": [f"{record.image}#{place}" for record in test for place in range(2)],
    }


@pytest.mark.fault(1)
def test_a_dataset_that_is_reported_is_on_disk(
    reported: Callable[..., None], disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    splits = ("train", "val", "test")
    for shade, split in enumerate(splits):
        Image.new("RGB", (8, 8), (shade, 0, 0)).save(source / f"{split}.png")
    lines = ["image,caption,split", *(f"{split}.png,a {split},{split}" for split in splits)]
    (source / "captions.csv").write_text("\n".join(lines) + "\n")
    disk.loose.clear()
    monkeypatch.setenv("HARNESS_PLUGINS", "toy,datasets")
    prepare = ("data", "prepare", "folder", "--from", source, "--as", "mine")
    reported(r"passport \w+", *prepare)
    assert {tmp_path / "home", tmp_path / "home" / "data"} <= disk.synced
    (source / "captions.csv").write_text("\n".join([*lines, "test.png,another,test"]) + "\n")
    reported(r"passport \w+", *prepare)
    # Images in an archive: unpacked beside it, in folders of their own.
    rows = [
        {"filename": f"{s}.png", "filepath": f"{s}/a", "split": s, "sentences": [{"raw": s}]} for s in splits
    ]
    (source / "dataset.json").write_text(json.dumps({"images": rows}))
    with tarfile.open(tmp_path / "images.tar", "w") as archive:
        for split in splits:
            archive.add(source / f"{split}.png", f"{split}/a/{split}.png")
    disk.loose.clear()
    reported(
        r"passport \w+",
        *("data", "prepare", "flickr30k", "--images", tmp_path / "images.tar", "--as", "packed"),
        *("--annotations", source / "dataset.json", "--set", "strict=false"),
    )
    (unpacked,) = (tmp_path / "home" / "data" / "packed~images").iterdir()
    assert {unpacked, unpacked.parent, unpacked / "train", unpacked / "train" / "a"} <= disk.synced
