"""A run of every benchmark at the smallest sizes: what it reports, reads back and writes. No time is asserted."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

Invoke = Callable[..., tuple[int, str, str]]

REGISTRY = """\
version: 1
encoders:
  image: {use: timm, backbone: test_resnet, weights: null, hidden: 8}
  words: {use: text-cnn, blocks: [1], width: 0.125, embedding_dim: 6, length: 16}
losses:
  instance: {use: instance}
  ranking: {use: ranking, negatives: mined, candidates: 9}
datasets: {drawn: {use: shapes, images: 160, size: 64}}
evaluators: {recall: {use: recall}}
stages:
  one: {losses: {instance: 1}, freeze: [image.backbone.*], epochs: 3, batch: 4, views: 2}
  two: {losses: {ranking: 2, instance: 1}, epochs: 2, batch: 4}
  moving: {losses: {instance: 1}, epochs: 1}
experiments:
  dual-path: {dataset: drawn, image: image, text: words, dim: 5, stage: one, evaluators: [recall]}
  moving: {like: dual-path, stage: moving}
"""
QUICK = ("--rounds", "2", "--seconds", "0", "--threads", "1")


@pytest.fixture
def bench(invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Invoke]:
    """Run the command in a folder with the registry above and a page, with the real plugins."""
    folder = tmp_path / "checkout"
    (folder / "docs").mkdir(parents=True)
    (folder / "registry.yaml").write_text(REGISTRY, encoding="utf-8")
    (folder / "docs" / "performance.md").write_text("# Performance\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HARNESS_PLUGINS", "dualpath,shapes,recall")
    threads = torch.get_num_threads()
    yield lambda *arguments: invoke("bench", *arguments)
    torch.set_num_threads(threads)


def reported(bench: Invoke, tmp_path: Path, name: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark; hold its JSON, what is read back from it, the terminal and the page to each other."""
    code, out, err = bench(name, *arguments, "--json", "--write", "--busy")
    assert code == 0, err
    report: dict[str, Any] = json.loads(out)
    assert report["benchmark"] == name
    assert report["origin"]["command"].startswith(f"harness bench {name} ")
    ratios = sum(len(group["ratios"]) for group in report["groups"])
    assert len(report["figures"]) == ratios > 0
    for group in report["groups"]:
        for timed in group["timed"]:
            assert min(timed["seconds"]) > 0
            assert timed["memory"] is None or timed["memory"] >= 0
    for figure in report["figures"]:
        group = next(g for g in report["groups"] if g["title"] == figure["group"])
        seconds = {timed["name"]: timed["seconds"] for timed in group["timed"]}
        quotients = [a / b for a, b in zip(seconds[figure["over"]], seconds[figure["under"]], strict=True)]
        assert min(quotients) <= figure["ratio"]["median"] <= max(quotients)
    page = next((tmp_path / "checkout").rglob("performance.md"), None) or Path("docs/performance.md")
    written = page.read_text(encoding="utf-8")
    assert f"<!-- {report['section']}: written by `harness bench {name} --write` -->" in written
    assert all(timed["name"] in written for group in report["groups"] for timed in group["timed"])
    (tmp_path / "report.json").write_text(out, encoding="utf-8")
    page.write_text(written.replace(report["about"][:20], "changed"), encoding="utf-8")
    again = bench(name, "--from", str(tmp_path / "report.json"), "--write", "--busy", "--json")
    assert (again[0], json.loads(again[1])) == (0, report), again[2]
    assert page.read_text(encoding="utf-8") == written
    code, out, err = bench(name, "--from", str(tmp_path / "report.json"))
    assert code == 0, err
    assert all(timed["name"][:8] in out for group in report["groups"] for timed in group["timed"])
    return report


def names(group: dict[str, Any]) -> set[str]:
    return {timed["name"] for timed in group["timed"]}


