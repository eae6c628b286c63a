"""A gallery of which only the ranks are known: embeddings that an evaluator asks for are not made up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from harness.errors import ScoreError
from harness.evaluate import read_ranks
from harness.protocols import Ranks, Split
from harness.ranking import Ranked

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class EmbeddingsNeededError(ScoreError):
    """Report that an evaluator works from embeddings where there are only ranks."""


class Withheld:
    """Stands where the embeddings of a gallery would be: so many rows, none of them NaN, and nothing else."""

    def __init__(self, rows: int, what: str) -> None:
        self._rows, self._what = rows, what

    def __len__(self) -> int:
        return self._rows

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> npt.NDArray[np.bool_]:
        import numpy as np

        # What every evaluator asks first. A rank was counted, so that its score was a number.
        if ufunc is not np.isfinite or method != "__call__" or inputs != (self,):
            self._refuse()
        return np.ones((self._rows, 1), dtype=np.bool_)

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        self._refuse()

    def __getitem__(self, key: Any) -> NoReturn:
        self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        # Libraries look for these to tell what kind of array it is.
        if name.startswith("_"):
            raise AttributeError(name)
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise EmbeddingsNeededError(f"it needs the {self._what} embeddings, and only ranks were imported")


class RanksOnly(Ranked):
    """A ranked gallery without embeddings. No part of it can be ranked anew."""

    def fold(self, start: int, stop: int) -> NoReturn:
        """Refuse.

        Raises:
            EmbeddingsNeededError: always.
        """
        raise EmbeddingsNeededError(
            "it ranks parts of the gallery, which takes embeddings, and only ranks were imported"
        )


def ranks_only(split: Split, i2t: Ranks, t2i: Ranks) -> RanksOnly:
    """Return a gallery of `split` with these ranks, in its order."""
    image: Any = Withheld(len(split.records), "image")
    text: Any = Withheld(len(split.captions), "caption")
    return RanksOnly(split=split, image=image, text=text, i2t=i2t, t2i=t2i)


def read_ranks_only(path: Path, split: Split) -> RanksOnly:
    """Rebuild a stored gallery of ranks.

    Raises:
        ScoreError: if the stored ids are not those of `split`, in their order.
    """
    i2t, t2i, _ = read_ranks(path, split)
    return ranks_only(split, i2t, t2i)
