"""`harness doctor`: is this machine ready?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from typing import Annotated, Any

import typer

from harness.cli.console import emit, out, say, table
from harness.cli.figures import size
from harness.cli.options import Home, Json, RegistryFile, Strict, load_catalog, load_registry, place

LIBRARIES = ("torch", "torchvision", "timm", "gensim", "pandas", "numpy", "pluggy", "rich", "tabulate")

Everything = Annotated[
    bool,
    typer.Option(
        "--store", help="Read every stored file again; name what is damaged and the command that mends it."
    ),
]


def doctor(
    everything: Everything = False,
    as_json: Json = False,
    strict: Strict = False,
    registry_file: RegistryFile = None,
    home: Home = None,
) -> None:
    """Report versions, devices, plugins, datasets, disk and threads; `harness leaks` examines data and runs."""
    where, catalog = place(home), load_catalog(strict)
    if everything:
        from harness.cli.integrity import examine_store

        options = {"registry": registry_file, "home": home}
        examine_store(where, load_registry(registry_file), catalog, as_json=as_json, options=options)
        return
    import torch

    from harness.data import status
    from harness.execute.provenance import default_threads
    from harness.store import Store

    versions = {name: _version(name) for name in ("retrieval-harness", *LIBRARIES)}
    devices = ["cpu"] + [
        f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())
    ]
    base = where.home if where.home.exists() else where.home.parent
    free = shutil.disk_usage(base if base.exists() else "/").free
    store = Store(where.home)
    damaged = [path for fingerprint in store.fingerprints() for path in store.damage(fingerprint)]
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "versions": versions,
        "devices": devices,
        "threads": default_threads(),
        "plugins": [f"{p.distribution} {p.version}" for p in catalog.plugins],
        "problems": [f"{p.distribution} {p.version}: {p.message}" for p in catalog.problems],
        "datasets": {
            entry.name: entry.state for entry in status(where.data, load_registry(registry_file), catalog)
        },
        "home": str(where.home),
        "data": str(where.data),
        "free_bytes": free,
        "runs": len(store.fingerprints()),
        "damaged": damaged,
    }
    spoilt = [name for name, state in report["datasets"].items() if state == "damaged"]
    if as_json:
        emit(report)
        if damaged or spoilt:
            raise typer.Exit(1)
        return
    rows = [
        ["python", report["python"]],
        *([name, version or "missing"] for name, version in versions.items()),
        ["devices", "\n".join(devices)],
        ["threads", f"{report['threads']} (OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')})"],
        ["plugins", "\n".join(report["plugins"]) or "none"],
        ["left out", "\n".join(report["problems"]) or "none"],
        ["datasets", "\n".join(f"{name}: {state}" for name, state in report["datasets"].items())],
        ["store", f"{where.home}: {report['runs']} runs, {len(damaged)} damaged files"],
        ["disk", f"{size(free)} free"],
    ]
    table("", ["what", "found"], rows)
    for path in damaged:
        say(f"damaged: {path}; the next `harness run` of its matrix does its run again", style="red")
    for name in spoilt:
        say(f"damaged: dataset {name}; next: harness data status", style="red")
    if damaged or spoilt:
        raise typer.Exit(1)
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        say(f"missing: {', '.join(missing)}; next: uv sync", style="yellow")
    else:
        out.print("ready. next: harness run --matrix smoke", markup=False)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
