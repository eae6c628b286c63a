"""People's judgments of Flickr8k's test images, as its authors published them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.api import DataError

EXPERT, CROWD, TOKENS = "ExpertAnnotations.txt", "CrowdFlowerAnnotations.txt", "Flickr8k.token.txt"
FOLDERS = ("", "Flickr8k_text")
"""Where the files may lie below the source of the dataset."""
LOWEST, HIGHEST = 1, 4  # "does not describe the image at all" .. "describes the image"
_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Judgment:
    """What people said of one image with one caption.

    Attributes:
        image: id of the image.
        caption: id of the caption, ``<image>#<position>``; most are of another image.
        grades: of the experts, 1..4 each; of the crowd one number, the share of yes in 0..1.
    """

    image: str
    caption: str
    grades: tuple[float, ...]

    @property
    def own(self) -> bool:
        """Tell whether the caption was written for this image."""
        return self.caption.rpartition("#")[0] == self.image


def find(source: Path | None, file: str) -> Path | None:
    """Return the path of a file below the source of the dataset, or ``None``."""
    places = [source / folder / file for folder in FOLDERS] if source is not None else []
    return next((path for path in places if path.is_file()), None)


def read_judgments(path: Path) -> tuple[Judgment, ...]:
    """Read ``ExpertAnnotations.txt`` or, by its name, ``CrowdFlowerAnnotations.txt``.

    Raises:
        DataError: lists the lines that are not as they should be, and pairs that stand twice.
    """
    crowd = path.name == CROWD
    problems: list[str] = []
    found: dict[tuple[str, str], Judgment] = {}
    for at, line in _lines(path):
        fields = line.split("\t")
        grades = _grades(fields[2:], crowd=crowd)
        if len(fields) != 5 or grades is None:
            problems.append(
                f"{path.name}:{at}: not image, caption and {'share, yes, no' if crowd else '1..4 x 3'}"
            )
            continue
        if (fields[0], fields[1]) in found:
            problems.append(f"{path.name}:{at}: {fields[0]} with {fields[1]} stands twice")
        found[fields[0], fields[1]] = Judgment(image=fields[0], caption=fields[1], grades=grades)
    if problems:
        left = len(problems) - _SHOWN
        raise DataError(
            f"{path} cannot be read:",
            problems=problems[:_SHOWN] + ([f"and {left:,} more"] if left > 0 else []),
            hint="Take the file as its authors publish it, or remove it: then there are no such figures.",
        )
    return tuple(found.values())


def read_tokens(path: Path) -> dict[str, str]:
    """Return the captions of ``Flickr8k.token.txt`` by id, ``<image>#<position>``."""
    pairs = (line.partition("\t") for _, line in _lines(path))
    return {caption: text for caption, _, text in pairs}


def _grades(fields: list[str], *, crowd: bool) -> tuple[float, ...] | None:
    # The published share of yes is rounded; the counts are not.
    numbers = [int(field) for field in fields[crowd:] if field.isascii() and field.isdecimal()]
    if crowd:
        return (numbers[0] / sum(numbers),) if len(numbers) == 2 and sum(numbers) > 0 else None
    complete = len(numbers) == 3 and all(LOWEST <= number <= HIGHEST for number in numbers)
    return tuple(map(float, numbers)) if complete else None


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start})") from error
    for at, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield at, line.rstrip("\r")
