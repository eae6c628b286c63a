"""Whether a host of a cluster is fit for a plan: it sees the same store and data, and has the same code."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.data import protocol_of
from harness.durable import file_sha256
from harness.errors import DataError, PluginError, StoreError
from harness.execute.outcome import Workspace
from harness.execute.provenance import versions
from harness.hookspecs import ENTRY_POINT_GROUP
from harness.plan import RunSpec
from harness.specs import DatasetSpec

OURS = "retrieval-harness"
_SAME = "Install the same on all hosts: their figures stand in one table."
_SHARED = "must lie on a file system that all hosts share under one path"


@dataclass(frozen=True, kw_only=True)
class Installed:
    """All code that can change a figure.

    Attributes:
        versions: of Python, libraries and plugins.
        sources: a digest of the modules of the harness and of each plugin, by distribution: a version that is at work
            on does not change with every line.
    """

    versions: dict[str, str]
    sources: dict[str, str]


def installed(workspace: Workspace) -> Installed:
    """Return what is installed here."""
    found, sources = {}, {OURS: _digest({"harness"})}
    for name in {plugin.distribution for plugin in workspace.catalog.plugins}:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            distribution = importlib.metadata.distribution(name)
            found[name] = distribution.version
            points = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
            sources[name] = _digest({point.module.partition(".")[0] for point in points})
    return Installed(versions=versions(found), sources=sources)


def check_host(workspace: Workspace, beacon: Path, there: Installed) -> None:
    """Refuse a host that does not see the store, or whose code is another.

    Args:
        beacon: a file in the store.
        there: what is installed where the plan was given out.

    Raises:
        StoreError: names the host and the store.
        PluginError: names the host and what differs.
    """
    if not beacon.exists():
        raise StoreError(
            f"{_host()} does not see the store {workspace.home}",
            hint=f"With --home, it {_SHARED}.",
        )
    here = installed(workspace)
    differing = [
        f"{name} {here.versions.get(name, 'not')} there, {version} here"
        for name, version in there.versions.items()
        if here.versions.get(name) != version
    ]
    if differing:
        raise PluginError(f"{_host()} has other versions installed: {'; '.join(differing)}", hint=_SAME)
    if changed := [name for name, digest in there.sources.items() if here.sources.get(name) != digest]:
        raise PluginError(
            f"{_host()} has other source files of {', '.join(sorted(changed))} under the same version",
            hint=_SAME,
        )


def check_data(workspace: Workspace, run: RunSpec) -> None:
    """Refuse a host that sees no data of a run, or other data than it was planned on.

    Raises:
        DataError: names the host, the dataset and where it was looked for.
    """
    spec = workspace.catalog.find("dataset", run.dataset.use).spec
    assert isinstance(spec, DatasetSpec)
    hint = f"Prepared data, below --home or in HARNESS_DATA, {_SHARED}."
    try:
        found = protocol_of(run.dataset, workspace.data, spec)
    except DataError as error:
        raise DataError(f"{_host()}: {error.message}", hint=hint) from error
    if found != run.protocol:
        raise DataError(
            f"{_host()} has another version of dataset {run.dataset.name!r} in {workspace.data}", hint=hint
        )


def _host() -> str:
    return f"host {platform.node()} of the cluster"


def _digest(packages: set[str]) -> str:
    """Return a digest of the modules of top-level packages; none of them is imported."""
    digest = hashlib.sha256()
    for name, path in sorted(pair for package in packages for pair in _modules(package)):
        digest.update(f"{name}\0{file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _modules(package: str) -> Iterator[tuple[str, Path]]:
    """Yield each module's file, with its place in the package."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return
    for folder in map(Path, spec.submodule_search_locations or ()):
        for path in folder.rglob("*.py"):
            yield f"{package}/{path.relative_to(folder).as_posix()}", path
    if not spec.submodule_search_locations and spec.origin is not None:
        yield package, Path(spec.origin)
