"""Components are built from their own signature; whatever is wrong names entry, plugin and parameter."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.build import HARNESS_VALUES, build, check, check_all
from harness.catalog import Catalog, Entry
from harness.errors import DataError, InputError, ParameterError, PluginError, RunError
from harness.plan import Cell, File, Part, Plan, RunSpec
from harness.registry import Stage
from harness.signature import Mismatch, convert, parameters, spell
from harness.specs import DatasetSpec, EncoderSpec, EvaluatorSpec, Kind, LossSpec, Spec

MODULE = """
from __future__ import annotations
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from harness.errors import DataError

if TYPE_CHECKING:
    from nowhere import Unknown


class Loss:
    def __init__(self, *, dim: int, classes: int, dropout: float = 0.5, bias: bool = True,
                 kind: Literal["sum", "mean"] = "mean", sizes: tuple[int, ...] = (), vectors: str | None = None,
                 table: Path | None = None, other: Unknown = None) -> None:
        print("built")
        self.given = dict(vars(), self=None)

    def __call__(self, image, text, group):
        return 0.0


class Encoder:
    def __init__(self, *, seed: int, captions: Sequence[str], width: float) -> None:
        self.given = {"seed": seed, "captions": captions, "width": width}

    def prepare(self, raw, *, training):
        return raw

    def __call__(self, batch):
        return batch


class Plain:
    def evaluate(self, ranking):
        return {}


class Inherits(dict):
    def __init__(self, *args, **kwargs):
        super().__init__()

    def evaluate(self, ranking):
        return {}


def factory(*, depth: int = 1):
    return Plain()


class Positional:
    def __init__(self, dim: int) -> None: ...


class Raises:
    def __init__(self, *, how: str = "value") -> None:
        raise {"value": ValueError("no good"), "exit": SystemExit(0), "data": DataError("bad")}[how]


class Nothing:
    pass


class Data:
    def __init__(self, *, seed: int = 7) -> None:
        self.seed = seed

    def annotations(self, source):
        return None


