"""`harness bench text`: figures, ratios, the page, and what it refuses. No time is asserted."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.bench.rounds import Work, interleave
from harness.bench.text_page import text_section as section
from harness.bench.text_report import read_text_report as read_report
from harness.bench.text_report import text_summary as summary

REGISTRY = """\
version: 1
profiles:
  small:
    encoders: {words: {title: Small CNN, width: 0.0625}}
datasets:
  drawn: {use: shapes, images: 160, size: 64}
encoders:
  image: {use: timm}
  words: {use: text-cnn, title: CNN, blocks: [1], width: 0.125, embedding_dim: 6, lower: true}
  gru: {use: text-rnn, title: GRU, hidden: 8, embedding_dim: 6, lower: true}
  lstm: {like: gru, title: LSTM, cell: lstm}
  vectors: {use: text-cnn, vectors: "file:${NO_SUCH_VARIABLE}"}
losses: {instance: {use: instance}}
evaluators: {recall: {use: recall}}
stages: {one: {losses: {instance: 1}, epochs: 1}}
experiments:
  one: {dataset: drawn, image: image, text: words, dim: 5, stage: one, evaluators: [recall]}
"""
QUICK = ("--rounds", "3", "--seconds", "0", "--batch", "4", "--threads", "1", "--device", "cpu")
TINY = (*QUICK, "--length", "3", "--length", "5")
Invoke = Callable[..., tuple[int, str, str]]


@pytest.fixture
def bench(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Run the command in a folder with the registry above and a page, with the real plugins."""
    folder = tmp_path / "checkout"
    (folder / "docs").mkdir(parents=True)
    (folder / "registry.yaml").write_text(REGISTRY, encoding="utf-8")
    (folder / "docs" / "performance.md").write_text("# Performance\n\nWords.\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HARNESS_PLUGINS", "dualpath,shapes,recall")
    monkeypatch.delenv("NO_SUCH_VARIABLE", raising=False)
    import torch

    threads = torch.get_num_threads()
    yield lambda *arguments: invoke("bench", "text", *arguments)
    torch.set_num_threads(threads)


def test_figures_are_positive_and_ratios_follow_from_them(bench: Invoke, tmp_path: Path) -> None:
    code, out, err = bench(*TINY, "--profile", "none", "--json", "--write", "--busy")
    assert code == 0, err
    report = json.loads(out)
    assert [encoder["name"] for encoder in report["encoders"]] == ["words", "gru", "lstm"]
    assert all(encoder["parameters"] > 0 for encoder in report["encoders"])
    assert (report["dim"], report["batch"], report["dataset"], report["profile"]) == (5, 4, "drawn", None)
    assert report["words"] > 10
    rounds = {(s["encoder"], s["mode"], s["length"]): s["rounds"] for s in report["speeds"]}
    assert set(rounds) == {
        (encoder, mode, length)
        for encoder in ("words", "gru", "lstm")
        for mode in ("training", "inference")
        for length in (3, 5)
    }
    assert all(len(values) == 3 and min(values) > 0 for values in rounds.values())
    assert len(report["figures"]) == len(rounds)
    for figure in report["figures"]:
        key = figure["encoder"], figure["mode"], figure["length"]
        speed = figure["captions_per_second"]
        assert speed["median"] == pytest.approx(statistics.median(rounds[key]))
        assert min(rounds[key]) <= speed["low"] <= speed["median"] <= speed["high"] <= max(rounds[key])
        quotients = [a / b for a, b in zip(rounds["words", *key[1:]], rounds[key], strict=True)]
        if figure["encoder"] == "words":
            assert "first_by_this" not in figure
        else:
            assert figure["first_by_this"]["median"] == pytest.approx(statistics.median(quotients))
    machine = report["machine"]
    assert (machine["device"], machine["threads"]) == ("cpu", 1)
    assert machine["cores"] >= 1
    assert {"python", "torch", "retrieval-harness-dualpath"} == set(report["versions"])
    assert report["command"].startswith("harness bench text --rounds 3")

    # The page follows from the JSON alone.
    page = tmp_path / "checkout" / "docs" / "performance.md"
    written = page.read_text(encoding="utf-8")
    assert written.startswith(
        "# Performance\n\nWords.\n\n## Text paths, the paper's sizes, cpu\n\n<!-- text: "
    )
    (tmp_path / "report.json").write_text(out, encoding="utf-8")
    again = read_report(tmp_path / "report.json")
    assert summary(again) == report
    assert f"-->\n\n{section(again)}\n\n<!-- end of text -->" in written
    page.write_text(written.replace("CNN", "XYZ"), encoding="utf-8")
    code, out, err = bench("--from", str(tmp_path / "report.json"), "--write", "--busy")
    assert (code, page.read_text(encoding="utf-8")) == (0, written), err
    assert "words / gru" in out


