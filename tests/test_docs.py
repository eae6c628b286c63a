"""The texts in docs/: what they claim of the code is compared with it, and their plugin is installed and run."""

from __future__ import annotations

import configparser
import importlib.util
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from harness.registry import Registry, Stage
from harness.registry.axes import FIELDS
from harness.testing import check_evaluator

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def files_of(page: Path) -> dict[str, str]:
    """Return the files that a page holds: a path in backticks on a line of its own, then a block."""
    found = re.findall(r"^`([^`\n]+)`\n\n```\w+\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)
    return dict(found)


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """Write the plugin of the page as an installer would leave it: files, and the metadata of a distribution."""
    folder = tmp_path / "hinge"
    for name, text in files_of(DOCS / "writing-a-plugin.md").items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    metadata = folder / "src" / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n", encoding="utf-8"
    )
    points = configparser.ConfigParser()
    points.read_dict(project["entry-points"])
    with io.StringIO() as text:
        points.write(text)
        (metadata / "entry_points.txt").write_text(text.getvalue(), encoding="utf-8")
    return folder


def run(
    folder: Path, *command: str, mode: str = "-m", **environment: str
) -> subprocess.CompletedProcess[str]:
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HARNESS_")},
        "PYTHONPATH": str(folder / "src"),
        "HARNESS_HOME": str(folder / "home"),
        "OMP_NUM_THREADS": "1",
        **environment,
    }
    return subprocess.run(
        [sys.executable, mode, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


STEPS = """\
import contextlib, io, json, shlex, sys
import pytest
from harness.cli import main

for line in sys.argv[1:]:
    words, out = shlex.split(line), io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            if words[0] == "pytest":
                # The harness is there already when pytest comes to rewrite the asserts of its plugin.
                warnings = ("error", "ignore::pytest.PytestAssertRewriteWarning")
                options = [part for each in warnings for part in ("-W", each)]
                code = int(pytest.main(["-q", "-p", "no:cacheprovider", *options, *words[1:]]))
            else:
                sys.argv = words + (["--threads", "1"] if words[1] == "run" else [])
                main()
                code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    print(json.dumps({"line": line, "code": code, "out": out.getvalue()}))
"""
"""Runs several commands in one process: torch is loaded once."""


def steps(folder: Path, *lines: str) -> dict[str, str]:
    """Run commands that must end well, in the plugin's folder; return what each printed on standard output."""
    done = run(folder, STEPS, *lines, mode="-c", COLUMNS="200")
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for each in found:
        assert each["code"] == 0, f"{each['line']}\n{each['out']}\n{done.stderr}"
    return {each["line"]: each["out"] for each in found}


def test_the_steps_of_the_page_and_of_its_ci_end_with_a_row_in_a_table(plugin: Path) -> None:
    workflow = yaml.safe_load((plugin / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    jobs = workflow["jobs"].values()
    install, *others = (step["run"] for job in jobs for step in job["steps"] if "run" in step)
    assert "uv pip install" in install
    text = (DOCS / "writing-a-plugin.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```sh\n(uv pip install -e \.\n.*?)^```$", text, re.M | re.S)
    lines = block.splitlines()[1:]
    assert [line.split(" --strict")[0].split(" --fail-fast")[0] for line in others] == lines

    told = steps(plugin, *others)
    listed, tested, checked, _ = told.values()
    assert "retrieval-harness-hinge 0.1.0" in listed
    assert "4 passed" in tested
    assert checked.count("kept") == 3
    page = (plugin / "leaderboards" / "shapes.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (\*\*.+?\*\*) \|", text.split("\n## ")[-1], re.M)  # what the page ends with
    assert len(shown) == 3
    for method in shown:
        assert re.search(rf"^\| {re.escape(method)} .*\| measured ", page, re.M), method

    rows = [json.loads(line) for line in (plugin / "leaderboards" / "results.jsonl").read_text().splitlines()]
    assert {row["labels"]["variant"]: row["matrix"] for row in rows} == dict.fromkeys(
        ("hardest", "all", "rival"), "hinge"
    )
    assert len({row["fingerprint"] for row in rows}) == 3
    for row in rows:
        assert 0 < row["metrics"]["reciprocal.i2t.mrr"] <= 1
    (hardest,) = (row["fingerprint"] for row in rows if row["labels"]["variant"] == "hardest")
    history = plugin / "home" / "runs" / hardest / "history.jsonl"
    last = json.loads(history.read_text(encoding="utf-8").splitlines()[-1])
    assert 0 < last["hinge.active"] <= 1


def test_the_page_shows_what_the_adversaries_say_of_a_wrong_evaluator() -> None:
    page = DOCS / "writing-a-plugin.md"
    files = files_of(page)
    code, text = files["src/harness_hinge/reciprocal.py"], page.read_text(encoding="utf-8")
    right, wrong = "1 / ranks.rank()", "1 / (1 + ranks.above)"
    assert right in code
    assert f"`{wrong}` in place of `{right}`" in text
    names: dict[str, Any] = {}
    exec(files["src/harness_hinge/hooks.py"], names)
    exec(code.replace(right, wrong), names)
    (spec,) = names["harness_evaluators"]()
    violation = str(check_evaluator(names["ReciprocalRank"](), spec=spec)[0])
    (shown,) = re.findall(r"^    (evaluator 'reciprocal-rank', .*)$", text, re.M)
    # Another version of numpy draws other random scorers.
    assert re.sub(r"0\.\d+", "N", violation).startswith(re.sub(r"0\.\d+", "N", shown))


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the rows of the first table below a heading, cells without backticks."""
    below = page.read_text(encoding="utf-8").split(f"\n{heading}\n", 1)[1]
    lines = re.search(r"(?:^\|[^\n]*\n)+", below, re.M)
    assert lines is not None, heading
    rows = lines.group().strip().split("\n")[2:]
    return [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]


def test_the_table_of_stage_fields_has_all_of_them_with_their_defaults() -> None:
    documented = {row[0]: row[1] for row in table(DOCS / "registry.md", "## Stages")}
    fields = {name: field for name, field in Stage.model_fields.items() if name not in ("name", "settings")}
    assert list(documented) == [*fields, "like"]
    for name, field in fields.items():
        if field.is_required():
            assert documented[name] == "required", name
        else:
            default = field.get_default(call_default_factory=True)
            assert json.loads(documented[name]) == (
                list(default) if isinstance(default, tuple) else default
            ), name


def test_the_table_of_axis_fields_has_all_of_them() -> None:
    assert [row[0] for row in table(DOCS / "registry.md", "## Matrices")] == list(FIELDS)


def test_the_registry_of_the_page_is_one(tmp_path: Path) -> None:
    examples = files_of(DOCS / "registry.md")
    assert examples
    for name, text in examples.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        registry = Registry.load(path)
        assert registry.matrices


def test_the_page_of_hooks_is_that_of_the_docstrings_and_has_every_name() -> None:
    from harness import api

    spec = importlib.util.spec_from_file_location("texts", ROOT / ".ci" / "texts.py")
    assert spec is not None
    assert spec.loader is not None
    texts = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(texts)
    page = (DOCS / "hooks.md").read_text(encoding="utf-8")
    assert page == texts.hooks_page()
    assert texts.stale_pages() == []
    assert [name for name in api.__all__ if not re.search(rf"\b{name}\b", page)] == []
    documented = set(re.findall(r"^### `(\w+)`", page, re.M))
    declared = {name for name in api.__all__ if "Error" not in name} - {"hookimpl", "nearest", "valid_name"}
    assert documented >= {name for name in declared if callable(getattr(api, name))} - {"Policy"}


def test_every_entry_that_the_pages_name_is_in_the_registry() -> None:
    registry = Registry.load(ROOT / "registry.yaml")
    text = "".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *DOCS.glob("*.md")])
    examples = [
        text
        for page in DOCS.glob("*.md")
        for name, text in files_of(page).items()
        if name in ("registry.yaml", "mine.yaml")
    ]
    own = {name for text in examples for name in yaml.safe_load(text).get("matrices", {})}
    matrices = set(re.findall(r"--matrix (\w[\w-]*)", text))
    assert own < matrices | set(registry.matrices) | {"first"}
    assert matrices - own
    assert matrices - own <= set(registry.matrices)


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def imports() -> list[list[str]]:
    """The `harness import` commands of the page, as words."""
    text = "".join(blocks(DOCS / "importing.md", "sh")).replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in text.splitlines() if line.startswith("harness import")]


def test_the_first_import_of_the_page_runs_as_it_stands(
    tmp_path: Path, imports: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(blocks(DOCS / "importing.md", "python")[0], {})
    done = run(tmp_path, "harness.cli", *imports[0], "--json")
    assert done.returncode == 0, done.stderr
    recall = json.loads(done.stdout)["figures"]["recall"]
    # "In R@1 half a percent": one of 200 images, or one of five of 1,000 captions.
    assert recall["i2t.recall@1"] <= 0.02
    assert recall["t2i.recall@1"] <= 0.015


def test_the_second_import_reads_the_records_of_a_prepared_dataset(
    tmp_path: Path, imports: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's Flickr8k is drawn here, a folder of five photographs."""
    source, data = tmp_path / "source", tmp_path / "home" / "data"
    (source / "images").mkdir(parents=True)
    for split in ("train", "val", "test"):
        rows = []
        for number in range(5):
            name = f"{split}{number}.png"
            Image.new("RGB", (32, 32), (number, 0, len(split))).save(source / "images" / name)
            rows.append(json.dumps({"image": name, "captions": [f"{split} {number}", f"the {number}"]}))
        (source / f"{split}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    prepared = run(
        tmp_path, "harness.cli", "data", "prepare", "folder", "--from", str(source), "--as", "mine"
    )
    assert prepared.returncode == 0, prepared.stderr
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATA", str(data))
    page = DOCS / "importing.md"
    second, third = (text.replace("flickr8k", "mine") for text in blocks(page, "python")[1:3])
    manifest = json.loads((data / "mine" / "manifest.json").read_text(encoding="utf-8"))
    names: dict[str, Any] = {
        # A file is below the folder that the dataset was prepared from; an image and its captions share a number.
        "embed_images": lambda files: _one_hot(
            [int(np.asarray(Image.open(Path(manifest["source"], file)))[0, 0, 0]) for file in files]
        ),
        "embed_captions": lambda texts: _one_hot([int(text.split(" ")[1]) for text in texts]),
    }
    exec(second, names)
    with np.load("clip.npz") as file:
        names |= {key: file[key] for key in ("image", "text")}
        names |= {key: file[key].tolist() for key in ("image_ids", "text_ids")}
    exec(third, names)
    words = [word.replace("flickr8k", "mine") for word in imports[1]]
    for path in ("clip.npz", "embeddings.safetensors"):
        done = run(tmp_path, "harness.cli", words[0], path, *words[2:], "--dry-run", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["figures"]["recall"]["rsum"] == 600.0


def _one_hot(numbers: list[int]) -> np.ndarray[Any, Any]:
    return np.eye(5)[numbers]
