"""A strict reader of YAML that remembers the line of every key.

It takes the scalars of YAML 1.2: `true`, `false` and `null` are what they say, `no`, `on` and `~` are text,
`1e-3` is a number. Refused, each with its line: a key that stands twice, anchors and aliases (a few lines
expand without bound), tags, a second document, NaN and infinity, and a number with a leading zero (octal
in YAML 1.1, decimal in YAML 1.2). Keys are text, as written. Sequences become tuples.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from harness.errors import RegistryError

KeyPath = tuple[str | int, ...]
HIDDEN = "\0"
"""Follows the name of an entry that another of its name is like, in a file that extends this one; in no valid name."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 16
_LARGEST = 1_000_000  # bytes

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9][0-9_.eE+-]*")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "null": None, "": None}


class Place(NamedTuple):
    """A line of a file."""

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class Problems:
    """Collects everything that is wrong with a file and with those that it extends."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._found: dict[tuple[Place, KeyPath, str], None] = {}

    def add(self, at: Place, key: KeyPath, message: str) -> None:
        """Note a problem; the same one only once."""
        self._found.setdefault((at, key, message))

    def extend(self, others: Problems, key: KeyPath) -> None:
        """Take over the problems of a key and of what is below it."""
        self._found |= {found: None for found in others._found if found[1][: len(key)] == key}

    def check(self) -> None:
        """Raise RegistryError with all problems in the order of their lines, this file's first, if there are any."""
        if self._found:
            found = sorted(self._found, key=lambda problem: (problem[0].file != self.file, problem[0]))
            raise RegistryError("\n".join(f"{at}: {place(key)}{text}" for at, key, text in found))


@dataclass(frozen=True)
class Document:
    """What a file says, and those that it extends.

    Attributes:
        file: the file.
        data: its content: dicts with text keys, tuples, text, numbers, booleans and None.
        places: of every key and every item of a sequence.
    """

    file: Path
    data: Any
    places: Mapping[KeyPath, Place]

    def place(self, key: KeyPath) -> Place:
        """Return where a key was written, or the nearest one above it."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, Place(self.file, 1))


def read_document(file: Path) -> Document:
    """Read a file.

    Raises:
        RegistryError: if it cannot be read, or with everything in it that is refused.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise RegistryError(f"cannot read {file}: {error.strerror or error}") from error
    if len(content) > _LARGEST:
        raise RegistryError(f"{file} has {len(content)} bytes; a registry has at most {_LARGEST}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RegistryError(f"{file}:{line}: not UTF-8: byte {content[error.start]:#04x}") from error
    reader = _Reader(file, text)
    data = reader.document()
    reader.problems.check()
    return Document(file, data, {key: Place(file, line) for key, line in reader.lines.items()})


def read_value(text: str, source: str) -> Any:
    """Read one value that is not in a file, under the same rules; `source` is what messages call it.

    Raises:
        RegistryError: with everything in it that is refused.
    """
    reader = _Reader(Path(source), text)
    value = reader.document()
    reader.problems.check()
    return value


def spell(key: KeyPath) -> str:
    """Return a key path as a person would write it: ``stages.one.decay_at[0]``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part.partition(HIDDEN)[0]}" for part in key]
    return "".join(parts).removeprefix(".")


def place(key: KeyPath) -> str:
    """Return a key path with a colon, or nothing for the whole file."""
    return f"{spell(key)}: " if key else ""


class _Reader:
    def __init__(self, file: Path, text: str) -> None:
        self.file, self.problems = file, Problems(file)
        self.lines: dict[KeyPath, int] = {}
        self.events = self._parse(text)

    def _note(self, line: int, key: KeyPath, message: str) -> None:
        self.problems.add(Place(self.file, line), key, message)

    def _parse(self, text: str) -> Iterator[Any]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = 1 if mark is None else mark.line + 1
            what = " ".join(filter(None, (error.context, error.problem)))
            raise RegistryError(f"{self.file}:{line}: not YAML: {what}") from error
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise RegistryError(f"{self.file}:{line}: not YAML: {error.reason}") from error

    def document(self) -> Any:
        """Read the only document."""
        data: Any = None
        documents = 0
        for event in self.events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    self._note(_line(event), (), "a second document begins here")
                    break
            elif isinstance(event, yaml.NodeEvent):
                data = self._value(event, ())
        return data

    def _value(self, event: Any, key: KeyPath) -> Any:
        line = _line(event)
        if len(key) > _DEEPEST:
            raise RegistryError(f"{self.file}:{line}: {place(key)}nested deeper than {_DEEPEST}")
        if isinstance(event, yaml.AliasEvent):
            self._note(line, key, f"alias *{event.anchor} is refused; inherit with like:")
            return None
        if event.anchor is not None:
            self._note(line, key, f"anchor &{event.anchor} is refused; inherit with like:")
        if event.tag is not None:
            self._note(line, key, f"tag {event.tag} is refused")
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(key)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(key)
        return event.value if event.style else self._scalar(event.value, line, key)

    def _mapping(self, key: KeyPath) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            line = _line(event)
            if not isinstance(event, yaml.ScalarEvent):
                self._note(line, key, "a key must be text")
                self._value(event, (*key, "?"))
                self._value(next(self.events), (*key, "?"))
                continue
            name = event.value
            if event.anchor is not None or event.tag is not None:
                self._note(line, (*key, name), "a key takes no anchor and no tag")
            if name in content:
                first = self.lines[*key, name]
                self._note(line, (*key, name), f"stands twice; first in line {first}")
            else:
                self.lines[*key, name] = line
            content[name] = self._value(next(self.events), (*key, name))
        return content

    def _sequence(self, key: KeyPath) -> tuple[Any, ...]:
        content: list[Any] = []
        for event in self.events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            item = (*key, len(content))
            self.lines[item] = _line(event)
            content.append(self._value(event, item))
        return tuple(content)

    def _scalar(self, text: str, line: int, key: KeyPath) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if _INTEGER.fullmatch(text):
            return self._integer(text, line, key)
        if _LEADING_ZERO.fullmatch(text):
            self._note(line, key, f"{text} begins with 0: drop the zero, or quote it to make it text")
        elif _NOT_FINITE.fullmatch(text):
            self._note(line, key, f"{text} is not a finite number")
        elif _FLOAT.fullmatch(text):
            number = float(text)
            if not math.isfinite(number):
                self._note(line, key, f"{text} is too large a number")
            return number
        return text

    def _integer(self, text: str, line: int, key: KeyPath) -> int:
        if len(text) > 20:
            self._note(line, key, f"{text[:20]}... is too large a number")
            return 0
        return int(text, 0)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
