"""Names that would leave their place, and anything at all in archives, annotations and registries."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.catalog import Catalog
from harness.data import prepare, verify
from harness.data.archives import unpack
from harness.errors import DataError, HarnessError, RegistryError
from harness.registry import Registry
from harness.specs import valid_name

NAMES = [
    *("../x", "..", ".", "", "/etc/passwd", "a/b", "a\\b", "nul\0", "x" * 300, "A", "a b", " a", "a\n", "-"),
    *("~root", "$HOME", "a~previous", ".hidden", "\u0430", "caf\xe9", "\u202ea", "con:", "a*", "[a]", "a..b"),
]
SAFE = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
LONG = settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
EXAMPLES = LONG if os.environ.get("HARNESS_FAULTS") == "long" else SAFE


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.fault(28)
def test_names_of_runs_datasets_and_matrices_stay_inside(
    invoke: Callable[..., Any], tmp_path: Path, faults: Any, long: bool
) -> None:
    """Every option that takes a name; none of them makes or changes a file."""
    assert invoke("run", "--matrix", "one", "--threads", "1", "--device", "cpu")[0] == 0
    before = tree(tmp_path)
    for name in NAMES if long else NAMES[:4]:
        if "\0" in name or name == "-":  # no command line can say the one; the other is an option
            continue
        commands = [
            *(["run", f"--matrix={name}"], ["run", "--matrix=one", f"--dataset={name}"]),
            *(["show", "--", name], ["explain", "--image=x.png", "--caption=a", "--", name]),
            *(["compare", "--", name, name], ["rescore", "--", name], ["data", "verify", "--", name]),
            ["data", "prepare", f"--from={tmp_path}", f"--as={name}", "--", "listed"],
        ]
        for command in commands:
            if not name and command[0] != "run":
                continue  # what is empty begins every fingerprint, and is no other name for a dataset
            code, out, err = invoke(*command)
            assert code in (1, 2), (command, out, err)
            assert "Traceback" not in err, err
            faults.one()
    added = {path for path in tree(tmp_path) - before if "lock" not in path and "failures" not in path}
    assert added == set()


@pytest.mark.fault(28)
def test_names_that_are_files_are_plain(faults: Any) -> None:
    assert not [name for name in NAMES if name != "-" and valid_name(name)]
    # Names differ by more than their case, on any file system.
    assert valid_name("a")
    assert not valid_name("A")
    faults.injected = faults.survived = len(NAMES)


part = st.one_of(
    st.sampled_from(
        [
            "..",
            ".",
            "",
            "a",
            "a.png",
            "~",
            "C:",
            "\\",
            "..\\x.png",
            "/",
            "\u2024\u2024",
            "\x00",
            "con",
            "A.PNG",
            "a.png\0",
            "x" * 255,
            "\u00e9" * 126 + ".png",
            "y" * 300 + ".png",
        ]
    ),
    st.text(max_size=6),
)
member = st.lists(part, min_size=1, max_size=4).map("/".join)


@pytest.mark.fault(10)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_any_name_in_an_archive_stays_inside_or_is_refused(kind: str, tmp_path: Path, faults: Any) -> None:
    number = [0]

    @EXAMPLES
    @given(
        st.lists(
            st.tuples(member, st.sampled_from(["file", "link", "hard", "folder"])), min_size=1, max_size=4
        )
    )
    def check(members: list[tuple[str, str]]) -> None:
        number[0] += 1
        place = tmp_path / str(number[0])
        inner = place / "deep" / "out"
        inner.parent.mkdir(parents=True)
        archive = place / f"a.{kind}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that stand twice
            try:
                (_zip if kind == "zip" else _tar)(archive, members)
            except (ValueError, UnicodeError, OSError, IndexError):
                return  # no such archive can be made with this library
        try:
            unpack([archive], inner, lambda *_: None)
        except DataError:
            assert not inner.exists(), "refused whole"
        made = [path for path in place.rglob("*") if not path.is_relative_to(inner)]
        assert sorted(made) == sorted({archive, inner.parent})
        for path in inner.rglob("*"):
            assert not path.is_symlink()
            assert path.resolve().is_relative_to(inner.resolve())
        faults.one()

    check()


def _zip(path: Path, members: list[tuple[str, str]]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, kind in members:
            info = zipfile.ZipInfo("x")
            info.filename = name  # the constructor would cut a name at NUL
            info.external_attr = {"link": 0o120777, "folder": 0o040755}.get(kind, 0o100644) << 16
            archive.writestr(info, b"../../secret" if kind == "link" else b"content")


def _tar(path: Path, members: list[tuple[str, str]]) -> None:
    kinds = {
        "file": tarfile.REGTYPE,
        "link": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "folder": tarfile.DIRTYPE,
    }
    with tarfile.open(path, "w") as archive:
        for name, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kinds[kind]
            info.linkname = "../../secret" if kind in ("link", "hard") else ""
            info.size = 7 if kind == "file" else 0
            archive.addfile(info, io.BytesIO(b"content"))


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 10**20), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
row = st.fixed_dictionaries(
    {},
    optional={
        "filename": st.one_of(st.sampled_from(["a.png", "../a.png", "/etc/passwd", "gone.png"]), anything),
        "split": st.one_of(st.sampled_from(["train", "val", "test", "restval", "tset"]), anything),
        "sentences": st.one_of(
            st.lists(st.fixed_dictionaries({"raw": st.text(max_size=5)}), max_size=3), anything
        ),
        "imgid": anything,
        "cocoid": anything,
    },
)
annotations = st.one_of(st.fixed_dictionaries({"images": st.lists(row, max_size=4)}), anything)


@pytest.mark.fault(12)
def test_any_annotations_are_read_or_refused_and_nothing_is_left(tmp_path: Path, faults: Any) -> None:
    from PIL import Image

    folder, root, catalog = tmp_path / "source", tmp_path / "data", Catalog.load()
    folder.mkdir()
    Image.new("RGB", (4, 4)).save(folder / "a.png")

    @EXAMPLES
    @given(st.one_of(annotations.map(lambda value: json.dumps(value).encode()), st.binary(max_size=60)))
    def check(content: bytes) -> None:
        (folder / "dataset.json").write_bytes(content)
        prepared = (root / "any").exists()
        try:
            prepare("any", "folder", {}, folder, root, catalog)
        except HarnessError:
            assert (root / "any").exists() == prepared
        else:
            assert verify("any", root) == []
        assert {path.name for path in tmp_path.iterdir()} == {"source", "data"}
        assert {path.name for path in folder.iterdir()} == {"a.png", "dataset.json"}
        faults.one()

    check()


@pytest.mark.fault(13)
def test_any_registry_is_read_or_refused(tmp_path: Path, toy_text: str, faults: Any) -> None:
    """A sound one with a value of it, at any depth, replaced by anything."""
    path = tmp_path / "registry.yaml"

    @EXAMPLES
    @given(st.data())
    def check(data: st.DataObject) -> None:
        document = yaml.safe_load(toy_text)
        at: Any = document
        while True:
            key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            if not isinstance(at[key], (dict, list)) or not at[key] or data.draw(st.booleans()):
                break
            at = at[key]
        at[key] = data.draw(anything)
        path.write_text(yaml.dump(document, allow_unicode=True), encoding="utf-8")
        with contextlib.suppress(RegistryError):
            Registry.load(path)
        faults.one()

    check()
