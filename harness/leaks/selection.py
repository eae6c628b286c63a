"""Whether test chose anything in a stored run."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from harness.data import OpenDataset
from harness.data.checks import number
from harness.errors import HarnessError, StoreError
from harness.evaluate import EMBEDDINGS, RANKS
from harness.leaks.findings import Finding
from harness.leaks.vocabulary import Opener
from harness.store import Result, Store

_TEST = re.compile(r"(?<![a-z])test(?![a-z])", re.IGNORECASE)
_WHAT = {
    "figure": "recorded figures of test while training, by which anybody can choose",
    "epoch": "kept the weights of another epoch than the best one on val",
    "blind": "recorded no figure on val: nothing but val may choose the weights that are scored",
    "split": "scored other images or captions than those of their split, each once",
    "damaged": "cannot be read",
}
_NEXT = {
    "figure": "Run again without them; what is reported is read from test once.",
    "epoch": "Run again with --force.",
    "blind": "Run again with --force.",
    "split": "Run again with --force.",
    "damaged": "harness doctor names the files; run again with --force.",
}


def check_selection(results: Sequence[Result], store: Store, opened: Opener) -> list[Finding]:
    """Find runs whose history or stored queries show that more than val chose; one finding a kind and dataset.

    Args:
        opened: opens the dataset of a run; where it cannot, stored ids are only compared with one another.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for result in results:
        for kind, why in _faults(result, store, opened):
            found[result.dataset, kind].append(f"{result.fingerprint}: {why}")
    return [
        Finding(
            severity="note" if kind == "damaged" else "leak",
            check="selection",
            subject=dataset,
            what=f"{number(len(items), 'run')} {_WHAT[kind]}",
            count=len(items),
            items=tuple(items),
            next=_NEXT[kind],
        )
        for (dataset, kind), items in sorted(found.items())
    ]


def history_faults(history: Sequence[Mapping[str, float]], result: Result) -> list[tuple[str, str]]:
    """Return what is wrong with the epochs of a run, as kind and reason."""
    faults = []
    named = sorted({key for row in history for key in row if _TEST.search(key)})
    if named:
        faults.append(("figure", ", ".join(named)))
    measured = [(row["val.rsum"], int(row["epoch"])) for row in history if "val.rsum" in row]
    if not measured:
        return [*faults, ("blind", f"{number(len(history), 'epoch')}")]
    best = max(value for value, _ in measured)
    epoch = next(epoch for value, epoch in measured if value == best)
    if (epoch, best) != (result.best_epoch, result.val_rsum):
        kept = f"epoch {result.best_epoch} (rSum {result.val_rsum:.2f})"
        faults.append(("epoch", f"kept {kept}, the best on val is epoch {epoch} (rSum {best:.2f})"))
    return faults


def _faults(result: Result, store: Store, opened: Opener) -> list[tuple[str, str]]:
    try:
        faults = []
        if "stage" in result.spec:  # not so where embeddings came from elsewhere
            text = store.checked(result.fingerprint, "history.jsonl").read_text(encoding="utf-8")
            faults = history_faults([json.loads(line) for line in text.splitlines()], result)
        stored = _stored_ids(result, store)
    except (StoreError, OSError, ValueError, KeyError, TypeError) as error:
        return [("damaged", str(error).splitlines()[0])]
    try:
        dataset: OpenDataset | None = opened(result)
    except HarnessError:
        dataset = None
    return faults + _split_faults(result, stored, dataset)


def _split_faults(
    result: Result, stored: Mapping[str, Sequence[str]], dataset: OpenDataset | None
) -> list[tuple[str, str]]:
    sizes = {"image": result.images, "text": result.captions}
    faults = []
    if dataset is not None:
        split = dataset.split(result.spec.get("split", "test"), result.limit)
        expected: Mapping[str, Sequence[str]] = {"image": split.image_ids, "text": split.caption_ids}
    for name, ids in stored.items():
        side = name.partition(".")[2]
        if len(set(ids)) != len(ids) or len(ids) != sizes[side]:
            faults.append(
                ("split", f"{name}: {len(ids)} queries, {len(set(ids))} different, {sizes[side]} told")
            )
        elif dataset is not None and list(ids) != list(expected[side]):
            strange = sorted(set(ids) - set(expected[side]))
            faults.append(("split", f"{name}: {strange[0] if strange else 'in another order'}"))
    return faults[:1]


def _stored_ids(result: Result, store: Store) -> dict[str, list[str]]:
    """Return the ids of ranks and embeddings, as ``ranks.image``, ``ranks.text``, ``embeddings.image``, ..."""
    import pyarrow.parquet as pq
    from safetensors import SafetensorError, safe_open

    ranks = pq.read_table(store.checked(result.fingerprint, RANKS), columns=["side", "query"]).to_pydict()
    sides: dict[str, list[str]] = {"i2t": [], "t2i": []}
    for side, query in zip(ranks["side"], ranks["query"], strict=True):
        sides[side].append(query)
    found = {"ranks.image": sides["i2t"], "ranks.text": sides["t2i"]}
    if result.spec.get("form") == "ranks":  # that another code wrote, without embeddings
        return found
    path = store.folder(result.fingerprint) / EMBEDDINGS
    if not path.is_file():
        raise StoreError(f"{path} is missing", hint="Run it again with --force.")
    try:
        with safe_open(path, framework="numpy") as file:
            ids: dict[str, Any] = json.loads(file.metadata()["ids"])
            rows = {name: file.get_slice(name).get_shape()[0] for name in ("image", "text")}
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"{path}: {error}") from error
    for name, n in rows.items():
        if len(ids[name]) != n:
            raise StoreError(f"{path}: {n} rows of {name}, {len(ids[name])} ids")
    return found | {"embeddings.image": ids["image"], "embeddings.text": ids["text"]}
