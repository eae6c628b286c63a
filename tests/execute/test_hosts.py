"""What a worker of a cluster is asked before it does a run, and what the board of a plan answers. No cluster needed."""

from __future__ import annotations

import platform
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, PluginError, StoreError
from harness.execute.cluster.board import Board
from harness.execute.cluster.hosts import OURS, check_data, check_host, installed
from harness.plan import Part

HOST = f"host {platform.node()} of the cluster"


@pytest.fixture
def beacon(tmp_path: Path) -> Path:
    path = tmp_path / "beacon"
    path.touch()
    return path


def test_a_host_with_the_same_is_fit(toy: Any, beacon: Path) -> None:
    here = installed(toy.workspace())
    assert here.versions["acme-toy"] == "1.0"
    assert {"python", "torch", OURS} <= here.versions.keys()
    assert here.sources.keys() == {"acme-toy", OURS}
    check_host(toy.workspace(), beacon, here)


def test_a_host_without_the_store_or_with_other_versions_is_named(toy: Any, beacon: Path) -> None:
    workspace = toy.workspace()
    here = installed(workspace)
    with pytest.raises(StoreError, match=rf"{HOST} does not see the store {workspace.home}"):
        check_host(workspace, beacon.with_name("gone"), here)
    other = replace(here, versions={**here.versions, "acme-toy": "2.0", "left": "1"})
    with pytest.raises(
        PluginError, match=rf"{HOST} has other versions .*: acme-toy 1\.0 there, 2\.0 here; left not there"
    ):
        check_host(workspace, beacon, other)


def test_one_changed_line_under_the_same_version_is_noticed(
    toy: Any, toy_site: Path, beacon: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = toy.workspace()
    there = installed(workspace)
    shutil.copytree(toy_site, tmp_path / "other")
    monkeypatch.syspath_prepend(tmp_path / "other")
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness_toy"]:
        monkeypatch.delitem(sys.modules, name)
    check_host(workspace, beacon, there)  # where it lies does not count
    with (tmp_path / "other" / "harness_toy" / "judges.py").open("a") as file:
        file.write("# as good as before\n")
    with pytest.raises(PluginError, match="has other source files of acme-toy under the same version"):
        check_host(workspace, beacon, there)


def test_data_that_a_host_does_not_have_or_has_otherwise_are_named(toy: Any) -> None:
    workspace, run = toy.workspace(), toy.plan(matrix="one").runs[0]
    check_data(workspace, run)
    with pytest.raises(DataError, match=f"{HOST} has another version of dataset 'toys' in {workspace.data}"):
        check_data(workspace, replace(run, protocol="of other images"))
    listed = replace(run, dataset=Part(name="listed", use="listed", revision=1))
    with pytest.raises(
        DataError, match=f"{HOST}: dataset 'listed' is not prepared in {workspace.data}"
    ) as bad:
        check_data(workspace, listed)
    assert "HARNESS_DATA" in bad.value.hint


def test_a_board_lets_a_run_begin_so_often_and_none_after_a_signal() -> None:
    board = Board(2)
    assert [board.begin(0, whatever=False) for _ in range(3)] == ["go", "go", "lost"]
    assert board.begin(1, whatever=False) == "go"
    assert board.take() == [("started", 0), ("started", 0), ("started", 1)]
    board.close()
    assert board.begin(2, whatever=False) == "closed"
    assert board.begin(3, whatever=True) == "go"
    assert board.stop(15) == {0, 1, 3}
    assert board.begin(1, whatever=True) == "stopped"
    assert board.asked() == 15
