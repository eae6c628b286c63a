"""The strict reader: scalars of YAML 1.2, every refusal with its line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import RegistryError
from harness.registry import Registry, read_value
from harness.registry.document import Document, read_document

Read = Callable[[str | bytes], Document]


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str | bytes], Document]:
    """Read a document of its own."""

    def read(text: str | bytes) -> Document:
        file = tmp_path / "document.yaml"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_document(file)

    return read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("-2.5e+2", -250.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("0.10", 0.1),
        ("0x1F", 31),
        ("0o17", 15),
        ("true", True),
        ("false", False),
        ("null", None),
        ("", None),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("~", "~"),
        ("True", "True"),
        ("NULL", "NULL"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2024-01-01", "2024-01-01"),
        ("0b11", "0b11"),
        ("1e", "1e"),
        ("--1", "--1"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("'010'", "010"),
        ("=", "="),
        ("[1, 2]", (1, 2)),
        ("[]", ()),
        ("{}", {}),
    ],
)
def test_scalars(text: str, value: Any, read: Read) -> None:
    found = read(f"key: {text}\n").data["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("010", "010 begins with 0"),
        ("-01", "begins with 0"),
        ("00.5", "begins with 0"),
        (".inf", "not a finite number"),
        ("-.INF", "not a finite number"),
        (".nan", "not a finite number"),
        ("1e999", "too large a number"),
        ("9" * 40, "too large a number"),
        ("&a 1", "anchor &a is refused"),
        ("*a", "alias *a is refused"),
        ("!!str 1", "tag tag:yaml.org,2002:str is refused"),
        ("!!python/object/apply:os.system [ls]", "is refused"),
        ("!mine 1", "tag !mine is refused"),
        ("[" * 20 + "]" * 20, "nested deeper than 16"),
    ],
)
def test_what_a_value_cannot_be(text: str, said: str, read: Read) -> None:
    with pytest.raises(RegistryError) as caught:
        read(f"first: 1\nkey: {text}\n")
    assert ":2: key" in caught.value.message
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n", 5, "b.c: stands twice; first in line 3"),
        (b"a: {x: 1, x: 1}", 1, "a.x: stands twice"),
        (b"a: 1\n---\nb: 2\n", 2, "a second document begins here"),
        (b"a: 1\nb: [1\nc: 2\n", 3, "not YAML"),
        (b"a:\n\tb: 1\n", 2, "not YAML"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8: byte 0xff"),
        (b"a: 1\nb: \x00\n", 0, "not YAML"),
        (b"? [a]\n: 1\n", 1, "a key must be text"),
        (b"? {a: 1}\n: 1\n", 1, "a key must be text"),
        (b"&x a: 1\n", 1, "a key takes no anchor"),
        (b"x: &x {a: 1}\ny:\n  <<: *x\n", 3, "alias *x is refused"),
    ],
)
def test_what_a_document_cannot_be(content: bytes, line: int, said: str, read: Read) -> None:
    with pytest.raises(RegistryError) as caught:
        read(content)
    assert said in caught.value.message
    if line:
        assert f"document.yaml:{line}: " in caught.value.message


def test_an_alias_bomb_stays_small(read: Read) -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    with pytest.raises(RegistryError, match="alias"):
        read(bomb)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match=r"cannot read .*absent\.yaml: No such file"):
        read_document(tmp_path / "absent.yaml")
    large = tmp_path / "large.yaml"
    large.write_text("# " + "x" * 1_000_001)
    with pytest.raises(RegistryError, match="at most 1000000"):
        read_document(large)


def test_a_byte_order_mark_is_no_part_of_the_first_key(read: Read) -> None:
    assert read("\ufeffa: 1\n").data == {"a": 1}


def test_all_faults_at_once_in_the_order_of_lines(read: Read) -> None:
    with pytest.raises(RegistryError) as caught:
        read("a: 010\nb: .nan\na: *x\n")
    lines = [line.split(":")[1] for line in caught.value.message.splitlines()]
    assert lines == ["1", "2", "3", "3"]


_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**15), 10**15)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcXYZ0._- ", min_size=1, max_size=6), inner, max_size=3)
    ),
    max_leaves=12,
)


def _as_read(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_as_read, value))
    if isinstance(value, Mapping):
        return {key: _as_read(item) for key, item in value.items()}
    return value


def _quoted(value: Any) -> str:
    """An independent writer: flow style, all text quoted, numbers as Python spells them."""
    if value is None or isinstance(value, bool):
        return str(value).lower().replace("none", "null")
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, list):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)}: {_quoted(item)}" for key, item in value.items()) + "}"
    return repr(value)


@given(_PLAIN)
@settings(deadline=None)
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    file = tmp_path_factory.mktemp("written") / "r.yaml"
    file.write_text(f"key: {_quoted(value)}\n", encoding="utf-8", newline="\n")
    found = read_document(file).data["key"]
    assert found == _as_read(value)
    assert type(found) is type(_as_read(value))


@given(st.text(max_size=40) | st.binary(max_size=40))
@settings(deadline=None)
def test_any_content_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    file = tmp_path_factory.mktemp("any") / "r.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    with pytest.raises(RegistryError, match=str(file)):
        Registry.load(file)


@given(st.from_regex(r"[-+]?[0-9.]{1,6}([eE][-+]?[0-9]{1,2})?", fullmatch=True))
@settings(deadline=None)
def test_a_number_is_never_text_in_silence(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("number") / "r.yaml"
    file.write_text(f"key: {text}\n")
    try:
        number: float | None = float(text)
    except ValueError:
        number = None
    try:
        found = read_document(file).data["key"]
    except RegistryError:
        digits = text.lstrip("+-")
        assert digits.startswith("0") or number is None or math.isinf(number)
        return
    assert found == (text if number is None else number)


def test_values_agree_with_another_reader_where_both_are_strict(read: Read, example: str) -> None:
    ours = read(example)
    theirs = yaml.safe_load(example.replace("1e-3", "0.001"))
    assert ours.data == _as_read(theirs)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001), ("no", "no"), ("null", None), ("", None), ("8", 8), ("true", True),
        ("'010'", "010"), ("[1, a]", (1, "a")), ("ü x", "ü x"),
    ],
)  # fmt: skip
def test_a_value_of_the_command_line_is_read_as_one_of_the_registry(text: str, value: Any) -> None:
    read = read_value(text, "--set k")
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("text", ["010", ".nan", "*a", "!!int 3", "[", "a: 1\na: 2"])
def test_a_value_that_a_registry_refuses_is_refused_on_the_command_line(text: str) -> None:
    with pytest.raises(RegistryError, match=r"^--set k:\d: "):
        read_value(text, "--set k")
