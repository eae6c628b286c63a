"""Works beside each other: their memory, their times in interleaved rounds, and whether they found the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.bench.memory import ExtraMemory
from harness.bench.report import Fact, Group, Ratio, Timed
from harness.bench.rounds import Work, interleave
from harness.errors import RunError
from harness.execute.outcome import Workspace
from harness.execute.timing import finished
from harness.inputs import derive


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One work of a contest.

    Attributes:
        call: does it, and returns what it found.
        ready: is called before it and not timed.
        part: how much of the work a call does, in (0, 1]; its time is divided by that.
        slow: it is called once a round and never before; its memory is measured in those calls.
        weigh: measure the memory that it takes.
    """

    name: str
    call: Callable[[], Any]
    ready: Callable[[], object] = lambda: None
    part: float = 1.0
    slow: bool = False
    weigh: bool = True


@dataclass(frozen=True, kw_only=True)
class Rounds:
    """How a benchmark measures.

    Attributes:
        workspace: catalog, device, threads, command and revision; nothing is stored.
        rounds: interleaved ones, at least 1.
        seconds: the least time of one measurement.
    """

    workspace: Workspace
    rounds: int
    seconds: float


def contest(
    title: str,
    contenders: Sequence[Contender],
    how: Rounds,
    *,
    ratios: Sequence[Ratio] = (),
    check: Callable[[Mapping[str, Any]], object] = lambda found: None,
    facts: Callable[[Mapping[str, Any]], Sequence[Fact]] = lambda found: (),
    unit: str = "",
    amount: float = 1.0,
) -> Group:
    """Time contenders beside each other.

    Args:
        check: is called with what each contender found last, by name, before any figure is returned; it raises
            RunError where that is not the same.
        facts: returns what else is to be told, from the same.

    Raises:
        RunError: from `check`, or naming a contender that failed.
    """
    found: dict[str, Any] = {}
    memory: dict[str, int | None] = {}
    device = how.workspace.device
    for contender in contenders:
        if not contender.slow:
            contender.ready()
            found[contender.name] = _called(contender)
            if contender.weigh:
                contender.ready()
                _weigh(contender, found, memory, device)
    works = {contender.name: _work(contender, found, memory, device) for contender in contenders}

    if found:
        check(found)
    seed = derive(0, "bench", title)
    speeds = interleave(works, rounds=how.rounds, seconds=how.seconds, wait=finished(device), seed=seed)
    check(found)
    timed = tuple(
        Timed(
            name=contender.name,
            seconds=tuple(1 / (speed * contender.part) for speed in speeds[contender.name]),
            memory=memory.get(contender.name),
            part=contender.part,
        )
        for contender in contenders
    )
    return Group(
        title=title, timed=timed, ratios=tuple(ratios), facts=tuple(facts(found)), unit=unit, amount=amount
    )


def _weigh(contender: Contender, found: dict[str, Any], memory: dict[str, int | None], device: str) -> None:
    extra = ExtraMemory(device)
    found[contender.name] = _called(contender)
    _note(contender, memory, extra)


def _note(contender: Contender, memory: dict[str, int | None], extra: ExtraMemory) -> None:
    took = extra.bytes()
    earlier = memory.get(contender.name)
    memory[contender.name] = took if earlier is None or took is None else max(took, earlier)


def _work(contender: Contender, found: dict[str, Any], memory: dict[str, int | None], device: str) -> Work:
    """Return what is timed: the call alone. Memory is cleared before it and read after it."""
    weighed: list[ExtraMemory] = []

    def ready() -> None:
        contender.ready()
        if contender.slow and contender.weigh:
            weighed.append(ExtraMemory(device))

    def call() -> None:
        found[contender.name] = _called(contender)

    def after() -> None:
        if weighed:
            _note(contender, memory, weighed.pop())

    return Work(ready=ready, call=call, after=after, slow=contender.slow, warm=not contender.slow)


def _called(contender: Contender) -> Any:
    try:
        return contender.call()
    except Exception as error:
        # Other libraries' code, and plugins'.
        raise RunError(f"{contender.name!r} failed: {type(error).__name__}: {error}") from error


def alike(what: str, found: Mapping[str, Mapping[str, float]], *, within: Mapping[str, float]) -> None:
    """Check that contenders found the same figures, as far as they have them in common.

    Args:
        found: figures of each contender, the first being the one that the others are held to.
        within: how far each figure may lie apart; 0 for those that are not named.

    Raises:
        RunError: names the contender and the figure.
    """
    (first, wanted), *others = found.items()
    for name, figures in others:
        for key in sorted(set(figures) & set(wanted)):
            if not abs(figures[key] - wanted[key]) <= within.get(key, 0.0):
                raise RunError(
                    f"{what}: {first!r} finds {key} = {wanted[key]!r}, {name!r} finds {figures[key]!r}: what does "
                    "not find the same is not compared"
                )
