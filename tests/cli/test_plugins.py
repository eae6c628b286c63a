"""Broken plugins, really installed, beside a sound one; and what a fresh process loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

HEAVY = ("torch", "timm", "gensim", "pandas", "pyarrow", "scipy", "sklearn", "matplotlib", "numpy")
RUN = ("run", "--matrix", "one", "--threads", "1", "--device", "cpu")


@pytest.mark.parametrize("arguments", ["--help", "run --help", "list", "list --json", "data --help"])
def test_what_only_reads_names_loads_no_heavy_library(command: Any, arguments: str) -> None:
    before = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('loaded', [n for n in {HEAVY!r} if n in sys.modules], file=sys.stderr))"
    )
    code, out, err = command(*arguments.split(), before=before)
    assert code == 0
    assert out
    assert err.splitlines()[-1] == "loaded []"


def test_the_installed_plugins_load_nothing_heavy_either(command: Any, tmp_path: Path) -> None:
    del command.environment["HARNESS_PLUGINS"]
    before = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('loaded', [n for n in {HEAVY!r} if n in sys.modules], file=sys.stderr))"
    )
    code, out, err = command("list", "--json", before=before)
    assert code == 0
    assert json.loads(out)["problems"] == []
    assert err.splitlines()[-1] == "loaded []"


def test_a_broken_plugin_is_named_and_the_rest_works(command: Any, tmp_path: Path) -> None:
    site = tmp_path / "broken"
    info = site / "acme_broken-0.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-broken\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[harness.v1]\nbroken = acme_broken\n")
    (site / "acme_broken.py").write_text(
        "print('noise')\nimport sys\nprint('\\x1b[31m', file=sys.stderr)\nraise RuntimeError('boom \\x1b[31m')\n"
    )
    command.environment["PYTHONPATH"] += f":{site}"
    del command.environment["HARNESS_PLUGINS"]
    code, out, err = command("list", "--json")
    assert code == 0
    listed = json.loads(out)
    (problem,) = listed["problems"]
    assert (problem["distribution"], problem["version"]) == ("acme-broken", "0.3")
    assert "boom" in problem["message"]
    assert "plugin left out: acme-broken 0.3" in err
    assert "\x1b" not in err
    assert ("encoder", "frozen") in {(entry["kind"], entry["name"]) for entry in listed["components"]}
    code, out, err = command(*RUN, "--json")
    assert code == 0
    assert json.loads(out)["cells"][0]["status"] == "done"
    assert "plugin left out: acme-broken 0.3" in err
    for arguments in (("list", "--strict"), (*RUN, "--strict")):
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert "acme-broken 0.3" in err
        assert "Traceback" not in err


def test_completion_of_a_shell_is_printed(command: Any) -> None:
    # The shell is asked for by name, as nobody's login shell runs here.
    code, out, err = command(_HARNESS_COMPLETE="source_bash", before="import sys; sys.argv[0] = 'harness'")
    assert code == 0, err
    assert "_HARNESS_COMPLETE=complete_bash" in out


def test_a_reader_that_goes_away_is_no_error(command: Any) -> None:
    process = command.start("list", "--json")
    process.stdout.close()
    process.wait(timeout=60)
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()
