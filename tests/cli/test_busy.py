"""What is said while nothing else can be: at once on a terminal, and nothing that stays."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli import console

FIRST = """
import io, sys
from rich.console import Console
from harness.cli import console, main, plan, run

console.log = Console(file=io.StringIO(), force_terminal=True)
for command in (run, plan):
    def spy(*given, load=command.load_catalog):
        print("said first:", "reading the plugins" in console.log.file.getvalue(), "torch" not in sys.modules)
        return load(*given)

    command.load_catalog = spy
main()
"""


def test_something_is_said_at_once_and_vanishes(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "log", Console(file=shown, force_terminal=True, width=80))
    with console.busy("reading \x1b[31m[/red] ..."):
        told = shown.getvalue()
        assert "reading \\u001b[31m[/red] ..." in told
    # The line is erased, and the cursor is there again.
    assert shown.getvalue().removeprefix(told).endswith("\x1b[?25h\r\x1b[1A\x1b[2K")


def test_a_file_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(console, "log", Console(file=shown))
    with console.busy("reading"):
        pass
    assert shown.getvalue() == ""


@pytest.mark.parametrize("words", [("run", "--dry-run"), ("plan", "--no-estimate")])
def test_commands_speak_before_they_load_what_is_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    command, *options = words
    done = subprocess.run(
        [sys.executable, "-c", FIRST, command, "--matrix", "smoke", "--home", str(tmp_path), *options],
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("said first: True True\n")
    assert "2 cells" in done.stdout