def test_sections_stand_beside_each_other(bench: Invoke, tmp_path: Path) -> None:
    page = tmp_path / "checkout" / "docs" / "performance.md"
    arguments = (*QUICK, "--length", "2", "--encoder", "words", "--encoder", "gru", "--write", "--busy")
    for profile in ("small", "none", "small"):
        code, out, err = bench(*arguments, "--profile", profile)
        assert code == 0, err
        assert ("Small CNN" in out) == (profile == "small")
    text = page.read_text(encoding="utf-8")
    assert text.count("<!-- text-small: ") == text.count("<!-- text: ") == 1
    assert text.index("<!-- end of text-small -->") < text.index("<!-- text: ")
    for mode in ("training: forward and backward pass", "inference"):
        assert text.count(f"| {mode} | parameters | 2 words |") == 2
    assert text.count("| **Small CNN / GRU** |") == 2
    page.write_text(text.replace("<!-- end of text-small -->", ""), encoding="utf-8")
    code, _, err = bench(*arguments, "--profile", "small")
    assert code == 2
    assert "the markers of 'text-small'" in err
    page.unlink()
    assert bench(*arguments, "--profile", "small")[0] == 2


def test_parameters_can_be_set_for_all(bench: Invoke) -> None:
    code, out, err = bench(
        *QUICK, "--profile", "none", "--encoder", "words", "--length", "2", "--dim", "7", "--json"
    )
    assert code == 0, err
    one = json.loads(out)["encoders"][0]["parameters"]
    given = (
        "--set",
        "vectors=null",
        "--set",
        "width=0.125",
        "--set",
        "blocks=[1]",
        "--set",
        "embedding_dim=6",
    )
    more = (*QUICK, "--encoder", "vectors", "--length", "2", "--dim", "7", "--profile", "none", "--json")
    code, out, err = bench(*more, *given, "--set", "lower=true")
    assert code == 0, err
    assert json.loads(out)["encoders"][0]["parameters"] == one


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--encoder", "wrods"), "did you mean 'words'"),
        (("--encoder", "image"), "'timm' encodes image"),
        (("--profile", "smal"), "did you mean 'small'"),
        (("--device", "cpuu"), "did you mean 'cpu'"),
        (("--device", "cuda:99"), "device 'cuda:99' is not there"),
        (("--set", "vectors"), "takes parameter=value"),
        (("--set", "length=3"), "Give --length N"),
        (("--set", "widht=1", "--encoder", "words"), "did you mean 'width'"),
        (("--encoder", "vectors"), "--dim N"),
        (("--encoder", "vectors", "--dim", "4"), "'NO_SUCH_VARIABLE', which is not set"),
        (("--encoder", "words", "--set", "min_count=99999"), "none is left for the vocabulary"),
        (("--from", "nowhere.json"), "cannot read nowhere.json"),
        (("--from", "registry.yaml"), "holds no report"),
        (("--batch", "1"), "--batch"),
    ],
)
def test_wrong_input_is_exit_code_2_and_says_what_to_do(
    bench: Invoke, arguments: tuple[str, ...], message: str
) -> None:
    profile = () if "--profile" in arguments else ("--profile", "none")
    device = () if "--device" in arguments else ("--device", "cpu")
    code, out, err = bench("--threads", "1", *profile, *device, *arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())


def test_a_failing_encoder_is_named(bench: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    import harness_dualpath.rnn

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr(harness_dualpath.rnn.TextRNN, "forward", fail)
    code, out, err = bench(*TINY, "--profile", "none")
    assert (code, out) == (1, "")
    assert "encoder 'gru' failed in training: ZeroDivisionError: boom" in err


def test_the_help_loads_no_heavy_library(command: Any) -> None:
    heavy = ("torch", "timm", "gensim", "pandas", "numpy")
    before = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print('loaded', [n for n in {heavy!r} if n in sys.modules], file=sys.stderr))"
    )
    code, out, err = command("bench", "text", "--help", before=before)
    assert (code, err.splitlines()[-1]) == (0, "loaded []")
    assert "--profile" in out


def test_rounds_interleave_in_changing_orders_and_wait_for_the_device() -> None:
    calls: list[str] = []
    works = {
        name: Work(
            ready=lambda name=name: calls.append(f"{name} ready"),
            call=lambda name=name: calls.append(name),
            after=lambda name=name: calls.append(f"{name} after"),
        )
        for name in "abc"
    }
    found = interleave(works, rounds=20, seconds=0.0, wait=lambda: calls.append("wait"), seed=0)
    assert {len(values) for values in found.values()} == {20}
    assert all(value > 0 for values in found.values() for value in values)
    # Ready, wait, call, wait, after: of each work two to find out how many calls, then one a round.
    assert len(calls) == 3 * 5 * (2 + 20)
    for start in range(0, len(calls), 5):
        ready, before, call, behind, after = calls[start : start + 5]
        assert (ready, before, behind, after) == (f"{call} ready", "wait", "wait", f"{call} after")
    timed = calls[2::5][6:]
    orders = ["".join(timed[k : k + 3]) for k in range(0, len(timed), 3)]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert len(set(orders)) > 2
