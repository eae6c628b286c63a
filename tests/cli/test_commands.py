"""What each command prints, where, and with which exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Invoke = Callable[..., tuple[int, str, str]]
RUN = ("run", "--threads", "1", "--device", "cpu")


def test_json_is_all_of_standard_output(invoke: Invoke, toy_log: Any, tmp_path: Path) -> None:
    code, out, err = invoke(*RUN, "--matrix", "whole", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert report["matrix"] == "whole"
    assert [cell["labels"]["variant"] for cell in report["cells"]] == ["plain", "direct", "closed", "after"]
    assert {cell["status"] for cell in report["cells"]} == {"done"}
    assert set(report["cells"][0]["figures"]["recall"]) == {"i2t.recall@1", "t2i.recall@1", "rsum"}
    assert "[1/4] variant=plain" in err

    code, out, err = invoke(*RUN, "--matrix", "whole", "--json")
    assert (code, {cell["status"] for cell in json.loads(out)["cells"]}) == (0, {"cached"})
    assert len(toy_log.events("training")) == 4
    assert "from the store" in err

    code, out, _ = invoke("plan", "--matrix", "whole", "--no-estimate", "--json")
    made = json.loads(out)
    assert code == 0
    assert [cell["stored"] for cell in made["cells"]] == [True] * 4
    assert len(made["runs"]) == 4
    assert invoke("run", "--matrix", "whole", "--dry-run", "--json")[:2] == (0, out)

    run = report["cells"][0]["fingerprint"]
    code, out, _ = invoke("show", run[:6], "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["result"]["fingerprint"] == run
    assert [row["epoch"] for row in shown["history"]] == [1, 2, 3, 4]
    assert Path(shown["folder"]) == tmp_path / "home" / "runs" / run

    code, out, _ = invoke("doctor", "--json")
    assert code == 0
    checked = json.loads(out)
    assert (checked["runs"], checked["damaged"], checked["plugins"]) == (4, [], ["acme-toy 1.0"])
    assert checked["datasets"] == {"toys": "embedded", "twisted": "embedded", "listed": "missing"}


def test_json_of_what_is_there(invoke: Invoke) -> None:
    code, out, err = invoke("list", "--json")
    listed = json.loads(out)
    assert (code, err) == (0, "")
    names = {(entry["kind"], entry["name"]) for entry in listed["components"]}
    assert names >= {("dataset", "toys"), ("encoder", "frozen"), ("loss", "ridge"), ("evaluator", "hits")}
    assert listed["matrices"] == {"whole": "every path", "one": "a run", "seeds": "two runs"}
    assert listed["problems"] == []
    code, out, _ = invoke("data", "status", "--json")
    states = {entry["name"]: entry["state"] for entry in json.loads(out)["datasets"]}
    assert (code, states["toys"], states["listed"]) == (0, "embedded", "missing")


def test_tables_for_people(invoke: Invoke) -> None:
    code, out, err = invoke(*RUN, "--matrix", "one")
    assert code == 0, err
    assert "recall in %" in out
    assert "next: harness show " in err
    run = err.split("next: harness show ")[1].split()[0]
    passport = out.split("\npassport ")[1].split()[0]
    code, out, err = invoke("show", run)
    assert (code, err) == (0, "")
    assert run in out
    assert f" {passport}" in out
    assert "recall.t2i.recall@1" in out
    assert "val.rsum" in out
    for arguments, expected in (
        (("list",), "Ridge regression"),
        (("plan", "--matrix", "one"), "1 distinct, 0 to do"),
        (("data", "status"), "harness data prepare listed --from DIR"),
        (("doctor",), "acme-toy 1.0"),
    ):
        code, out, err = invoke(*arguments)
        assert code == 0, err
        assert expected in out


def test_other_protocols_are_marked_where_figures_stand_together(invoke: Invoke) -> None:
    code, out, err = invoke(*RUN, "--matrix", "one", "--dataset", "toys", "--dataset", "twisted")
    assert code == 0, err
    assert "protocol" in out
    assert "they differ in gallery, pixels; figures of one letter alone may be compared" in out
    marks = {
        line.split("│")[1].strip(): line.split("│")[2].strip() for line in out.splitlines() if "│" in line
    }
    assert set(marks.values()) == {"A", "B"}
    assert set(marks) == {"toys", "twisted"}


def test_other_preprocessing_is_part_of_the_method(invoke: Invoke, toy_registry: Callable[..., Path]) -> None:
    toy_registry(("pixels: {use: pixels}", "pixels: {use: stored}"))
    arguments = (*RUN, "--matrix", "whole", "--only", "variant=plain", "--only", "variant=direct")
    code, out, err = invoke(*arguments)
    assert code == 0, err
    assert (
        "they differ in preprocessing; all were asked the same: what differs in views and preprocess" in out
    )
    code, out, err = invoke(*arguments, "--dataset", "toys", "--dataset", "twisted")
    assert code == 0, err
    lines = [[part.strip() for part in line.split("│")] for line in out.splitlines() if "│" in line]
    marks = {dataset: sorted(line[3] for line in lines if dataset in line) for dataset in ("toys", "twisted")}
    assert sorted(marks["toys"] + marks["twisted"]) == ["A", "B", "C", "D"]
    with_each_other = [f"and those of {', '.join(own)} with each other" for own in sorted(marks.values())]
    assert f"figures of one letter alone may be compared, {', '.join(with_each_other)}: what differs" in out


def test_a_failed_cell_is_exit_code_1_with_its_cause_and_its_command(
    invoke: Invoke, toy_registry: Callable[..., Path]
) -> None:
    toy_registry(("direct: {experiment: direct}", "direct: {text.fault: raises}"))
    arguments = (*RUN, "--matrix", "whole", "--only", "variant=plain", "--only", "variant=direct")
    code, out, err = invoke(*arguments)
    assert code == 1
    assert "cause: ZeroDivisionError: boom in forward" in err
    assert "alone: harness run --matrix whole --only=variant=direct" in err
    story = Path(err.split("traceback: ")[1].splitlines()[0])
    assert "boom in forward" in story.read_text()
    assert "failed" in out
    code, out, _ = invoke(*arguments, "--json")
    assert code == 1
    assert [cell["status"] for cell in json.loads(out)["cells"]] == ["cached", "failed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "--matrix", "wohle"), "did you mean 'whole'"),
        (("plan", "--matrix", "whole", "--only", "variant=plane"), "did you mean 'plain'"),
        (("plan", "--matrix", "whole", "--only", "vairant=plain"), "did you mean 'variant'"),
        (("plan", "--matrix", "whole", "--only", "plain"), "takes axis=label"),
        (("plan", "--matrix", "one", "--dataset", "tosy"), "did you mean 'toys'"),
        (("run", "--matrix", "one", "--dataset", "listed", "--require-all"), "harness data prepare listed"),
        (("run", "--matrix", "one", "--device", "tpu"), "no device 'tpu'; did you mean 'cpu'"),
        (("run", "--matrix", "one", "--device", "cuda:x"), "no device 'cuda:x'; did you mean 'cuda:0'"),
        (("run", "--matrix", "one", "--device", "cuda:99"), "device 'cuda:99' is not there"),
        (("run", "--matrix", "one", "--dataset", "listed"), "harness data prepare listed"),
        (("plan", "--matrix", "one", "--dataset", "listed", "--json"), "harness data prepare listed"),
        (("data", "prepare", "listed", "--from", ".", "--set", "k=010"), "--set k:1: 010 begins with 0"),
        (("data", "prepare", "lsited", "--from", "."), "did you mean 'listed'"),
        (("show", "abc"), "no run 'abc'"),
        (("run", "--limit", "1"), "--limit"),
        (("run", "--matrxi", "one"), "--matri"),
        (("rnu",), "rnu"),
    ],
)
def test_wrong_input_is_exit_code_2_and_starts_nothing(
    invoke: Invoke, toy_log: Any, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    code, out, err = invoke(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert "Traceback" not in err
    assert toy_log.events() == []
    assert not (tmp_path / "home" / "runs").exists()


def test_a_parameter_that_no_component_takes_is_found_before_anything_starts(
    invoke: Invoke, toy_registry: Callable[..., Path], toy_log: Any
) -> None:
    toy_registry(("closed: {experiment: closed}", "closed: {text.falut: raises}"))
    code, _, err = invoke(*RUN, "--matrix", "whole")
    assert code == 2
    assert "takes no parameter 'falut'; did you mean 'fault'" in err
    assert toy_log.events() == []


def test_show_finds_a_run_by_its_first_characters(invoke: Invoke, tmp_path: Path) -> None:
    runs = json.loads(invoke(*RUN, "--matrix", "seeds", "--json")[1])["cells"]
    one, two = (cell["fingerprint"] for cell in runs)
    assert one[0] != two[0]
    assert one in invoke("show", one[:1])[1]
    code, _, err = invoke("show", "")
    assert code == 2
    assert "2 runs ''" in err
    assert one in err
    code, _, err = invoke("show", f"{one[:-2]}zz")
    assert code == 2
    assert f"did you mean '{one}'" in err
    path = tmp_path / "home" / "runs" / one / "history.jsonl"
    path.write_text(path.read_text().replace("{", "[", 1))
    code, _, err = invoke("show", one)
    assert code == 1
    assert "history.jsonl" in err
    assert "Traceback" not in err


def test_a_dataset_that_is_not_prepared_is_named_with_its_command(
    invoke: Invoke, toy_registry: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_registry(("axes: {seed: [0]}", "axes: {dataset: [toys, listed]}"))
    code, out, err = invoke(*RUN, "--matrix", "one", "--json")
    assert code == 0, err
    report = json.loads(out)
    assert len(report["cells"]) == 1
    (missing,) = report["missing"]
    assert (missing["dataset"], missing["cells"]) == ("listed", 1)
    assert missing["command"] == "harness data prepare listed --from DIR"
    assert "not run: 1 cells on listed: dataset 'listed' is not prepared in" in err
    assert missing["command"] in err
    assert json.loads(invoke("plan", "--matrix", "one", "--json")[1])["missing"] == [missing]

    (tmp_path / "home" / "data" / "listed").mkdir(parents=True)
    (tmp_path / "home" / "data" / "listed" / "manifest.json").write_text("{")
    code, out, err = invoke("plan", "--matrix", "one")
    assert code == 0
    assert "manifest.json" in err
    assert "is not prepared" not in err
    monkeypatch.setattr("harness.cli.console.out.width", 400)  # a path that is folded is not found
    code, out, _ = invoke("data", "status")
    assert code == 0
    assert "manifest.json" in out
    code, out, err = invoke("doctor")
    assert code == 1
    assert "damaged: dataset listed" in err


def test_a_device_is_looked_at_even_where_all_is_stored(invoke: Invoke) -> None:
    assert invoke(*RUN, "--matrix", "one")[0] == 0
    code, _, err = invoke("run", "--matrix", "one", "--device", "cudo")
    assert code == 2
    assert "no device 'cudo'; did you mean 'cuda'" in err


def test_doctor_ends_with_1_where_a_stored_file_is_damaged(invoke: Invoke, tmp_path: Path) -> None:
    assert invoke(*RUN, "--matrix", "one")[0] == 0
    assert invoke("doctor")[0] == 0
    (path,) = (tmp_path / "home" / "runs").glob("*/history.jsonl")
    path.write_text("{}")
    code, out, err = invoke("doctor")
    assert code == 1
    assert str(path) in err
    assert "ready" not in out
    code, out, _ = invoke("doctor", "--json")
    assert (code, json.loads(out)["damaged"]) == (1, [str(path)])


HOSTILE = "\\e[31mred\\e[0m [/bold] [link=x]\u202egnp \\a"


def test_no_text_steers_the_terminal(invoke: Invoke, toy_registry: Callable[..., Path]) -> None:
    toy_registry(
        ("{summary: a run,", f'{{summary: "{HOSTILE}",'),
        ("title: Toy,", f'title: "{HOSTILE}",'),
        (
            "axes: {seed: [0]}",
            f'axes: {{"{HOSTILE}": {{"[/red]{HOSTILE}": {{text.fault: raises}}}}, seed: [0, 1]}}',
        ),
    )
    shown = ""
    for arguments in (
        ("list",),
        ("plan", "--matrix", "one"),
        (*RUN, "--matrix", "one"),
        ("data", "status"),
        ("plan", "--matrix", "one", "--only", HOSTILE),
        ("show", HOSTILE),
    ):
        code, out, err = invoke(*arguments)
        assert code in (0, 1, 2)
        assert "Traceback" not in err, err
        shown += out + err
    assert not {"\x1b", "\u202e", "\a"} & set(shown)
    assert "[/bold]" in shown


def test_completion_can_be_had(invoke: Invoke) -> None:
    code, out, _ = invoke("--help")
    assert code == 0
    assert "--install-completion" in out
    assert "--show-completion" in out
    assert "Exit codes: 0 all cells fine" in out
