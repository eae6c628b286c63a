"""Plugins are found through real distribution metadata, by names that are taken once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.catalog import ALLOW_LIST, Catalog
from harness.errors import InputError, PluginError

Install = Callable[..., str]
Load = Callable[..., Catalog]

LOSS = """
from harness.api import LossSpec, hookimpl

@hookimpl
def harness_losses():
    return [LossSpec(name="{name}", target="x.y:Z", summary="a loss")]
"""


def test_a_plugin_is_found_with_its_distribution(install: Install, load: Load) -> None:
    install(LOSS.format(name="triplet"), distribution="acme-triplet", version="2.0")
    catalog = load()
    assert catalog.problems == ()
    entry = catalog.find("loss", "triplet")
    assert (entry.spec.name, entry.plugin, entry.distribution, entry.version) == (
        "triplet",
        "mine",
        "acme-triplet",
        "2.0",
    )
    assert catalog.entries("loss") == (entry,)
    assert catalog.entries("dataset") == ()
    (plugin,) = catalog.plugins
    assert (plugin.name, plugin.components) == ("mine", (("loss", "triplet"),))


def test_the_second_to_take_a_name_is_left_out_whole(install: Install, load: Load) -> None:
    install(LOSS.format(name="instance"), name="first", distribution="aa", version="1.0")
    two = LOSS.format(name="own").replace("]", ", LossSpec(name='instance', target='x:y', summary='')]")
    install(two, name="second", distribution="bb")
    catalog = load()
    assert list(catalog.components) == [("loss", "instance")]
    assert catalog.find("loss", "instance").distribution == "aa"
    (problem,) = catalog.problems
    assert "'instance'" in problem.message
    assert "aa 1.0" in problem.message


def test_one_name_may_serve_two_kinds(install: Install, load: Load) -> None:
    source = LOSS.format(name="same") + (
        "\nfrom harness.api import DatasetSpec\n@hookimpl\ndef harness_datasets():\n"
        "    yield DatasetSpec(name='same', target='x:y', summary='')\n"
    )
    install(source)
    assert set(load().components) == {("loss", "same"), ("dataset", "same")}


def test_two_plugins_of_one_name_are_told_apart(install: Install, load: Load) -> None:
    install(LOSS.format(name="a"), name="same", distribution="aa")
    install(LOSS.format(name="b"), name="same", distribution="bb")
    (problem,) = load().problems
    assert problem.distribution == "bb"


def test_another_version_of_the_seam_is_named(install: Install, load: Load) -> None:
    install(LOSS.format(name="a"), group="harness.v2", distribution="acme-new", version="9")
    install("raise ValueError", group="harness_other")
    (problem,) = load().problems
    assert (problem.distribution, problem.version) == ("acme-new", "9")
    assert "harness.v2" in problem.message
    assert "harness.v1" in problem.message


def test_what_a_plugin_prints_is_swallowed(
    install: Install, load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    install(
        "print('hello from a plugin')\nimport sys; print('more', file=sys.stderr)\n" + LOSS.format(name="a")
    )
    assert load().problems == ()
    assert capsys.readouterr() == ("", "")


def test_a_plugin_of_modules_named_like_hooks(install: Install, load: Load, site: Path) -> None:
    (site / "harness_acme").mkdir()
    (site / "harness_acme" / "__init__.py").write_text("")
    install("import harness_acme\n" + LOSS.format(name="a"))
    assert load().problems == ()
    sys.modules.pop("harness_acme", None)


def test_a_damaged_distribution_has_no_name(install: Install, load: Load, site: Path) -> None:
    install("raise ValueError")
    next(site.glob("*.dist-info/METADATA")).write_text("\n")
    (problem,) = load().problems
    assert problem.distribution == "an unknown distribution"


@pytest.mark.parametrize(("allowed", "loaded"), [("two", ["two"]), (" two , one,", ["one", "two"]), ("", [])])
def test_the_allow_list_is_exact(
    allowed: str,
    loaded: list[str],
    install: Install,
    load: Load,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("one", "two"):
        install(LOSS.format(name=name), name=name)
    install("raise ValueError", name="three")
    monkeypatch.setenv(ALLOW_LIST, allowed)
    catalog = load()
    assert [plugin.name for plugin in catalog.plugins] == loaded
    assert catalog.problems == ()


def test_the_allow_list_knows_every_name(
    install: Install, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(LOSS.format(name="a"), name="shapes")
    monkeypatch.setenv(ALLOW_LIST, "shaeps,shapes")
    with pytest.raises(PluginError, match="'shaeps' is installed; did you mean 'shapes'"):
        load()


def test_an_unknown_component(install: Install, load: Load) -> None:
    install(LOSS.format(name="instance"))
    install("raise ValueError('boom')", name="other", distribution="acme-other")
    with pytest.raises(
        InputError, match="no plugin declares loss 'instanec'; did you mean 'instance'"
    ) as caught:
        load().find("loss", "instanec")
    assert "acme-other" in caught.value.hint


def test_a_catalog_of_nothing() -> None:
    catalog = Catalog.load(entry_points=[])
    assert (catalog.plugins, catalog.problems, dict(catalog.components)) == ((), (), {})


def _python(code: str, site: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key != ALLOW_LIST}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**kept, "PYTHONPATH": str(site), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_fresh_process_finds_what_is_installed(install: Install, site: Path) -> None:
    install(LOSS.format(name="triplet"), name="acme", distribution="acme-triplet")
    install("print('noise'); import sys; sys.exit(0)", name="quits", distribution="acme-quits")
    code = """
        import json, sys
        from harness.catalog import Catalog
        catalog = Catalog.load()
        heavy = sorted({"torch", "timm", "gensim", "pandas", "pyarrow", "scipy"} & set(sys.modules))
        print(json.dumps([[p.name for p in catalog.plugins], [str(p) for p in catalog.problems], heavy]))
    """
    done = _python(code, site)
    assert done.returncode == 0, done.stderr
    plugins, problems, heavy = json.loads(done.stdout)
    assert "acme" in plugins
    assert "quits" not in plugins
    assert any("acme-quits" in problem and "SystemExit" in problem for problem in problems)
    assert heavy == []
    only = _python(code, site, **{ALLOW_LIST: "acme"})
    assert json.loads(only.stdout) == [["acme"], [], []]
