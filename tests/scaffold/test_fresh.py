"""What `harness plugin new` writes installs, and passes its tests at once, in a fresh environment."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.catalog import ALLOW_LIST
from harness.scaffold import KINDS

PLUGINS = {
    "new-loss": ("--kind", "loss"),
    "new-image": ("--kind", "encoder"),
    "new-text": ("--kind", "encoder", "--modality", "text"),
    "new-data": ("--kind", "dataset"),
    "new-judge": ("--kind", "evaluator"),
}
UV = shutil.which("uv")
ROOT = Path(__file__).resolve().parents[2]
INSIDE = "new-inside"
"""One that is written into a checkout of the harness."""


@pytest.fixture(scope="module")
def environment() -> Mapping[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HARNESS_", "PYTEST_"))}
    return {**kept, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "VIRTUAL_ENV": ""}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Path:
    """Write all plugins, and install them in an environment that sees the libraries of this one, and no plugin else."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    interpreter = folder / "venv" / "bin" / "python"
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    libraries = sysconfig.get_path("purelib")
    # So that what lies there in editable form is found as well.
    (site / "libraries.pth").write_text(f"import site; site.addsitedir({libraries!r})\n", encoding="utf-8")
    for name, options in PLUGINS.items():
        done = call(interpreter, folder, environment, "harness.cli", "plugin", "new", name, *options)
        assert done.returncode == 0, done.stderr
        assert f"cd {name}" in done.stdout
    checkout = folder / "checkout"
    checkout.mkdir()
    shutil.copy(ROOT / "pyproject.toml", checkout)
    done = call(
        interpreter, checkout, environment, "harness.cli", "plugin", "new", INSIDE, "--kind", "evaluator"
    )
    assert done.returncode == 0, done.stderr
    assert f"plugins/{INSIDE}/pyproject.toml" in done.stdout
    if UV is None:
        pytest.skip("uv, which installs packages here, is not at hand")
    install(UV, interpreter, environment, ["-e", str(checkout / "plugins" / INSIDE)], checkout)
    for name in PLUGINS:
        # The line of its README itself; what it depends on is there.
        (line,) = re.findall(r"^uv pip install (.+)$", (folder / name / "README.md").read_text(), re.M)
        install(UV, interpreter, environment, shlex.split(line), folder / name)
    return interpreter


def install(
    uv: str, python: Path, environment: Mapping[str, str], arguments: list[str], folder: Path
) -> None:
    done = subprocess.run(
        [uv, "pip", "install", "--python", str(python), "--no-deps", *arguments],
        env=dict(environment),
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "does not have an extra" not in done.stderr


def call(
    python: Path, folder: Path, environment: Mapping[str, str], *command: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", *command],
        cwd=folder,
        env=dict(environment),
        capture_output=True,
        text=True,
        timeout=900,
    )


def test_every_sort_is_among_them() -> None:
    assert len(PLUGINS) == len(KINDS)


def test_their_tests_pass_at_once(python: Path, environment: Mapping[str, str]) -> None:
    folder = python.parents[2]
    # All in one process: most of the time goes into loading torch.
    tests = [f"{name}/tests" for name in PLUGINS]
    strict = ("-W", "error", "--strict-markers", "--import-mode=importlib", "-p", "no:cacheprovider")
    alone = {**environment, ALLOW_LIST: ",".join(PLUGINS)}  # and none of this repository's
    done = call(python, folder, alone, "pytest", "-q", "-rA", *strict, *tests)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, (_, kind, *_rest) in PLUGINS.items():
        for contract in (f"plugin-{name}", f"{kind}-{name}"):
            passed = rf"PASSED \S+::test_it_keeps_its_contract\[{contract}\]"
            assert re.search(passed, done.stdout), contract


def test_one_does_under_its_own_settings(python: Path, environment: Mapping[str, str]) -> None:
    alone = {**environment, ALLOW_LIST: "new-judge"}
    done = call(python, python.parents[2] / "new-judge", alone, "pytest", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "configfile: pyproject.toml" in done.stdout


def test_one_inside_does_under_the_settings_of_the_repository(
    python: Path, environment: Mapping[str, str]
) -> None:
    checkout = python.parents[2] / "checkout"
    alone = {**environment, ALLOW_LIST: INSIDE}
    done = call(python, checkout, alone, "pytest", "-p", "no:cacheprovider", f"plugins/{INSIDE}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"rootdir: {checkout}" in done.stdout
    done = call(
        *(
            python,
            checkout,
            environment,
            "harness.cli",
            "plan",
            "--matrix",
            INSIDE,
            "--no-estimate",
            "--json",
        ),
        *("--registry", f"plugins/{INSIDE}/registry.yaml"),
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["cells"]) == 2


def test_its_matrix_is_one(python: Path, environment: Mapping[str, str]) -> None:
    done = call(
        python,
        python.parents[2] / "new-loss",
        environment,
        "harness.cli",
        "plan",
        "--matrix",
        "new-loss",
        "--no-estimate",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    assert [cell["labels"]["variant"] for cell in json.loads(done.stdout)["cells"]] == ["own", "infonce"]


def test_a_name_that_is_installed_is_refused(
    python: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    done = call(python, tmp_path, environment, "harness.cli", "plugin", "new", "new-loss", "--kind", "loss")
    assert done.returncode == 2
    assert "retrieval-harness-new-loss 0.1.0 declares loss 'new-loss' already" in done.stderr
    assert list(tmp_path.iterdir()) == []
