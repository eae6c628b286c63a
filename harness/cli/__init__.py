"""The command line. Each command is a module; heavy libraries are imported by the functions that need them."""

from __future__ import annotations

import os
import sys

import typer

from harness.cli import (
    bench,
    compare,
    data,
    doctor,
    explain,
    export,
    importing,
    inventory,
    leaderboard,
    leaks,
    plan,
    plugin,
    power,
    rescore,
    run,
    schema,
    show,
)
from harness.cli.console import complain
from harness.errors import HarnessError, InputError

EPILOG = (
    "Exit codes: 0 all cells fine, 1 some cells failed, 2 wrong input, 130 or 143 interrupted (run the same "
    "command again to go on)."
)

app = typer.Typer(
    name="harness",
    help="Benchmark image-text retrieval: train and evaluate a matrix of methods, render leaderboards.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run", epilog=EPILOG)(run.run)
app.command("plan")(plan.plan)
app.command("list")(inventory.list_components)
app.add_typer(data.app, name="data")
app.command("schema")(schema.schema)
app.add_typer(leaderboard.app, name="leaderboard")
app.command("show")(show.show)
app.command("explain")(explain.explain)
app.command("compare")(compare.compare)
app.command("power")(power.power)
app.command("import")(importing.import_file)
app.command("export")(export.export)
app.command("rescore", epilog=EPILOG)(rescore.rescore)
app.add_typer(plugin.app, name="plugin")
app.add_typer(bench.app, name="bench")
app.command("doctor")(doctor.doctor)
app.command("leaks")(leaks.leaks)


def main() -> None:
    """Run the command line; turn what a user can act on into a message and an exit code."""
    _speak_utf8()
    try:
        app()
    except InputError as error:
        complain(error)
        sys.exit(2)
    except HarnessError as error:
        complain(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away, as in `harness list | head`.
        sys.stderr.close()
        sys.exit(0)


def _speak_utf8() -> None:
    """Begin anew in Python's UTF-8 mode where the locale has another encoding.

    Libraries below Python, safetensors among them, take every path as UTF-8: they would fail at the name of a folder
    that is not ASCII, or write to another one.
    """
    mode = ["-X", "utf8"]
    if sys.getfilesystemencoding() != "utf-8" and sys.executable and sys.orig_argv[1:3] != mode:
        os.environ["PYTHONUTF8"] = "1"  # for processes that this one starts
        os.execv(sys.executable, [sys.executable, *mode, *sys.orig_argv[1:]])  # noqa: S606 - ourselves


__all__ = ["app", "main"]
