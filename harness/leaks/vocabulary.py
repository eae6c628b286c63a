"""Words that the text encoders of stored runs know and that stand in val or test alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.build import build
from harness.data import OpenDataset
from harness.data.checks import number
from harness.errors import HarnessError, TrainingError
from harness.leaks.findings import Finding
from harness.leaks.words import ELSEWHERE, ENGLISH, Reader, Words, words_of
from harness.plan import Part, canonical
from harness.plan.files import files_of
from harness.protocols import Split
from harness.store import Result, Store

if TYPE_CHECKING:
    from harness.catalog import Catalog

_NAMED = 3
"""Text encoders that the subject of a finding spells out."""

Opener = Callable[[Result], OpenDataset]


def check_vocabularies(
    results: Sequence[Result], store: Store, catalog: Catalog, folder: Path, opened: Opener
) -> list[Finding]:
    """Build each text encoder of the runs from the train captions, as for training, and ask it for words.

    Its stored weights must fit it, which they do not where the vocabulary of then held other words.

    Args:
        folder: of registry.yaml: where the relative paths of ``file:`` parameters start.
        opened: opens the dataset of a run.
    """
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        spec = result.spec
        if "text" in spec:  # not so where embeddings came from elsewhere
            text = {key: spec["text"][key] for key in ("use", "revision", "params", "files")}
            groups[canonical([result.dataset, spec["protocol"], result.limit, spec["dim"], text])].append(
                result
            )
    alike: dict[tuple[str, Finding], list[Result]] = defaultdict(list)
    for group in groups.values():
        try:
            found = _check(group, store, catalog, folder, opened)
        except HarnessError as error:
            found = [_unknown(group, error.message)]
        for finding in found:
            alike[group[0].dataset, finding] += group
    return [replace(finding, subject=_subject(runs)) for (_, finding), runs in alike.items()]


def part_of(kept: Mapping[str, Any], folder: Path) -> Part:
    """Return a component as a stored run names it."""
    return Part(**{**kept, "files": files_of(kept["params"], folder)})


def _check(
    group: Sequence[Result], store: Store, catalog: Catalog, folder: Path, opened: Opener
) -> list[Finding]:
    result = group[0]
    dataset = opened(result)
    part = part_of(result.spec["text"], folder)
    revision = catalog.find("encoder", part.use).spec.revision
    if revision != part.revision:
        return [
            _unknown(group, f"revision {part.revision} of {part.use!r} is asked for, {revision} installed")
        ]
    limit = result.limit
    train = dataset.split("train", limit)
    encoder = build(
        part,
        "encoder",
        catalog,
        dim=result.spec["dim"],
        captions=train.captions,
        classes=len(train.records),
        seed=result.spec["seed"],
        train_features=_no_features,
    )
    findings = _misfits(group, store, encoder)
    texts = {record.split: list[str]() for record in dataset.records}
    for record in dataset.records:
        texts[record.split] += record.captions
    words = {split: words_of(captions) for split, captions in texts.items()}
    words["train"] = words_of(train.captions)
    return findings + _words(group, Reader(encoder), words, dataset.split("test", limit))


def _words(group: Sequence[Result], reader: Reader, words: Mapping[str, Words], test: Split) -> list[Finding]:
    train = words["train"]
    if not reader.has_vocabulary or not reader.known(list(train.counts)[:1000], train.forms):
        return []
    forms: dict[str, set[str]] = {}
    for own in words.values():
        for word, ways in own.forms.items():
            forms[word] = forms.get(word, set()) | ways
    later = sorted(set(forms) - set(train.counts))
    known = sorted(reader.known(later, forms))
    elsewhere = [word for word in ELSEWHERE if word not in forms]
    strangers = reader.known(elsewhere, {})
    # Of another language's table these English words say nothing.
    telling = bool(elsewhere) and set(train.counts) >= ENGLISH
    missed = _out_of_vocabulary(group, reader, words_of(test.captions))
    told = f"{len(strangers)} of {len(elsewhere)}"
    found = [_known_later(group, known, later, told, leak=telling and not strangers), missed]
    return [finding for finding in found if finding.count]


def _known_later(
    group: Sequence[Result], known: Sequence[str], later: Sequence[str], strangers: str, *, leak: bool
) -> Finding:
    source = "val and test are among what its words come from" if leak else "its words come from elsewhere"
    return Finding(
        severity="leak" if leak else "note",
        check="vocabulary",
        subject=group[0].dataset,
        what=f"the text encoder knows {len(known):,} of {number(len(later), 'word')} that stand in val or test and "
        f"not in train, and {strangers} common words that stand in no caption: {source}",
        count=len(known),
        items=tuple(known),
        next="Build the vocabulary from `captions`, which are those of train, raise the revision, run again."
        if leak
        else "Nothing, where the list of words is older than the dataset; say so where you report figures.",
    )


def _out_of_vocabulary(group: Sequence[Result], reader: Reader, test: Words) -> Finding:
    missed = set(test.counts) - reader.known(test.counts, test.forms)
    tokens = sum(test.counts[word] for word in missed)
    share = 100 * tokens / max(test.counts.total(), 1)
    return Finding(
        severity="note",
        check="vocabulary",
        subject=group[0].dataset,
        what=f"{len(missed):,} of {number(len(test.counts), 'word')} of test are not in the vocabulary of the text "
        f"encoder, {share:.2f} % of all that stand there",
        count=len(missed),
        items=tuple(sorted(missed, key=lambda word: (-test.counts[word], word))),
        next="Nothing: it is what a vocabulary of train alone costs.",
    )


def _misfits(group: Sequence[Result], store: Store, encoder: Any) -> list[Finding]:
    """Find runs whose stored text weights are of other shapes than those of the encoder built now."""
    from safetensors import SafetensorError, safe_open

    built = {f"text.{name}": tuple(tensor.shape) for name, tensor in encoder.state_dict().items()}
    items = []
    for result in group:
        path = store.folder(result.fingerprint) / "weights.safetensors"
        try:
            with safe_open(path, framework="numpy") as file:
                names = set(file.keys())
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names & set(built)}
        except (OSError, SafetensorError):
            continue  # `harness doctor` names it
        for name, shape in sorted(shapes.items()):
            if shape != built[name]:
                items.append(f"{result.fingerprint}: {name} is {shape}, from train captions {built[name]}")
                break
    if not items:
        return []
    return [
        Finding(
            severity="leak",
            check="vocabulary",
            subject=group[0].dataset,
            what=f"{number(len(items), 'run')} stored weights of the text encoder that do not fit one built from the "
            "train captions: its vocabulary came from other captions, or the component has changed under one revision",
            count=len(items),
            items=tuple(items),
            next="Run again with --force.",
        )
    ]


def _unknown(group: Sequence[Result], why: str) -> Finding:
    return Finding(
        severity="note",
        check="vocabulary",
        subject=group[0].dataset,
        what=f"the vocabulary could not be checked: {why}",
        count=len(group),
        items=tuple(result.fingerprint for result in group),
        next="Prepare the dataset of then, or install the plugin of then (see `harness show`).",
    )


def _subject(results: Sequence[Result]) -> str:
    """Return dataset, text encoders and runs, the first few by name."""
    titles = dict.fromkeys(str(r.spec["text"]["title"] or r.spec["text"]["name"]) for r in results)
    more = [f"{len(titles) - _NAMED} more"] if len(titles) > _NAMED else []
    runs = f"run {results[0].fingerprint}" if len(results) == 1 else f"{len(results)} runs"
    return f"{results[0].dataset}: {'; '.join([*list(titles)[:_NAMED], *more])} ({runs})"


def _no_features() -> Any:
    raise TrainingError("it asks for features of the train images, which are not computed here")