def test_evaluation(bench: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.bench import evaluation
    from harness.ranking import BLOCK

    monkeypatch.setattr(evaluation, "SLOW", 80)
    monkeypatch.setattr(evaluation, "FOLDS", 2)
    monkeypatch.setattr(evaluation, "BLOCK", 40)
    assert BLOCK == 1000
    report = reported(
        bench, tmp_path, "evaluation", *QUICK, "--images", "30", "--images", "80", "--dim", "16"
    )
    small, fast, slow = report["groups"]
    assert {"harness", "bare matrix product", "whole matrix", "argsort loop, float64"} <= names(small)
    assert "folds from the tiles" in names(fast)
    assert "argsort loop, float64" in names(slow)
    assert {len(timed["seconds"]) for timed in slow["timed"]} == {2}
    assert {timed["part"] for timed in slow["timed"]} >= {1.0, 1 / 80}
    held = {fact["name"]: fact["value"] for fact in fast["facts"]}
    (took,) = [timed["memory"] for timed in fast["timed"] if timed["name"] == "harness"]
    goal = f"{took / 2**20:,.0f} MB (to reach: under 128 MB: yes)" if took is not None else None
    assert held.get("extra memory of 80 images") == goal
    goals = {
        figure["over"]: figure["reached"] for figure in report["figures"] if figure["under"] == "harness"
    }
    assert isinstance(goals["argsort loop, float64"], bool)


@pytest.mark.parametrize(("took", "goal"), [(2**27 - 1, "yes"), (2**27, "no")])
def test_extra_memory_of_an_evaluation_is_held_to_its_goal(took: int, goal: str) -> None:
    from harness.bench.evaluation import OURS, _held
    from harness.bench.report import Group, Timed

    def held(memory: int | None) -> Group:
        return _held(Group(title="a", timed=(Timed(name=OURS, seconds=(1.0,), memory=memory),)), 5000)

    (fact,) = held(took).facts
    assert fact.name == "extra memory of 5,000 images"
    assert fact.value == f"128 MB (to reach: under 128 MB: {goal})"
    assert held(None).facts == ()


def test_evaluation_that_differs_is_not_reported(bench: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.bench import rivals

    monkeypatch.setattr(rivals, "whole_matrix", lambda *_: {"i2t.recall@1": 0.0})
    code, out, err = bench("evaluation", *QUICK, "--images", "30", "--dim", "16")
    assert (code, out) == (1, "")
    assert "'whole matrix' finds 0.0" in " ".join(err.split())


def test_statistics(bench: Invoke, tmp_path: Path) -> None:
    sizes = ("--images", "30", "--dim", "8", "--resamples", "40")
    (group,) = reported(bench, tmp_path, "statistics", *QUICK, *sizes)["groups"]
    assert {"bootstrap", "evaluation", "plain loop"} <= names(group)
    held = {ratio["over"] for ratio in group["ratios"] if ratio["most"] == 0.1}
    assert held == {"bootstrap", "ratios of sums over images, six figures", "differences of two methods"}


def test_ratios_that_differ_from_recalls_are_not_reported(
    bench: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.bench import resampling

    plain = resampling.shares
    monkeypatch.setattr(
        resampling, "shares", lambda sample: {k: (0.9 * sums, n) for k, (sums, n) in plain(sample).items()}
    )
    sizes = ("--images", "30", "--dim", "8", "--resamples", "40")
    code, out, err = bench("statistics", *QUICK, *sizes)
    assert (code, out) == (1, "")
    assert "as a ratio of sums" in " ".join(err.split())


def test_input(bench: Invoke, tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    batches, prepare = reported(bench, tmp_path, "input", *QUICK, "--images", "3", "--batch", "2")["groups"]
    assert len(batches["timed"]) == 10
    goals = {(ratio["over"], ratio["under"]): ratio["least"] for ratio in batches["ratios"]}
    pil = "PIL: resize 256, crop 224, flip"
    assert goals[pil, "harness: decoded cache, exact crop"] == 20
    assert goals[pil, "harness: decoded every time, exact crop, torch's filter"] == 2.5
    # Crop by crop: what cuts exactly is held to what cuts exactly, what scales to what scales.
    assert all(("exact" in under) == (over != "PIL: random resized crop 224, flip") for over, under in goals)
    assert batches["unit"] == prepare["unit"] == "images"
    (memory,) = batches["facts"]
    assert memory["value"].count(",") == 3


def test_stage1(bench: Invoke, tmp_path: Path) -> None:
    sizes = ("--profile", "none", "--images", "9", "--classes", "20", "--device", "cpu")
    report = reported(bench, tmp_path, "stage1", *QUICK, *sizes)
    (group,) = report["groups"]
    assert len(group["timed"]) == 6
    (goal,) = [ratio for ratio in group["ratios"] if ratio["least"] is not None]
    assert (goal["over"], goal["under"]) == ("through the frozen part, folded", "from cached features")
    assert report["section"] == "stage1"
    assert "3 epochs over 2 cached views" in group["facts"][0]["name"]


@pytest.mark.parametrize("stage", ["one", "two"])
def test_train(bench: Invoke, tmp_path: Path, stage: str) -> None:
    sizes = ("--profile", "none", "--images", "7", "--classes", "20", "--stage", stage, "--device", "cpu")
    report = reported(bench, tmp_path, "train", *QUICK, *sizes)
    (group,) = report["groups"]
    assert names(group) == {"whole steps", "bare image encoder", "reading batches"}
    assert (group["amount"], group["unit"]) == (7, "images")
    assert float(group["facts"][0]["value"]) > 0
    peak = group["facts"][1]
    assert (peak["name"], peak["value"].split()[1:]) == ("peak memory", ["MB", "resident"])
    if (took := group["timed"][0]["memory"]) is not None:
        # With what torch and the model held before.
        assert float(peak["value"].split()[0].replace(",", "")) > took / 2**20 + 50


def test_memory_of_a_step_holds_its_gradients(bench: Invoke) -> None:
    hidden, dim = 1000, 20_000
    large = REGISTRY.replace("hidden: 8", f"hidden: {hidden}").replace("dim: 5,", f"dim: {dim},")
    Path("registry.yaml").write_text(large, encoding="utf-8")
    sizes = ("--profile", "none", "--images", "4", "--classes", "4", "--device", "cpu")
    code, out, err = bench("train", *QUICK, *sizes, "--json")
    assert code == 0, err
    for timed in json.loads(out)["groups"][0]["timed"]:
        if timed["memory"] is not None:
            assert timed["memory"] > 0.9 * 4 * hidden * dim, timed["name"]


def test_steps_that_are_timed_are_those_of_a_run(bench: Invoke, tmp_path: Path) -> None:
    from harness.bench.training import Photo, Recipe
    from harness.catalog import Catalog
    from harness.collapse import Look
    from harness.execute import Workspace
    from harness.registry import Registry
    from harness.step import Numerics
    from harness.task import Task
    from harness.train import train

    workspace = Workspace(home=tmp_path, data=tmp_path, catalog=Catalog.load(), device="cpu", threads=1)
    recipe = Recipe(registry=Registry.load(Path("registry.yaml")), experiment="dual-path", profile=None)
    stage = recipe.stage("two").model_copy(update={"epochs": 1})

    def photo(name: str) -> Photo:
        (tmp_path / name).mkdir()
        return Photo(recipe, stage, workspace, tmp_path / name, 7, None)

    timed, ran = photo("timed"), photo("ran")
    mean = timed.trainer(timed.pixels()).epoch()
    task = Task(
        model=ran.model,
        split=ran.split,
        images=ran.pixels(),
        texts=ran.texts,
        stage=stage,
        seed=0,
        unsaved=(),
        validate=lambda: Look(rsum=1.0),
        checkpoint=tmp_path / "checkpoint",
        progress=lambda *told: None,
        stopping=lambda: 0,
        note=lambda line: None,
        numerics=Numerics(),
    )
    (row,) = train(task).history
    assert row["loss"] == mean
    for (name, one), other in zip(
        timed.model.root.state_dict().items(), ran.model.root.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("stage1", "--experiment", "dual-pat", "--profile", "none"), "did you mean 'dual-path'"),
        (("stage1", "--profile", "laptp"), "has no profile 'laptp'"),
        (("stage1", "--experiment", "moving", "--profile", "none", "--images", "4"), "freezes no part"),
        (("loss", "--device", "cpuu"), "did you mean 'cpu'"),
        (("loss", "--from", "registry.yaml"), "holds no report of `harness bench loss --json`"),
        (("input", "--from", "nowhere.json"), "cannot read nowhere.json"),
    ],
)
def test_wrong_input_is_exit_code_2(bench: Invoke, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = bench(*arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_figures_of_a_busy_machine_are_not_written(
    bench: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = ("--images", "30", "--dim", "8", "--resamples", "40")
    _, out, _ = bench("statistics", *QUICK, *sizes, "--json")
    page, report = Path("docs/performance.md"), json.loads(out)

    def written(load: float | None, *more: str) -> tuple[int, str, bool]:
        report["origin"]["machine"] |= {"load": load, "cores": 4}
        (tmp_path / "report.json").write_text(json.dumps(report), encoding="utf-8")
        page.write_text("# Performance\n", encoding="utf-8")
        code, _, err = bench("statistics", "--from", str(tmp_path / "report.json"), "--write", *more)
        return code, " ".join(err.split()), "<!-- statistics: " in page.read_text(encoding="utf-8")

    for load in (None, 2.0):
        code, err, there = written(load)
        assert (code, there) == (0, True), err
        assert "not to be committed" not in err
    code, err, there = written(4.0)
    assert (code, there) == (0, True), err
    assert "load average was 4.00 on 4 cores" in err
    assert "not to be committed" in err
    code, err, there = written(4.1)
    assert (code, there) == (2, False)
    assert "load average was 4.10 on 4 cores" in err
    assert "--busy" in err
    code, err, there = written(4.1, "--busy")
    assert (code, there) == (0, True), err
    assert "not to be committed" in err
    # Before anything is measured.
    slept: list[float] = []
    monkeypatch.setattr("harness.bench.origin.sleep", slept.append)
    monkeypatch.setattr("os.getloadavg", lambda: (1e4, 0.0, 0.0))
    code, out, err = bench("statistics", *QUICK, *sizes, "--write")
    assert (code, out, sum(slept)) == (2, "", 120)
    assert "waiting up to 120 seconds" in " ".join(err.split())
    assert "load average was 10000.00" in " ".join(err.split())


def test_an_idle_machine_is_waited_for(bench: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    loads, slept = iter([3.0, 2.5, 1.9]), list[float]()
    now = [3.0]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] = next(loads)

    monkeypatch.setattr("harness.bench.origin.sleep", sleep)
    monkeypatch.setattr("os.getloadavg", lambda: (now[0], 0.0, 0.0))
    monkeypatch.setattr("harness.execute.provenance.default_threads", lambda: 4)
    sizes = ("--images", "30", "--dim", "8", "--resamples", "40")
    code, out, err = bench("statistics", *QUICK, *sizes, "--write", "--json")
    assert code == 0, err
    assert "3.00 on 4 cores: waiting up to 120 seconds for it to fall to 2" in " ".join(err.split())
    assert "not to be committed" not in err
    assert slept == [5, 5, 5]
    assert json.loads(out)["origin"]["machine"]["load"] == 1.9


@pytest.mark.parametrize("name", ["startup", "stage1", "matrix", "train"])
def test_the_page_lies_beside_the_registry_that_is_named(bench: Invoke, tmp_path: Path, name: str) -> None:
    from harness.bench.origin import Machine, Origin
    from harness.bench.report import Report, summary

    machine = Machine(hardware="none", device="cpu", cores=1, threads=1, load=None)
    origin = Origin(machine=machine, versions={}, revision="", date="", command="")
    report = Report(benchmark=name, section=name, heading=name, about="none", groups=(), origin=origin)
    source, other = tmp_path / "report.json", tmp_path / "other"
    source.write_text(json.dumps(summary(report)), encoding="utf-8")
    (other / "docs").mkdir(parents=True)
    (other / "registry.yaml").write_text(REGISTRY, encoding="utf-8")
    page = other / "docs" / "performance.md"
    page.write_text("# Performance\n", encoding="utf-8")
    code, _, err = bench(name, "--from", str(source), "--write", "--registry", str(other / "registry.yaml"))
    assert code == 0, err
    assert f"<!-- {name}: written by " in page.read_text(encoding="utf-8")
    assert Path("docs/performance.md").read_text(encoding="utf-8") == "# Performance\n"


def test_a_page_that_cannot_be_written_is_named_before_anything_is_measured(
    bench: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.bench import resampling

    def measured(*given: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(resampling, "measure", measured)
    with monkeypatch.context() as locked:
        locked.setattr("os.access", lambda path, mode: Path(path).name != "docs")
        code, out, err = bench("statistics", *QUICK, "--write", "--busy")
    assert (code, out) == (2, "")
    assert "docs cannot be written to" in " ".join(err.split())
    Path("docs/performance.md").unlink()
    code, out, err = bench("statistics", *QUICK, "--write", "--busy")
    assert (code, out) == (2, "")
    assert "performance.md to write to" in " ".join(err.split())


def test_a_report_of_another_benchmark_is_refused(bench: Invoke, tmp_path: Path) -> None:
    sizes = ("--images", "30", "--dim", "8", "--resamples", "40")
    _, out, _ = bench("statistics", *QUICK, *sizes, "--json")
    (tmp_path / "report.json").write_text(out, encoding="utf-8")
    code, _, err = bench("loss", "--from", str(tmp_path / "report.json"))
    assert code == 2
    assert "of another benchmark" in " ".join(err.split())


def test_loss(bench: Invoke, tmp_path: Path) -> None:
    sizes = ("--classes", "50", "--classes", "70", "--batch", "3", "--dim", "8", "--device", "cpu")
    report = reported(bench, tmp_path, "loss", *QUICK, *sizes)
    assert {name for name in names(report["groups"][0]) if name.startswith("torch's")} == (
        {f"torch's linear_cross_entropy{how}" for how in ("", ", default chunks", ", one chunk")}
        if hasattr(torch.nn.functional, "linear_cross_entropy")
        else set()
    )
    assert [group["title"] for group in report["groups"]] == [
        "50 classes, 3 pairs, 8 numbers",
        "70 classes, 3 pairs, 8 numbers",
    ]
    assert "harness: one product of both paths" in report["groups"][0]["facts"][0]["value"]


def test_memory_of_a_loss_holds_the_gradient_of_its_classifier(bench: Invoke) -> None:
    classes, dim = 20_000, 256
    sizes = ("--classes", str(classes), "--batch", "2", "--dim", str(dim), "--device", "cpu")
    code, out, err = bench("loss", *QUICK, *sizes, "--json")
    assert code == 0, err
    for timed in json.loads(out)["groups"][0]["timed"]:
        if timed["memory"] is not None:
            assert timed["memory"] > 0.9 * 4 * classes * dim, timed["name"]


def test_a_loss_that_is_not_exact_is_not_reported(bench: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.bench import losses

    monkeypatch.setattr(
        losses._Shape, "_two", lambda self, rows: 1.01 * self.ours(*rows.chunk(2), self.group_ids)
    )
    code, out, err = bench("loss", *QUICK, "--classes", "50", "--batch", "3", "--dim", "8", "--device", "cpu")
    assert (code, out) == (1, "")
    assert "'two products' lies apart from float64" in " ".join(err.split())


def test_text_has_the_parts_of_a_step(bench: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.bench import words

    monkeypatch.setattr(words, "IMAGES", 6)
    monkeypatch.setattr(words.lookup, "__kwdefaults__", {"words": 50, "width": 4})
    monkeypatch.setattr(words.mining, "__kwdefaults__", {"images": 6, "classes": 9})
    sizes = ("--profile", "none", "--encoder", "words", "--length", "5", "--batch", "4", "--device", "cpu")
    code, out, err = bench("text", *QUICK, *sizes, "--json", "--write", "--busy")
    assert code == 0, err
    lookup, mining = json.loads(out)["groups"]
    assert names(lookup) == {"embedding lookup", "one-hot and a 1 x 1 convolution"}
    assert mining["title"] == "stage two: 9 candidates, batch of 4"
    assert mining["ratios"][0]["most"] == 0.3
    page = Path("docs/performance.md").read_text(encoding="utf-8")
    assert "choosing its mined captions / a whole step" in page
    # A stage that mines nothing is passed over.
    code, out, err = bench("text", *QUICK, *sizes, "--stage", "one", "--json")
    assert code == 0, err
    assert len(json.loads(out)["groups"]) == 1


@pytest.fixture
def toy_bench(command: Any, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run the command beside the toy registry; the processes that it starts find the toy plugin, too."""
    monkeypatch.setenv("PYTHONPATH", command.environment["PYTHONPATH"])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (command.folder / "docs").mkdir()
    (command.folder / "docs" / "performance.md").write_text("# Performance\n", encoding="utf-8")
    return lambda *arguments: invoke("bench", *arguments)


def test_startup(toy_bench: Invoke, tmp_path: Path) -> None:
    arguments = ("--rounds", "1", "--threads", "1", "--matrix", "one")
    light, stored = reported(toy_bench, tmp_path, "startup", *arguments)["groups"]
    assert {fact["value"] for fact in light["facts"]} == {"none"}
    assert names(stored) == {"cached run", "its imports"}
    assert not (Path("leaderboards")).exists()


def test_matrix(toy_bench: Invoke, tmp_path: Path) -> None:
    only = ("--only", "variant=plain", "--only", "variant=closed")
    arguments = ("--threads", "1", "--matrix", "whole", *only, "--limit", "40")
    report = reported(toy_bench, tmp_path, "matrix", *arguments)
    shared, beside = report["groups"]
    told = {fact["name"]: fact["value"] for fact in shared["facts"]}
    assert told["the plan shares"] == "2 cells, 2 trainings naively, 2 distinct"
    assert told["the whole matrix"] == "4 cells, 5 trainings naively, 4 distinct"
    chosen = "2 cells (--limit 40 --only variant=plain --only variant=closed)"
    assert f"Matrix `whole` on toys, of it {chosen}" in report["about"]
    assert names(shared) == {
        "cells in one run",
        "each cell alone",
        "imports of the one run",
        "imports of each cell alone",
    }
    assert names(beside) == {"two cells, one after the other", "two cells side by side"}


def test_a_cell_alone_is_compared_with_nothing(toy_bench: Invoke) -> None:
    code, _, err = toy_bench("matrix", "--matrix", "whole", "--only", "variant=plain")
    assert code == 2
    assert "1 cells of 'whole' are chosen" in err
    assert "harness plan --matrix whole --no-estimate" in " ".join(err.split())


def test_cells_that_share_a_run_are_not_put_side_by_side(
    toy_bench: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.bench.matrix import BESIDE, MatrixBench, _Cells
    from harness.catalog import Catalog
    from harness.execute import Workspace

    with monkeypatch.context() as free:
        free.delenv("HARNESS_PLUGINS", raising=False)
        catalog = Catalog.load(entry_points=[])
    workspace = Workspace(home=tmp_path, data=tmp_path, catalog=catalog, device="cpu", threads=1)
    bench = MatrixBench(
        workspace=workspace,
        rounds=1,
        seconds=0.0,
        registry=Path("registry.yaml"),
        matrix="whole",
        only=("variant=plain", "variant=after"),
    )
    cells, said = _Cells(bench, tmp_path), list[str]()
    assert cells._facts()[0].value == "2 cells, 3 trainings naively, 2 distinct"
    (group,) = cells.beside(said.append)
    assert (group.timed, group.ratios) == ((), ())
    assert [fact.name for fact in group.facts] == [BESIDE]
    assert "share a run" in group.facts[0].value
    assert said == [f"side by side: {group.facts[0].value}"]


def test_what_sharing_saves_beyond_imports() -> None:
    from harness.bench.matrix import ALL_IMPORTS, ALONE, IMPORTS, TOGETHER, _beyond
    from harness.bench.report import Group, Timed

    def group(**seconds: tuple[float, ...]) -> Group:
        timed = tuple(Timed(name=name, seconds=values) for name, values in seconds.items())
        return Group(title="a", timed=timed)

    works = group(**{TOGETHER: (6.0, 7.0), ALONE: (20.0, 24.0)})
    (fact,) = _beyond(works, group(**{IMPORTS: (2.0, 2.0), ALL_IMPORTS: (8.0, 9.0)}))
    # 12 by 4 and 15 by 5.
    assert fact.value == "13.5 s alone, 4.5 s in one run: 3.00 times"
    assert _beyond(works, group(**{IMPORTS: (6.5, 2.0), ALL_IMPORTS: (8.0, 9.0)})) == []


def test_without_a_name_the_benchmarks_are_listed(invoke: Invoke) -> None:
    code, out, _ = invoke("bench")
    assert code == 0
    names = "evaluation statistics input stage1 loss text matrix train embedding startup"
    for name in names.split():
        assert re.search(rf"^\W*{name} ", out, re.MULTILINE), name
