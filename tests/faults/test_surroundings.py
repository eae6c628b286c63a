"""Where and when a run happens changes no figure; what the machine takes away is named."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

RUN = ("run", "--matrix", "one", "--threads", "1", "--device", "cpu", "--json")
JUMP = """
import time
real, calls = time.time, [0]
def jumping():
    calls[0] += 1
    return real() + (-1) ** calls[0] * 10**8
time.time = jumping
"""


def figures(home: Path) -> Any:
    from safetensors.numpy import load_file

    from harness.store import Store

    store = Store(home)
    (fingerprint,) = store.fingerprints()
    weights = load_file(store.folder(fingerprint) / "weights.safetensors")
    return fingerprint, store.result(fingerprint).figures, {k: v.tobytes() for k, v in weights.items()}


@pytest.mark.fault(17)
def test_clock_locale_folder_and_path_change_no_figure(
    victims: Any, place: Callable[..., Any], faults: Any
) -> None:
    calm = place()
    victim = victims.start(*RUN, "--home", str(calm.home), folder=calm.folder)
    assert victim.wait() == 0, victim.said
    expected = figures(calm.home)
    odd = place("ein Pfad mit Ümläuten, 'Zeichen' und [glob*]?")
    below = odd.folder / "deep" / "er"
    below.mkdir(parents=True)
    cases: dict[str, tuple[Path, dict[str, str], str]] = {
        "clock and rights": (odd.folder, {}, JUMP + "import os\nos.umask(0o077)"),
        "locale, zone and folder": (
            below,
            {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "TZ": "Pacific/Kiritimati"},
            "import locale, time\nlocale.setlocale(0, 'C')\ntime.tzset()",
        ),
    }
    for name, (folder, environment, before) in cases.items():
        home = odd.folder / f"{name} ß\u200b日本"
        victim = victims.start(*RUN, "--home", str(home), folder=folder, before=before, **environment)
        assert victim.wait() == 0, victim.said
        wrong = figures(home) != expected
        faults.injected += name.count(" and ") + 1 + name.count(",")
        faults.survived += 0 if wrong else name.count(" and ") + 1 + name.count(",")
        faults.wrong += wrong
    # A home that is named from where one stands.
    victim = victims.start(*RUN, "--home", "über mir", folder=odd.folder)
    assert victim.wait() == 0, victim.said
    faults.one(wrong=figures(odd.folder / "über mir") != expected)
    assert faults.wrong == 0


KILLED = """
import os, signal, torch.utils.data
import harness_toy.models as models
real, left = models.Direct.prepare, {left!r}
def prepare(self, raw, *, training):
    if training and torch.utils.data.get_worker_info() is not None and len(os.listdir(left)) < {times}:
        open(os.path.join(left, str(os.getpid())), "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, raw, training=training)
models.Direct.prepare = prepare
"""


@pytest.mark.fault(18)
@pytest.mark.parametrize("times", [1, 9])
def test_a_data_worker_that_is_killed_costs_a_repetition_and_twice_its_cell(
    victims: Any, place: Callable[..., Any], times: int, faults: Any
) -> None:
    here = place()
    left = here.folder / "killed"
    left.mkdir()
    victim = victims.start(
        *("run", "--matrix", "whole", "--only", "variant=direct", "--only", "variant=plain"),
        *("--threads", "4", "--device", "cpu", "--home", str(here.home)),
        folder=here.folder,
        before=KILLED.format(left=str(left), times=times),
    )
    code = victim.wait()
    said = " ".join(victim.said.split())
    if times < 2:
        assert code == 0, victim.said
        assert "goes on from its last checkpoint, once" in said
    else:
        assert code == 1, victim.said
        assert "1 of 2 cells failed" in said
        assert "cause: a process that prepares images was killed twice: DataLoader worker (pid" in said
        assert "--only=variant=direct" in said
    faults.injected += len(list(left.iterdir()))
    faults.survived += len(list(left.iterdir()))


@pytest.mark.fault(14)
@pytest.mark.parametrize("when", ["import", "training"])
def test_a_plugin_that_hangs_is_ended_by_ctrl_c(victims: Any, place: Callable[..., Any], when: str) -> None:
    """No limit of time is set on what a user installed; nothing that it does outlives two signals."""
    here = place()
    mark = here.folder / "hanging"
    hang = f"open({str(mark)!r}, 'w').close()\n    while True:\n        time.sleep(60)\n"
    before = (
        f"import time, harness.catalog\ndef hang(*_, **__):\n    {hang}harness.catalog.importlib.import_module = hang\n"
        if when == "import"
        else f"import time, harness_toy.models\ndef hang(*_):\n    {hang}harness_toy.models.Words.forward = hang\n"
    )
    victim = victims.start(*RUN, "--home", str(here.home), folder=here.folder, before=before)
    end = time.monotonic() + 60
    while not mark.exists():
        assert time.monotonic() < end, victim.said
        time.sleep(0.01)
    os.kill(victim.pid, signal.SIGINT)
    if when == "training":
        while "once more to stop at once" not in victim.said:
            assert time.monotonic() < end, victim.said
            time.sleep(0.01)
        os.kill(victim.pid, signal.SIGINT)
    assert victim.wait(30) == 130, victim.said
    assert "Traceback" not in victim.said


MEMORY = """
import resource
import harness_toy.models as models
def forward(self, image, text, group):
    import torch
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**26, resource.RLIM_INFINITY))
    try:
        return torch.ones(2**28).sum() * image.sum()
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
models.Contrast.forward = forward
"""


@pytest.mark.fault(16)
def test_memory_that_runs_out_is_named_with_the_batch_and_the_peak(
    victims: Any, place: Callable[..., Any]
) -> None:
    here = place()
    victim = victims.start(*RUN[:-1], "--home", str(here.home), folder=here.folder, before=MEMORY)
    assert victim.wait() == 1, victim.said
    said = " ".join(victim.said.split())
    assert "out of memory at a batch of 6, peak " in said
    assert "Lower the batch of stage 'one'" in said
