"""Names that the shell completes: nothing heavy is loaded, and nothing is said where they cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import typer

Names = Callable[[typer.Context], Iterable[str]]
Complete = Callable[[typer.Context, str], list[str]]


def _entries(section: str) -> Names:
    def names(ctx: typer.Context) -> Iterable[str]:
        from harness.cli.options import registry_path
        from harness.registry import entry_names

        return entry_names(registry_path(ctx.params.get("registry_file")), section)

    return names


def _prepared(ctx: typer.Context) -> Iterator[str]:
    from harness.cli.options import place

    for manifest in sorted(place(ctx.params.get("home")).data.glob("*/manifest.json")):
        yield manifest.parent.name


def _runs(ctx: typer.Context) -> Iterator[str]:
    from harness.cli.options import place
    from harness.manifest import MANIFEST

    for manifest in sorted((place(ctx.params.get("home")).home / "runs").glob(f"*/{MANIFEST}")):
        yield manifest.parent.name


def _tables(ctx: typer.Context) -> Iterator[str]:
    from harness.cli.options import registry_path

    for page in sorted((registry_path(ctx.params.get("registry_file")).parent / "leaderboards").glob("*.md")):
        if page.stem not in ("README", "ablations"):
            yield page.stem


def _cells(ctx: typer.Context) -> Iterator[str]:
    """Yield axis=label of the matrix that was named, or that the command takes by itself."""
    from harness.cli.options import registry_path
    from harness.registry import Registry

    matrices = Registry.load(registry_path(ctx.params.get("registry_file"))).matrices
    for axis, labels in matrices[ctx.params["matrix"]].axes.items():
        yield from (f"{axis}={label}" for label in labels)


def _distributions(ctx: typer.Context) -> Iterator[str]:
    import importlib.metadata

    from harness.hookspecs import ENTRY_POINT_GROUP

    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if point.dist is not None:
            yield point.dist.name


def _of(*words: str) -> Names:
    return lambda ctx: words


def _completing(*sources: Names) -> Complete:
    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        found: dict[str, None] = {}
        for names in sources:
            # A shell that completes has no place for a message: the command itself tells what is broken.
            try:
                found |= {name: None for name in names(ctx) if name.startswith(incomplete)}
            except Exception:  # noqa: S112 - whatever is broken costs the completion alone
                continue
        return list(found)

    return complete


complete_matrix = _completing(_entries("matrices"))
complete_dataset = _completing(_entries("datasets"), _prepared)
complete_listed = _completing(_entries("datasets"))
complete_cell = _completing(_cells)
complete_profile = _completing(_entries("profiles"), _of("none"))
complete_kind = _completing(_of("loss", "encoder", "dataset", "evaluator"))
complete_modality = _completing(_of("image", "text"))
complete_distribution = _completing(_distributions)
complete_prepared = _completing(_prepared)
complete_encoder = _completing(_entries("encoders"))
complete_evaluator = _completing(_entries("evaluators"))
complete_run = _completing(_runs)
complete_table = _completing(_tables)
