"""Where the images lie that annotations name."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from harness_datasets.text import Told, listed, number

SUFFIXES = (".jpg", ".jpeg", ".png")


class ImageFiles:
    """The image files below a folder, by name or by what `key` makes of it.

    Args:
        source: the folder, searched as a whole.
        key: makes of a file name, or of what annotations name, what both are compared by.
    """

    def __init__(self, source: Path, key: Callable[[str], str] | None = None) -> None:
        self.key = key or (lambda name: name.rpartition("/")[2])
        self.files: dict[str, list[str]] = {}
        self.links: list[str] = []
        for folder, folders, names in os.walk(source):
            self.links += [f"link {name}" for name in folders if (Path(folder) / name).is_symlink()]
            below = "" if folder == str(source) else f"{Path(folder).relative_to(source).as_posix()}/"
            for name in names:
                if name.lower().endswith(SUFFIXES):
                    self.files.setdefault(self.key(name), []).append(below + name)

    def has(self, name: str) -> bool:
        """Tell whether there is a file that may be the image."""
        return self.key(name) in self.files

    def match(self, names: Sequence[str], told: Told) -> list[str]:
        """Return the file of each name, below the folder; all that are missing are one problem, what is over a note.

        Where no name is known, nothing is told.
        """
        if not names:
            return []
        wanted = [self.key(name) for name in names]
        places = [self._choose(name, key) for name, key in zip(names, wanted, strict=True)]
        gone = [name for name, files in zip(names, places, strict=True) if not files]
        if gone:
            linked = f" (not followed: {', '.join(self.links)})" if self.links else ""
            have = "has" if len(gone) == 1 else "have"
            told.problems.append(
                f"{number(len(gone), 'image')} of {len(names):,} {have} no file{linked}: "
                f"{told.listed('missing-images', gone)}"
            )
        several = [files for files in places if len(files) > 1]
        if several:
            told.lists["several-files"] = tuple(" ".join(files) for files in several)
            told.problems.append(
                f"{number(len(several), 'image')} {'has' if len(several) == 1 else 'have'} several files, such as "
                f"{listed(several[0])}"
            )
        surplus = sorted(file for key in self.files.keys() - set(wanted) for file in self.files[key])
        if surplus:
            told.notes.append(
                f"{number(len(surplus), 'image file')} without captions left out: "
                f"{told.listed('surplus-images', surplus)}"
            )
        return [files[0] if files else name for files, name in zip(places, names, strict=True)]

    def _choose(self, name: str, key: str) -> list[str]:
        """Return the files that may be the image; where one has the very name, it is."""
        files = sorted(self.files.get(key, ()))
        exact = [file for file in files if PurePosixPath(file).name == name]
        return exact if len(exact) == 1 else files