constant = 3
"""

SPECS: Mapping[Kind, type[Spec]] = {
    "dataset": DatasetSpec,
    "encoder": EncoderSpec,
    "loss": LossSpec,
    "evaluator": EvaluatorSpec,
}
Declare = Callable[..., Catalog]


@pytest.fixture
def declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Declare:
    """A catalog with one component, whose target is a class of MODULE."""
    module = f"components_{abs(hash(tmp_path))}"
    (tmp_path / f"{module}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)

    def declare(kind: Kind, attribute: str, **fields: Any) -> Catalog:
        more: dict[str, Any] = {"encoder": {"modality": "text"}, "evaluator": {"metrics": ()}}.get(kind, {})
        target = attribute if ":" in attribute else f"{module}:{attribute}"
        spec = SPECS[kind](name="it", target=target, summary="", **more, **fields)
        entry = Entry(spec=spec, plugin="mine", distribution="acme", version="1.2")
        return Catalog(components={(kind, "it"): entry})

    return declare


def part(**params: Any) -> Part:
    return Part(name="mine", use="it", revision=1, params=params)


def test_parameters_and_harness_values_arrive(declare: Declare) -> None:
    values: dict[str, Any] = {"dim": 8, "classes": 3, "captions": ["a"], "seed": 1}
    loss = build(part(dropout=1, sizes=[1, 2], kind="sum"), "loss", declare("loss", "Loss"), **values)
    assert (loss.given["dim"], loss.given["classes"]) == (8, 3)
    assert (loss.given["dropout"], type(loss.given["dropout"])) == (1.0, float)
    assert loss.given["sizes"] == (1, 2)
    assert (loss.given["kind"], loss.given["bias"]) == ("sum", True)
    encoder = build(part(width=0.5), "encoder", declare("encoder", "Encoder"), **values)
    assert encoder.given == {"seed": 1, "captions": ["a"], "width": 0.5}


def test_a_component_without_a_constructor(declare: Declare) -> None:
    for attribute in ("Plain", "Inherits", "factory"):
        build(part(), "evaluator", declare("evaluator", attribute), seed=1)
    with pytest.raises(ParameterError, match="takes no parameter 'depth'"):
        build(part(depth=1), "evaluator", declare("evaluator", "Inherits"))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"dropuot": 0.1}, "takes no parameter 'dropuot'; did you mean 'dropout'?"),
        ({"dropout": True}, "parameter 'dropout' is True, not float"),
        ({"dropout": "0.1"}, "parameter 'dropout' is '0.1', not float"),
        ({"bias": 1}, "parameter 'bias' is 1, not bool"),
        ({"kind": "summ"}, "parameter 'kind' is 'summ', not one of 'sum', 'mean'"),
        ({"sizes": [1, "2"]}, "not tuple[int, ...]"),
        ({"sizes": 3}, "not tuple[int, ...]"),
        ({"vectors": 3}, "parameter 'vectors' is 3, not str | null"),
        ({"dim": 3}, "parameter 'dim' is given by the harness and cannot be set here"),
    ],
)
def test_a_parameter_that_does_not_fit(params: dict[str, Any], said: str, declare: Declare) -> None:
    catalog = declare("loss", "Loss")
    with pytest.raises(ParameterError) as built:
        build(part(**params), "loss", catalog, dim=1, classes=1)
    with pytest.raises(ParameterError) as checked:
        check(part(**params), "loss", catalog)
    assert built.value.message == checked.value.message
    assert said in built.value.message
    assert built.value.message.startswith("loss 'mine' (use: it) of acme 1.2: ")


def test_all_parameters_at_once(declare: Declare) -> None:
    with pytest.raises(ParameterError) as caught:
        check(part(a=1, dropout="x", kind=3), "loss", declare("loss", "Loss"))
    assert len(caught.value.message.splitlines()) == 3


def test_an_annotation_that_exists_for_the_type_checker_only_is_not_checked(declare: Declare) -> None:
    loss = build(part(other={"a": 1}), "loss", declare("loss", "Loss"), dim=1, classes=1)
    assert loss.given["other"] == {"a": 1}


def test_what_is_missing(declare: Declare) -> None:
    catalog = declare("encoder", "Encoder")
    with pytest.raises(ParameterError, match="needs 'width'"):
        check(part(), "encoder", catalog)
    with pytest.raises(ParameterError, match="needs 'captions'"):
        build(part(width=1.0), "encoder", catalog, seed=1)


def test_a_dataset_may_have_a_seed_of_its_own(declare: Declare) -> None:
    assert build(part(seed=3), "dataset", declare("dataset", "Data")).seed == 3


@pytest.mark.parametrize(
    ("kind", "attribute", "said"),
    [
        ("loss", "Positional", "parameter 'dim' must be keyword-only"),
        ("loss", "Absent", "AttributeError"),
        ("loss", "no_such_module_at_all:Loss", "ModuleNotFoundError"),
        ("loss", "constant", "is not callable"),
        ("loss", "Nothing", "has no __call__"),
        ("evaluator", "Nothing", "has no evaluate"),
        ("encoder", "Nothing", "has no prepare, __call__"),
        ("dataset", "Nothing", "has no annotations"),
    ],
)
def test_a_component_that_breaks_its_contract(
    kind: Kind, attribute: str, said: str, declare: Declare
) -> None:
    with pytest.raises(PluginError) as caught:
        build(part(), kind, declare(kind, attribute))
    assert said in caught.value.message
    assert "of acme 1.2" in caught.value.message


def test_an_embedded_dataset_draws(declare: Declare) -> None:
    with pytest.raises(PluginError, match="has no pixels"):
        build(part(), "dataset", declare("dataset", "Data", embedded=True))


def test_a_constructor_that_raises(declare: Declare) -> None:
    catalog = declare("evaluator", "Raises")
    with pytest.raises(RunError, match=r"'mine' .* of acme 1\.2: .*ValueError: no good") as caught:
        build(part(), "evaluator", catalog)
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(RunError, match="SystemExit"):
        build(part(how="exit"), "evaluator", catalog)
    with pytest.raises(DataError, match=r"^bad$"):
        build(part(how="data"), "evaluator", catalog)


def test_what_it_prints_goes_to_stderr(declare: Declare, capsys: pytest.CaptureFixture[str]) -> None:
    build(part(), "loss", declare("loss", "Loss"), dim=1, classes=1)
    assert capsys.readouterr() == ("", "built\n")


def test_an_unknown_component(declare: Declare) -> None:
    with pytest.raises(InputError, match="no plugin declares loss 'itt'; did you mean 'it'"):
        build(Part(name="x", use="itt", revision=1), "loss", declare("loss", "Loss"))


def test_files_and_variables(declare: Declare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "v.txt"
    file.write_text("x")
    monkeypatch.setenv("FOLDER", str(tmp_path))
    catalog = declare("loss", "Loss")
    files = {"file:v.txt": File(path=file, sha256="")}
    known = Part(name="mine", use="it", revision=1, params={"vectors": "file:v.txt"}, files=files)
    assert build(known, "loss", catalog, dim=1, classes=1).given["vectors"] == str(file)
    loss = build(part(vectors="file:${FOLDER}/v.txt", table="${FOLDER}/t"), "loss", catalog, dim=1, classes=1)
    assert loss.given["vectors"] == str(file)
    assert loss.given["table"] == tmp_path / "t"
    with pytest.raises(ParameterError, match=r"parameter 'vectors': .*w\.txt, which is not a file"):
        check(part(vectors="file:${FOLDER}/w.txt"), "loss", catalog)
    with pytest.raises(ParameterError, match="'ABSENT_ONE', which is not set"):
        check(part(vectors="${ABSENT_ONE}"), "loss", catalog)
    file.unlink()
    with pytest.raises(ParameterError, match="not a file"):
        check(known, "loss", catalog)


def test_a_whole_plan_is_checked_before_it_starts(declare: Declare) -> None:
    kinds: Mapping[Kind, str] = {
        "dataset": "Data",
        "encoder": "Encoder",
        "loss": "Loss",
        "evaluator": "Plain",
    }
    components: dict[tuple[Kind, str], Entry] = {}
    for kind, attribute in kinds.items():
        components |= declare(kind, attribute).components
    catalog = Catalog(components=components)

    def plan(**wrong: dict[str, Any]) -> Plan:
        def of(kind: str, **params: Any) -> Part:
            return Part(name=kind, use="it", revision=1, params={**params, **wrong.get(kind, {})})

        run = RunSpec(
            dataset=of("dataset"),
            protocol="p",
            image=of("image", width=1.0),
            text=of("text", width=1.0),
            losses=((of("loss"), 1.0),),
            stage=Stage(name="one", losses={"loss": 1.0}, epochs=1),
            dim=2,
            seed=0,
        )
        cell = Cell(
            matrix="m", labels=(), experiment="e", title="t", visual="v", textual="x", run=run,
            evaluators=(of("evaluator"),), leaderboard=True,
        )  # fmt: skip
        return Plan(cells=(cell, cell), runs=(run,))

    check_all(plan(), catalog)
    wrong = {"a": 1}
    with pytest.raises(InputError) as caught:
        check_all(plan(dataset=wrong, image=wrong, text=wrong, loss=wrong, evaluator=wrong), catalog)
    said = caught.value.message.splitlines()
    assert [line.split(" (")[0] for line in said] == [
        "dataset 'dataset'", "encoder 'image'", "encoder 'text'", "loss 'loss'", "evaluator 'evaluator'"
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- annotations
class Own:
    """A class of a plugin."""


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (Any, {"a": 1}, {"a": 1}),
        (int, 3, 3),
        (float, 3, 3.0),
        (float, 0.5, 0.5),
        (bool, True, True),
        (str, "a", "a"),
        (None, None, None),
        (int | None, None, None),
        (Optional[float], 2, 2.0),  # noqa: UP045 - the older spelling is one that plugins use
        (int | float, 2, 2),
        (bool | int, True, True),
        (str | Path, "a", "a"),
        (Path | None, "a", Path("a")),
        (Literal["a", 1], 1, 1),
        (Annotated[int, "positive"], 4, 4),
        (list[int], (1, 2), [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], (1, "a"), (1, "a")),
        (tuple[()], (), ()),
        (Sequence[float], (1, 2), (1.0, 2.0)),
        (list, (1, "a"), [1, "a"]),
        (set[str], ("a",), {"a"}),
        (Mapping[str, float], {"a": 1}, {"a": 1.0}),
        (dict[str, list[int]], {"a": (1,)}, {"a": [1]}),
        (dict, {"a": 1}, {"a": 1}),
        (list[int] | str, "a", "a"),
        (list[int] | str, (1,), [1]),
    ],
)
def test_values_that_fit(annotation: Any, value: Any, expected: Any) -> None:
    found = convert(value, annotation)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, True),
        (int, 1.0),
        (int, "1"),
        (int, None),
        (float, True),
        (float, "1"),
        (bool, 1),
        (bool, "yes"),
        (str, 1),
        (str, None),
        (None, 0),
        (int | None, "a"),
        (Literal["a"], "b"),
        (Literal[1], True),
        (Literal[True], 1),
        (list[int], "12"),
        (list[int], (1, 2.5)),
        (tuple[int, str], (1,)),
        (tuple[int, str], ("a", 1)),
        (tuple[()], (1,)),
        (Sequence[str], "abc"),
        (Mapping[str, float], {"a": "b"}),
        (Mapping[str, float], (1,)),
        (dict, 3),
        (Path, 3),
        (Own, "own"),
    ],
)
def test_values_that_do_not_fit(annotation: Any, value: Any) -> None:
    with pytest.raises(Mismatch, match=r"."):
        convert(value, annotation)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (int, "int"),
        (int | None, "int | null"),
        (Literal["a", "b"], "one of 'a', 'b'"),
        (list[int], "list[int]"),
        (Sequence[str] | None, "Sequence[str] | null"),
        (Own, "Own"),
    ],
)
def test_spelling(annotation: Any, text: str) -> None:
    assert spell(annotation) == text


@given(
    st.sampled_from(
        [int, float, bool, str, int | None, list[int], tuple[float, ...], dict[str, int], Literal["a"]]
    ),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=2),
        lambda inner: st.tuples(inner) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=4,
    ),
)
def test_what_was_converted_stays_as_it_is(annotation: Any, value: Any) -> None:
    try:
        found = convert(value, annotation)
    except Mismatch:
        return
    assert convert(found, annotation) == found
    assert found == value or list(found) == list(value)


def test_a_module_without_constructor_has_no_parameters() -> None:
    torch = pytest.importorskip("torch")

    class Bare(torch.nn.Module):  # type: ignore[misc, name-defined]
        pass

    assert parameters(Bare) == {}
    assert "torch" in sys.modules
    assert set(HARNESS_VALUES) == {"dim", "classes", "captions", "seed", "train_features", "remember"}
