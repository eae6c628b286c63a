"""One exception tree.

HarnessError                     something a user can act on; printed without a traceback
|- InputError                    wrong input: exit code 2, nothing was started
|  |- RegistryError              registry.yaml: names the file, the line and the key
|  |- PluginError                a plugin: names the distribution and its version
|  |- ParameterError             a component got a parameter that it does not take
|  `- DataError                  a dataset or an annotation file: lists every problem at once
|- RunError                      one run failed; other runs go on, exit code 1
|  |- TrainingError              NaN, collapse, a component that broke its contract while training
|  `- ScoreError                 scores that cannot be ranked (NaN or infinite)
`- StoreError                    the store: damaged, of a newer version, or not writable
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence


class HarnessError(Exception):
    """Say what went wrong, where, and what to type next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class InputError(HarnessError):
    """Report wrong input; nothing was started."""


class RegistryError(InputError):
    """Report a fault of registry.yaml with its file, line and key."""


class PluginError(InputError):
    """Report a fault of a plugin with its distribution and version."""


class ParameterError(InputError):
    """Report a parameter that a component does not take, or of the wrong type."""


class DataError(InputError):
    """Report every problem of a dataset at once.

    Args:
        problems: all of them, a sentence each.
        lists: names in full where a problem tells the first few, by what they are, such as ``missing-images``.
        records: of a dataset component: what could be read all the same. Their ids, captions and images are then
            checked as well, so that all problems are told at once; those that a problem names are not told twice.
            Without `problems` the message is the first of them.
    """

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[str] = (),
        hint: str = "",
        lists: Mapping[str, Sequence[str]] | None = None,
        records: Iterable[object] = (),
    ) -> None:
        self.headline = message
        self.problems = tuple(problems)
        self.lists = dict(lists or {})
        self.records = tuple(records)
        listed = "".join(f"\n  - {problem}" for problem in self.problems)
        super().__init__(message + listed, hint=hint)


class RunError(HarnessError):
    """Report that one run failed; the others go on."""


class TrainingError(RunError):
    """Report training that cannot go on: NaN, collapse, a broken contract."""


class ScoreError(RunError):
    """Report scores that cannot be ranked."""


class StoreError(HarnessError):
    """Report a store that is damaged, too new, or not writable."""


class Interrupted(BaseException):
    """Carry a signal out of a run, once what can be resumed is on disk. No error: nothing catches it by accident."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"interrupted by signal {signal}")
        self.signal = signal


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` or the list of valid names, for the end of a message.

    A name is near to those that are spelled alike, and to one that ends with it, such as a distribution's.
    """
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    close = close or [valid for valid in names if valid.endswith(f"-{name}")]
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; valid: {', '.join(names)}" if names else ""
