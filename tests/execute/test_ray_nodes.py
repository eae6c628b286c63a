"""A real cluster of three nodes: a head that does no runs, and two of which one is lost in the middle of a run."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.execute import cluster
from harness.execute.cluster.connect import connected, threads_on
from harness.store import Store

STORE = 80 * 2**20
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "0123456789abcdef" * 4,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    # A node that is gone is missed soon.
    "RAY_health_check_initial_delay_ms": "0",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "4",
    "TOY_SLEEP": "0.4",
}


@pytest.fixture
def nodes(toy_site: Path, toy_log: Any) -> Iterator[tuple[Any, Any]]:
    """A cluster whose head has no CPU, with two more nodes of one each; Ray, connected to it, and what removes one."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(toy_site))
        patch.delenv("HARNESS_PLUGINS", raising=False)
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, os.environ.get(name, value))  # Ray keeps the first token that it reads
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE}
        started = Cluster(initialize_head=True, head_node_args=head)
        try:
            others = [started.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(2)]
            with connected(started.address, cpus=1) as ray:
                yield ray, lambda: started.remove_node(others[0], allow_graceful=False)
        finally:
            started.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_the_runs_of_a_node_that_is_lost_are_done_on_another(toy: Any, nodes: Any, tmp_path: Path) -> None:
    ray, lose = nodes
    assert threads_on(ray, "cpu", 1) == 1
    plan = toy.plan(matrix="seeds")
    gone: list[bool] = []

    def at(phase: str, done: int, total: int) -> None:
        begun = sum(event[0] == "started" for event in toy.listener.told)
        if phase == "train" and begun == 2 and not gone:
            gone.append(True)
            lose()

    toy.listener.at = at
    there = cluster.execute(plan, toy.workspace(threads=0), listener=toy.listener, address="")
    assert gone == [True]
    assert [(o.status, o.error) for o in there] == [("done", "")] * 2
    told = toy.listener.told
    assert (
        sum(event[0] == "note" and "lost its worker; another goes on with it" in event[1] for event in told)
        == 1
    )
    assert sum(event[0] == "finished" for event in told) == 2
    home, toy.home = toy.home, tmp_path / "here"
    toy.listener.at = lambda *_: None
    one: Any
    for one, other in zip(there, toy.execute(plan), strict=True):
        assert one.result.figures == other.result.figures
        fingerprint = one.result.fingerprint
        ranks = [Store(h).checked(fingerprint, "ranks.parquet").read_bytes() for h in (home, toy.home)]
        assert ranks[0] == ranks[1]
        assert Store(home).damage(fingerprint) == []
