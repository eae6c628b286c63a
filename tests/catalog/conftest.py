"""A folder of installed packages, and a catalog of what lies in it."""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.catalog import ALLOW_LIST, Catalog

Install = Callable[..., str]
Load = Callable[..., Catalog]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, on the path of this process."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delenv(ALLOW_LIST, raising=False)
    return tmp_path


@pytest.fixture
def install(site: Path) -> Install:
    """Install a distribution with one plugin; returns its distribution name."""
    fresh = itertools.count()

    def add(
        source: str,
        *,
        name: str = "mine",
        distribution: str = "",
        version: str = "1.2",
        group: str = "harness.v1",
    ) -> str:
        number = next(fresh)
        module = f"plugin_{site.name.replace('-', '_')}_{number}"
        distribution = distribution or f"acme-{number}"
        (site / f"{module}.py").write_text(source)
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {module}\n")
        return distribution

    return add


@pytest.fixture
def load(site: Path) -> Load:
    """Load what lies in that folder, and nothing of the environment."""

    def load(*, strict: bool = False) -> Catalog:
        found = importlib.metadata.distributions(path=[str(site)])
        return Catalog.load(strict=strict, entry_points=[p for each in found for p in each.entry_points])

    return load
