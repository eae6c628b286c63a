"""Files that another code wrote: embeddings as safetensors or npz, ranks as parquet. Nothing in one can run code."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]

KEYS = ("image", "text")
COUNTS = ("above", "tied", "matched")
WIDEST = 65_536
"""Greatest size of an embedding."""
IDS_BYTES = 2**28
"""Most bytes of ids, unpacked: a file that a few bytes blow up is refused before it is unpacked."""
_DOCS = "docs/importing.md shows how each format is written."


@dataclass(frozen=True, eq=False, kw_only=True)
class Embeddings:
    """Rows of both sides in the order of the file.

    Attributes:
        image, text: (rows, dim) floating point; not normalised, and may be NaN.
        image_ids, text_ids: the id of each row.
    """

    image: npt.NDArray[Any]
    text: npt.NDArray[Any]
    image_ids: tuple[str, ...]
    text_ids: tuple[str, ...]


@dataclass(frozen=True, eq=False, kw_only=True)
class Side:
    """Ranks of one side's queries in the order of the file, counted as `harness.protocols.Ranks` says."""

    ids: tuple[str, ...]
    above: Ints
    tied: Ints
    matched: Ints


@dataclass(frozen=True, eq=False, kw_only=True)
class ForeignRanks:
    """Ranks of both sides; `counted` says whether ties are counted apart or are part of a plain rank."""

    i2t: Side
    t2i: Side
    counted: bool


