"""A broken plugin costs only itself, and is named."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from harness.catalog import Catalog
from harness.errors import PluginError
from harness.patience import LIMIT

Install = Callable[..., str]
Load = Callable[..., Catalog]

FINE = """
from harness.api import LossSpec, hookimpl

@hookimpl
def harness_losses():
    return [LossSpec(name="fine", target="x.y:Z", summary="a loss")]
"""

BROKEN = {
    "raises": ("raise ValueError('boom at import')", "ValueError: boom at import"),
    "exits": ("import sys; sys.exit(0)", "SystemExit"),
    "exits in hook": (
        "import sys\nfrom harness.api import hookimpl\n@hookimpl\ndef harness_losses():\n    sys.exit(3)",
        "SystemExit: 3",
    ),
    "lacks a module": ("import no_such_module_anywhere", "No module named 'no_such_module_anywhere'"),
    "does not parse": ("def (", "SyntaxError"),
    "misspells": (
        "from harness.api import hookimpl\n@hookimpl\ndef harness_loses():\n    return []",
        "'harness_loses' is no hook; did you mean 'harness_losses'?",
    ),
    "misspells the prefix": (
        "from harness.api import hookimpl\n@hookimpl\ndef harnes_losses():\n    return []",
        "harnes_losses",
    ),
    "lacks the marker": ("def harness_losses():\n    return []", "lacks the decorator @hookimpl"),
    "has no hook": ("x = 1", "implements none of the hooks"),
    "wants an argument": (
        "from harness.api import hookimpl\n@hookimpl\ndef harness_losses(extra):\n    return []",
        "extra",
    ),
    "returns None": (
        "from harness.api import hookimpl\n@hookimpl\ndef harness_losses():\n    pass",
        "returned None, not an iterable of LossSpec",
    ),
    "returns text": (
        "from harness.api import hookimpl\n@hookimpl\ndef harness_losses():\n    return 'instance'",
        "returned a value of type str, not an iterable of LossSpec",
    ),
    "returns a number": (
        "from harness.api import hookimpl\n@hookimpl\ndef harness_losses():\n    return 3",
        "returned a value of type int",
    ),
    "returns another spec": (
        "from harness.api import EvaluatorSpec, hookimpl\n@hookimpl\ndef harness_losses():\n"
        "    return [EvaluatorSpec(name='x', target='a:b', summary='', metrics=())]",
        "returned a value of type EvaluatorSpec where LossSpec belongs",
    ),
    "yields and raises": (
        "from harness.api import hookimpl\n@hookimpl\ndef harness_losses():\n    yield from ()\n"
        "    raise KeyError('late')",
        "KeyError: 'late'",
    ),
    "has no end": (
        "import itertools\nfrom harness.api import LossSpec, hookimpl\n@hookimpl\ndef harness_losses():\n"
        "    return (LossSpec(name=str(n), target='a:b', summary='') for n in itertools.count())",
        "more than 1000 components",
    ),
    "has a wrong field": (
        "from harness.api import EncoderSpec, hookimpl\n@hookimpl\ndef harness_encoders():\n"
        "    return [EncoderSpec(name='x', target='a:b', summary='', modality='sound')]",
        "a field of a wrong type",
    ),
    "has a wrong scale": (
        "from harness.api import EvaluatorSpec, hookimpl\n@hookimpl\ndef harness_evaluators():\n"
        "    return [EvaluatorSpec(name='x', target='a:b', summary='', metrics=('y',), scales={'y': 'higher'})]",
        "a field of a wrong type",
    ),
    "names no gallery": (
        "from harness.api import EvaluatorSpec, hookimpl\n@hookimpl\ndef harness_evaluators():\n"
        "    return [EvaluatorSpec(name='x', target='a:b', summary='', metrics=(), gallery='here')]",
        "gallery 'here' of 'x' is not 'package.module:function'",
    ),
    "has a wrong name": (
        "from harness.api import LossSpec, hookimpl\n@hookimpl\ndef harness_losses():\n"
        "    return [LossSpec(name='../x', target='a:b', summary='')]",
        "ValueError: name '../x'",
    ),
    "repeats itself": (
        "from harness.api import LossSpec, hookimpl\n@hookimpl\ndef harness_losses():\n"
        "    return 2 * [LossSpec(name='x', target='a:b', summary='')]",
        "declares loss 'x' twice",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_plugin_costs_only_itself(fault: str, install: Install, load: Load) -> None:
    source, message = BROKEN[fault]
    install(FINE, name="fine", distribution="zz-fine")
    install(source, name="broken", distribution="acme-broken", version="0.3")
    catalog = load()
    assert [plugin.name for plugin in catalog.plugins] == ["fine"]
    assert list(catalog.components) == [("loss", "fine")]
    (problem,) = catalog.problems
    assert (problem.plugin, problem.distribution, problem.version) == ("broken", "acme-broken", "0.3")
    assert message in problem.message
    with pytest.raises(PluginError, match=r"acme-broken 0\.3"):
        load(strict=True)


HANGING = {
    "sleeps": "import time\nwhile True:\n    time.sleep(60)",
    "computes": "while True: pass",
    "catches exceptions": "import time\nwhile True:\n    try:\n        time.sleep(60)\n    except Exception:\n"
    "        pass",
    "catches the first": "import time\ntry:\n    time.sleep(600)\nexcept BaseException:\n    time.sleep(600)",
    "sleeps in a hook": "import time\nfrom harness.api import hookimpl\n@hookimpl\ndef harness_losses():\n"
    "    time.sleep(600)\n",
}


@pytest.mark.parametrize("how", HANGING)
def test_a_plugin_that_hangs_is_left_out_and_named(
    how: str, install: Install, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, "0.05")
    install(HANGING[how], name="hanging", distribution="acme-hanging")
    before = signal.getsignal(signal.SIGALRM)
    (problem,) = load().problems
    assert (problem.plugin, problem.distribution) == ("hanging", "acme-hanging")
    assert problem.message == f"did not load within 0.05 s, which {LIMIT} can change"
    assert "HangError" in problem.traceback
    assert signal.getsignal(signal.SIGALRM) == before
    assert not any(signal.getitimer(signal.ITIMER_REAL))


def test_a_timer_of_somebody_else_is_left_alone(install: Install, load: Load) -> None:
    seen = (
        "import signal\nif signal.getitimer(signal.ITIMER_REAL)[0] <= 600: raise ValueError('another one')\n"
    )
    install(seen + FINE)
    before = signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 100_000)
    try:
        assert load().problems == ()
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 600
        assert signal.getsignal(signal.SIGALRM) == signal.SIG_IGN
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf", "1e9"])
def test_a_limit_that_is_no_number_of_seconds(text: str, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, text)
    with pytest.raises(PluginError, match=f"{LIMIT}: '{text}' is no number of seconds"):
        load()


def test_a_traceback_is_kept_for_whoever_mends_it(install: Install, load: Load) -> None:
    install("raise ValueError('boom')")
    (problem,) = load().problems
    assert "raise ValueError('boom')" in problem.traceback


def test_an_interrupt_is_not_a_fault_of_the_plugin(install: Install, load: Load) -> None:
    install("raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load()
