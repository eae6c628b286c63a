"""Any folder of captioned images: ``<split>.jsonl``, a csv, or the json of Karpathy and Fei-Fei's splits."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from harness.api import SPLITS, Annotations, DataError, Record, nearest
from harness_datasets.entries import Entry, read_csv, read_json, read_jsonl
from harness_datasets.text import number


class Folder:
    """Reads a folder with ``images/`` and one of

    - ``train.jsonl``, ``val.jsonl``, ``test.jsonl``, each line ``{"image": ..., "captions": [...]}``;
    - a csv with the columns image, caption and split, and a row for every caption;
    - a Karpathy json (``images[].filename``, ``filepath``, ``sentences[].raw``, ``split``; restval is train).

    An image is named by its path below ``images/``, or below the folder itself. Where no image is in val, it
    is cut from train: those images whose hash with the seed is smallest, so that nothing else decides.

    Args:
        annotations: name of the csv or json, where the folder holds several.
        images: name of the folder of images.
        val_size: images of a val that is cut from train; by default a tenth of train, at most 1,000.
        val_seed: seed of that cut.
    """

    def __init__(
        self,
        *,
        annotations: str | None = None,
        images: str = "images",
        val_size: int | None = None,
        val_seed: int = 0,
    ) -> None:
        self.file = annotations
        self.images = images
        self.val_size = val_size
        self.val_seed = val_seed

    def annotations(self, source: Path | None) -> Annotations:
        """Read all records in the order of the files.

        Raises:
            DataError: lists all problems, with file and line or id.
        """
        if source is None:
            raise DataError(
                "a folder dataset is read from a folder", hint="harness data prepare folder --from DIR"
            )
        problems: list[str] = []
        notes: list[str] = []
        entries = self._entries(source, problems, notes)
        entries = _distinct(entries, problems)
        records = [self._record(source, entry, problems) for entry in entries]
        for split in ("train", "test"):
            if records and not any(record.split == split for record in records):
                problems.append(f"no image is in split {split!r}")
        if not records and not problems:
            problems.append("the annotation files are empty")
        if records and not problems and not any(record.split == "val" for record in records):
            records = self._cut_val(records, problems, notes)
        if problems:
            raise DataError(
                f"{source} has {number(len(problems), 'problem')}:", problems=problems, records=records
            )
        return Annotations(records=tuple(records), notes=tuple(notes))

    def _entries(self, source: Path, problems: list[str], notes: list[str]) -> list[Entry]:
        if self.file is not None:
            choice = [source / self.file]
            if not choice[0].resolve().is_relative_to(source.resolve()) or not choice[0].is_file():
                there = [path.name for path in source.iterdir() if path.suffix in (".csv", ".json", ".jsonl")]
                problems.append(f"{self.file}: no such file in the folder{nearest(self.file, there)}")
                return []
        else:
            choice = sorted(
                p for p in source.iterdir() if p.suffix in (".csv", ".json", ".jsonl") and p.is_file()
            )
        kinds = {path.suffix for path in choice}
        if not choice:
            problems.append("no annotations: neither <split>.jsonl, nor a csv, nor a json")
            return []
        if kinds != {".jsonl"} and len(choice) > 1:
            names = ", ".join(path.name for path in choice)
            problems.append(f"several annotation files, name one with the parameter 'annotations': {names}")
            return []
        if kinds == {".jsonl"}:
            return [entry for path in choice for entry in self._split_file(path, problems)]
        return (read_csv if kinds == {".csv"} else read_json)(choice[0], problems, notes)

    def _split_file(self, path: Path, problems: list[str]) -> list[Entry]:
        if path.stem not in SPLITS:
            problems.append(f"{path.name}: {path.stem!r} is no split{nearest(path.stem, SPLITS)}")
        entries = read_jsonl(path, path.stem, problems)
        return entries if path.stem in SPLITS else []

    def _record(self, source: Path, entry: Entry, problems: list[str]) -> Record:
        where = f"{entry.place}: image {entry.image!r}"
        if entry.split not in SPLITS:
            problems.append(f"{where}: unknown split {entry.split!r}{nearest(entry.split, SPLITS)}")
        if not entry.captions:
            problems.append(f"{where}: has no caption")
        problems.extend(
            f"{place}: caption {f'{entry.image}#{position}'!r} is empty"
            for position, (place, caption) in enumerate(zip(entry.places, entry.captions, strict=True))
            if not caption
        )
        file = self._locate(source, entry, where, problems)
        return Record(image=entry.image, split=entry.split, captions=entry.captions, file=file)

    def _locate(self, source: Path, entry: Entry, where: str, problems: list[str]) -> str:
        names = dict.fromkeys(str(PurePosixPath(name)) for name in entry.files)
        for name in names:
            if "\0" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                problems.append(f"{where}: path {name!r} leaves the folder")
                return name
        choice = [f"{self.images}/{name}" for name in names] + list(names)
        for file in choice:
            try:
                if (source / file).is_file():
                    return file
            except OSError:  # a name longer than the file system takes
                break
        problems.append(f"{where}: no such file as {choice[0]}")
        return choice[0]

    def _cut_val(self, records: list[Record], problems: list[str], notes: list[str]) -> list[Record]:
        train = [record.image for record in records if record.split == "train"]
        size = min(max(1, len(train) // 10), 1000) if self.val_size is None else self.val_size
        if not 0 < size < len(train):
            problems.append(
                f"val has no images and {size:,} cannot be cut from {number(len(train), 'train image')}"
            )
            return records
        ranked = sorted(train, key=lambda image: hashlib.sha256(f"{self.val_seed}:{image}".encode()).digest())
        val = set(ranked[:size])
        notes.append(
            f"val had no images: {size:,} of {len(train):,} train images cut for it, seed {self.val_seed}"
        )
        return [
            Record(image=r.image, split="val", captions=r.captions, file=r.file) if r.image in val else r
            for r in records
        ]


def _distinct(entries: list[Entry], problems: list[str]) -> list[Entry]:
    first: dict[str, Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.image, entry)
        if earlier is not entry:
            both = f" and in split {entry.split!r}" if entry.split != earlier.split else " twice"
            problems.append(
                f"{entry.place}: image {entry.image!r} stands in split {earlier.split!r}{both} "
                f"(first: {earlier.place})"
            )
    return list(first.values())