def read_foreign(path: Path) -> Embeddings | ForeignRanks:
    """Read a file by its ending.

    Raises:
        InputError: if there is no such file, or its ending is none that it knows.
        DataError: names the file and what is wrong with it.
    """
    readers: dict[str, Callable[[Path], Embeddings | ForeignRanks]] = {
        ".safetensors": _safetensors,
        ".npz": _npz,
        ".parquet": _parquet,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: the ending is none of {', '.join(readers)}", hint=_DOCS)
    if not path.is_file():
        raise InputError(f"{path} is not a file")
    found = reader(path)
    return _checked(path, found) if isinstance(found, Embeddings) else found


def _checked(path: Path, found: Embeddings) -> Embeddings:
    for key, rows, ids in zip(
        KEYS, (found.image, found.text), (found.image_ids, found.text_ids), strict=True
    ):
        if rows.ndim != 2 or len(rows) != len(ids) or not len(rows) or not rows.shape[1]:
            raise DataError(
                f"{path}: {key!r} has shape {rows.shape} and {len(ids):,} ids; it must be (ids, dim)"
            )
    if found.image.shape[1] != found.text.shape[1]:
        raise DataError(
            f"{path}: image embeddings have {found.image.shape[1]} dimensions, those of text {found.text.shape[1]}"
        )
    return found


def _safetensors(path: Path) -> Embeddings:
    with _blamed(path):
        from safetensors import SafetensorError, safe_open

        try:
            # Read by torch: numpy knows no bfloat16.
            with safe_open(path, framework="pt") as file:
                names, metadata = set(file.keys()), file.metadata() or {}
                _demand(path, names, KEYS)
                ids = [
                    _ids_of_tensor(path, file.get_tensor(f"{key}_ids").numpy(), f"{key}_ids")
                    if f"{key}_ids" in names
                    else _ids_of_metadata(path, metadata, key)
                    for key in KEYS
                ]
                image, text = (_floats(path, key, file.get_tensor(key)) for key in KEYS)
        except SafetensorError as error:
            raise DataError(f"{path} is no readable safetensors file: {error}", hint=_DOCS) from error
    return Embeddings(image=image, text=text, image_ids=ids[0], text_ids=ids[1])


def _floats(path: Path, key: str, tensor: Any) -> npt.NDArray[Any]:
    if not tensor.dtype.is_floating_point:
        raise DataError(f"{path}: {key!r} is of type {tensor.dtype}, not of a floating one")
    wide = tensor if tensor.element_size() >= 4 else tensor.float()
    rows: npt.NDArray[Any] = wide.numpy()
    return rows


def _ids_of_metadata(path: Path, metadata: dict[str, str], key: str) -> tuple[str, ...]:
    try:
        if f"{key}_ids" in metadata:
            ids = json.loads(metadata[f"{key}_ids"])
        elif "ids" in metadata:
            ids = json.loads(metadata["ids"])[key]
        else:
            ids = json.loads(metadata[key])
    except KeyError:
        raise DataError(
            f"{path} has no ids of {key!r}: neither a tensor nor metadata {key + '_ids'!r}", hint=_DOCS
        ) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise DataError(
            f"{path}: the ids of {key!r} in its metadata are no JSON: {error}", hint=_DOCS
        ) from error
    if not isinstance(ids, list) or not all(type(each) in (str, int) for each in ids):
        raise DataError(f"{path}: the ids of {key!r} are not a list of texts or whole numbers", hint=_DOCS)
    return tuple(map(str, ids))


def _npz(path: Path) -> Embeddings:
    import zipfile

    import numpy as np

    with _blamed(path), zipfile.ZipFile(path) as archive:
        sizes = {info.filename.removesuffix(".npy"): info.file_size for info in archive.infolist()}
        _demand(path, sizes, [*KEYS, *(f"{key}_ids" for key in KEYS)])
        with np.load(path, allow_pickle=False) as file:
            ids = []
            for key in KEYS:
                if sizes[f"{key}_ids"] > IDS_BYTES:
                    raise DataError(f"{path}: {key + '_ids'!r} unpacks to {sizes[f'{key}_ids']:,} bytes")
                ids.append(_ids_of_tensor(path, _member(path, file, f"{key}_ids"), f"{key}_ids"))
            rows = []
            for key, known in zip(KEYS, ids, strict=True):
                if sizes[key] > (len(known) + 1) * WIDEST * 8:
                    raise DataError(f"{path}: {key!r} unpacks to {sizes[key]:,} bytes for {len(known):,} ids")
                array = _member(path, file, key)
                if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
                    kind = getattr(array, "dtype", type(array).__name__)
                    raise DataError(f"{path}: {key!r} is of type {kind}, not of a floating one")
                rows.append(array)
    return Embeddings(image=rows[0], text=rows[1], image_ids=ids[0], text_ids=ids[1])


def _member(path: Path, file: Any, name: str) -> Any:
    """Read an array of an npz; one of Python objects would have to be unpickled, which runs code."""
    try:
        return file[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise
        kind = "dtype=str" if name.endswith("_ids") else "dtype=np.float32"
        raise DataError(
            f"{path}: {name!r} is an array of Python objects, which is not read: unpickling one runs code",
            hint=f"Write it as np.array(values, {kind}).",
        ) from None


def _ids_of_tensor(path: Path, array: npt.NDArray[Any], name: str) -> tuple[str, ...]:
    # A member of an npz that is no array comes back as bytes.
    if not hasattr(array, "dtype") or array.ndim != 1 or array.dtype.kind not in "iuUS":
        told = f"shape {array.shape} and type {array.dtype}" if hasattr(array, "dtype") else "no array"
        raise DataError(f"{path}: {name!r} is {told}; it must be one text or whole number a row", hint=_DOCS)
    values: Sequence[Any] = array.tolist()
    return tuple(value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in values)


def _parquet(path: Path) -> ForeignRanks:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _blamed(path):
        try:
            with pq.ParquetFile(path) as file:
                names, footer = set(file.schema_arrow.names), file.metadata
                size = sum(footer.row_group(group).total_byte_size for group in range(footer.num_row_groups))
                if size > IDS_BYTES:
                    raise DataError(f"{path} unpacks to {size:,} bytes; that is no file of ranks")
                counted = names.issuperset(COUNTS)
                _demand(
                    path, names, ("side", "query", *(COUNTS if counted or "rank" not in names else ("rank",)))
                )
                table = file.read(columns=["side", "query", *(COUNTS if counted else ("rank",))])
        except pa.ArrowException as error:
            raise DataError(f"{path} is no readable parquet file: {error}", hint=_DOCS) from error
    sides = table["side"].to_pylist()
    if strange := sorted({str(side) for side in sides} - {"i2t", "t2i"}):
        raise DataError(f"{path}: column 'side' holds {strange[0]!r:.100}; a side is 'i2t' or 't2i'")
    return ForeignRanks(
        i2t=_side(path, table, sides, "i2t", counted=counted),
        t2i=_side(path, table, sides, "t2i", counted=counted),
        counted=counted,
    )


def _side(path: Path, table: Any, sides: Sequence[str], side: str, *, counted: bool) -> Side:
    import numpy as np

    rows = np.flatnonzero(np.array(sides, dtype=object) == side)
    queries = table["query"].to_pylist()
    ids = [queries[row] for row in rows]
    if not all(type(each) in (str, int) for each in ids):
        raise DataError(f"{path}: column 'query' of {side} holds what is neither text nor a whole number")
    columns = {}
    for name in COUNTS if counted else ("rank",):
        values = table[name].to_numpy()
        if values.dtype.kind not in "iu":
            raise DataError(
                f"{path}: column {name!r} is of type {table[name].type} or has gaps; it must be a whole number a row",
                hint="Ranks start at 1. A tie is counted under 'tied', or is part of the rank.",
            )
        columns[name] = values[rows].astype(np.int64)
    if not counted:
        rank = columns["rank"]
        columns = {"above": rank - 1, "tied": np.zeros_like(rank), "matched": np.ones_like(rank)}
    return Side(ids=tuple(map(str, ids)), **columns)


def _demand(path: Path, names: Any, wanted: Sequence[str]) -> None:
    if lacking := [name for name in wanted if name not in names]:
        raise DataError(
            f"{path} has no {', '.join(map(repr, lacking))}; it has {', '.join(sorted(map(repr, names)))[:300]}",
            hint=_DOCS,
        )


@contextlib.contextmanager
def _blamed(path: Path) -> Iterator[None]:
    """Name the file in whatever a library raises that cannot read it."""
    import tokenize
    import zipfile
    import zlib

    try:
        yield
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        MemoryError,
        OverflowError,
        NotImplementedError,
    ) as error:
        raise DataError(f"cannot read {path}: {type(error).__name__}: {error}", hint=_DOCS) from error
    except (zipfile.BadZipFile, zlib.error, SyntaxError, tokenize.TokenError, RuntimeError) as error:
        raise DataError(f"{path} is damaged: {error}", hint=_DOCS) from error
