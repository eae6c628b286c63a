"""A Ray cluster: one that is running, or one that is started on this machine for as long as a plan takes."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import sys
import warnings
from collections.abc import Iterator
from typing import Any

from harness.errors import InputError
from harness.parallel import cores

STORE_BYTES = 100 * 2**20
"""Of Ray's object store where it is started here: plans and outcomes pass through it, no tensor."""

_STARTED_HERE = {
    # Whoever can reach a port of Ray can run code: a token, and the loopback interface alone.
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # whose absence means the loopback interface, on every system
    "RAY_USAGE_STATS_ENABLED": "0",
}
_ALWAYS = {
    # Workers are to use the environment that is installed, not one that uv makes anew for each.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


@contextlib.contextmanager
def connected(address: str, *, cpus: int) -> Iterator[Any]:
    """Yield `ray`, connected: to what this process is connected to, else to `address`, else to one started here.

    Args:
        address: of a running cluster, as `ray start` prints it; empty: ``RAY_ADDRESS``, or start one.
        cpus: that one started here offers at least.

    Raises:
        InputError: if Ray is not installed, or no cluster answers.
    """
    address = address or os.environ.get("RAY_ADDRESS", "") or "local"
    local = address == "local"
    _prepare(local)
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--executor ray needs Ray, which is not installed",
            hint="Install the extra: pip install 'retrieval-harness[ray]'",
        ) from error
    if ray.is_initialized():
        yield ray
        return
    options: dict[str, Any] = {
        "address": address,
        "log_to_driver": False,
        "logging_level": logging.WARNING,
    }
    if local:
        options |= {
            "num_cpus": max(cores(), cpus),
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
        }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Ray's own future
            ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(
            f"no Ray cluster answers at {address}: {str(error).splitlines()[0]}",
            hint="`ray status` on its head node tells whether it runs; one with tokens needs RAY_AUTH_MODE=token and "
            "RAY_AUTH_TOKEN here, too.",
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _prepare(local: bool) -> None:
    """Set what Ray reads from the environment when it is imported; what is set stays as it is."""
    if "ray" in sys.modules:  # whoever imported it has chosen
        return
    chosen = {**_ALWAYS, **(_STARTED_HERE if local else {})}
    if local and "RAY_AUTH_MODE" not in os.environ:
        chosen["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    for name, value in chosen.items():
        os.environ.setdefault(name, value)


def device_on(ray: Any, wanted: str, devices: int) -> str:
    """Return the device of a run: ``auto`` is a GPU where the cluster has enough of them on one node.

    Raises:
        InputError: for one GPU by number: Ray gives them out.
    """
    if ":" in wanted:
        raise InputError(
            f"--device {wanted} is for one machine; Ray gives GPUs out", hint="Use --device cuda."
        )
    if wanted != "auto":
        return wanted
    return "cuda" if any(node.get("GPU", 0) >= devices for node in _nodes(ray)) else "cpu"


def threads_on(ray: Any, device: str, devices: int) -> int:
    """Return the CPUs that fall to a run where it is not said: a whole node's, or its share of a node with GPUs.

    Nodes without any, as the head of many a cluster, do not count.
    """
    nodes = [node for node in _nodes(ray) if node.get("CPU", 0) >= 1]
    if device == "cpu":
        return int(min((node["CPU"] for node in nodes), default=1))
    shares = [node["CPU"] * devices / node["GPU"] for node in nodes if node.get("GPU", 0) >= devices]
    return max(int(min(shares, default=1)), 1)


def check_room(ray: Any, *, cpus: int, gpus: int) -> None:
    """Refuse a demand that no node can ever meet: Ray would wait for it without end.

    Raises:
        InputError: says what the largest node has.
    """
    nodes = _nodes(ray)
    if any(node.get("CPU", 0) >= cpus and node.get("GPU", 0) >= gpus for node in nodes):
        return
    largest = max(nodes, key=lambda node: (node.get("GPU", 0), node.get("CPU", 0)), default={})
    raise InputError(
        f"a run asks for {cpus} CPUs and {gpus} GPUs, and the largest node of the cluster has "
        f"{largest.get('CPU', 0):.0f} and {largest.get('GPU', 0):.0f}",
        hint="Lower --threads or --devices.",
    )


def here(ray: Any) -> Any:
    """Return the demand of what is to live on the node of this process, and with it."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


def _nodes(ray: Any) -> list[dict[str, float]]:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
