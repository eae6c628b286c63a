"""Which datasets there are, in what state, and the command that gets each."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.data import folder as folders
from harness.data.manifest import (
    Manifest,
    differences,
    other_parameters,
    read_manifest,
    read_records,
    reconcile,
)
from harness.data.prepared import dataset_spec
from harness.errors import DataError, InputError, RegistryError
from harness.plan import Part
from harness.registry import read_value

if TYPE_CHECKING:
    from harness.catalog import Catalog
    from harness.registry import Component, Registry

State = Literal["embedded", "prepared", "missing", "outdated", "damaged", "source gone"]


@dataclass(frozen=True, kw_only=True)
class DatasetStatus:
    """One dataset of the registry or of the data root.

    Args:
        name: in registry.yaml, or of the prepared folder.
        title: what tables call it.
        use: the component that reads it.
        state: ``outdated`` where component, revision or parameters are others than at prepare.
        counts: by split the numbers of ``images`` and ``captions``; empty where unknown.
        source: folder of the images; empty where unknown.
        params: parameters that it was prepared with, or that the registry has where it is not.
        command: what prepares it; empty where nothing is to be done.
        detail: why it cannot be used; empty where it can.
    """

    name: str
    title: str
    use: str
    state: State
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    source: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    detail: str = ""


def status(root: Path, registry: Registry, catalog: Catalog) -> tuple[DatasetStatus, ...]:
    """Describe the datasets of the registry, in its order, and then those that are only prepared.

    Manifest and records are checked against their hashes; images are not read, which is what `verify` does.
    """
    known = [_of_registry(root, entry, catalog) for entry in registry.datasets.values()]
    others = [name for name in folders.names(root) if name not in registry.datasets]
    return (*known, *(_prepared(root, name, None) for name in others))


def prepared_parts(root: Path, asked: Collection[str] = ()) -> Mapping[str, Part]:
    """Return, by name, the dataset that each readable prepared folder makes available.

    Raises:
        DataError: if a folder whose name is in `asked` cannot be read.
    """
    parts = {}
    for name in folders.names(root):
        folder = folders.find(root, name)
        try:
            manifest = read_manifest(folder) if folder else None
        except DataError as error:
            if name in asked:
                raise DataError(error.message, hint=prepare_again(root, name)) from error
            continue  # `status` says what is wrong with it
        if manifest is not None:
            parts[name] = Part(
                name=name, use=manifest.use, revision=manifest.revision, params=manifest.params, title=name
            )
    return parts


def prepare_again(root: Path, name: str, registered: Collection[str] = ()) -> str:
    """Return the command that prepares a dataset anew: from where, and as it was, as far as its manifest tells.

    Args:
        registered: the datasets of registry.yaml, each of which is prepared by its name.
    """
    folder = folders.find(root, name)
    try:
        manifest = read_manifest(folder) if folder else None
    except DataError:
        manifest = None
    if manifest is not None:
        return _command(manifest, None, gone=not Path(manifest.source).is_dir())
    if name in registered or not (folder or (root / name).is_dir()):
        return f"harness data prepare {name} --from DIR"
    return f"harness data prepare COMPONENT --from DIR --as {name}"


def _of_registry(root: Path, entry: Component, catalog: Catalog) -> DatasetStatus:
    title = entry.title or entry.name
    command = f"harness data prepare {entry.name} --from DIR"
    try:
        spec = dataset_spec(catalog, entry.use)
    except InputError as error:
        return DatasetStatus(
            name=entry.name, title=title, use=entry.use, state="missing", detail=error.message
        )
    if spec.embedded:
        return DatasetStatus(
            name=entry.name, title=title, use=entry.use, state="embedded", params=entry.params
        )
    if folders.find(root, entry.name) is None:
        return DatasetStatus(
            name=entry.name, title=title, use=entry.use, state="missing", params=entry.params, command=command
        )
    part = Part(name=entry.name, use=entry.use, revision=spec.revision, params=entry.params, title=title)
    return _prepared(root, entry.name, part)


def _prepared(root: Path, name: str, part: Part | None) -> DatasetStatus:
    folder = folders.find(root, name)
    use, title = (part.use, part.title) if part else ("", name)
    if folder is None:  # removed since it was listed
        again = f"harness data prepare {name} --from DIR"
        return DatasetStatus(name=name, title=title, use=use, state="missing", command=again)
    try:
        manifest = read_manifest(folder)
        read_records(folder, manifest)
    except DataError as error:
        again = prepare_again(root, name, (part.name,) if part else ())
        return DatasetStatus(
            name=name, title=title, use=use, state="damaged", command=again, detail=error.message
        )
    state, detail = _state(manifest, part)
    return DatasetStatus(
        name=name,
        title=title,
        use=manifest.use,
        state=state,
        counts=manifest.counts,
        source=str(folders.plain(Path(manifest.source))),
        params=manifest.params,
        command="" if state == "prepared" else _command(manifest, part, gone=state == "source gone"),
        detail=detail,
    )


def _state(manifest: Manifest, part: Part | None) -> tuple[State, str]:
    if part and (difference := differences(part, manifest)):
        if other_parameters(part, manifest):
            difference += f". {reconcile(part, manifest, _command(manifest, part, gone=False))}"
        return "outdated", difference
    if not Path(manifest.source).is_dir():
        return "source gone", f"{manifest.source} is gone"
    return "prepared", ""


def _command(manifest: Manifest, part: Part | None, *, gone: bool) -> str:
    files = "".join(f" --annotations {_quoted(file)}" for file in manifest.annotations)
    if _of_archives(manifest):
        places = " ".join(f"--images {archive}" for archive in _archives(manifest)) + files
    else:
        source = "DIR" if gone else _quoted(manifest.source)
        places = f"--images {source}{files}" if files else f"--from {source}"
    if part is not None:
        return f"harness data prepare {part.name} {places}"
    settings = "".join(f" --set {shlex.quote(setting)}" for setting in settings_of(manifest.params))
    called = "" if manifest.use == manifest.name else f" --as {manifest.name}"
    return f"harness data prepare {shlex.quote(manifest.use)} {places}{settings}{called}"


def _of_archives(manifest: Manifest) -> bool:
    """Tell whether images were unpacked; manifests of older versions do not name the archives."""
    return bool(manifest.archives) or Path(manifest.source).parent.name == f"{manifest.name}~images"


def _archives(manifest: Manifest) -> list[str]:
    """Return what to type for the archives: never the folder that they were unpacked into, which may be damaged."""
    there = manifest.archives and all(Path(archive).is_file() for archive in manifest.archives)
    return [_quoted(archive) for archive in manifest.archives] if there else ["ARCHIVE"]


def settings_of(params: Mapping[str, Any]) -> list[str]:
    """Return parameters as ``--set`` takes them, such as ``captions=all``."""
    return [f"{key}={_value(value)}" for key, value in sorted(params.items())]


def _value(value: Any) -> str:
    """Return a value as the registry reads it: text without quotation marks where that is read as the same text."""
    try:
        bare = isinstance(value, str) and read_value(value, "") == value
    except RegistryError:
        bare = False
    return str(value) if bare else json.dumps(value, ensure_ascii=False)


def _quoted(path: str) -> str:
    return shlex.quote(str(folders.plain(Path(path))))
