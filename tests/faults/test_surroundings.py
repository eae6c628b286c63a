"""Where and when a run happens changes no figure; what the machine takes away is named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard import check
from harness.store import Store
from tests.faults.conftest import Faults
from tests.faults.processes import HOUSE, OFTEN, RUN, Place, Victim, Victims

ONE = ("run", "--matrix", "one", *HOUSE, "--json")
CLOCK = """
import datetime, sys, time
import harness.execute.run
real, calls, real_date = time.time, [0], datetime.datetime
def now():
    calls[0] += 1
    return real() + {shift}
class Date(real_date):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(now(), tz)
time.time, time.time_ns = now, lambda: int(now() * 1e9)
for module in list(sys.modules.values()):
    if module.__name__.startswith("harness.") and getattr(module, "datetime", None) is real_date:
        module.datetime = Date
"""
"""Python that sets the clock of a victim: `shift` is an expression, of `calls[0]` where it jumps at each look."""
JUMPING = "(-1) ** calls[0] * 10**8"
ODD = "ein Pfad mit Ümläuten, 'Zeichen' und [glob*]? ß\u200b日本"


@pytest.fixture(scope="module")
def expected(
    victims: Victims, place_in: Callable[..., Place], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    place = place_in(tmp_path_factory.mktemp("calm"))
    victim = victims.run(place)
    assert victim.wait() == 0, victim.said
    return place.figures()


def same(place: Place, victim: Victim, expected: dict[str, Any], faults: Faults) -> None:
    """Count a fault: the victim must end well, with the figures of an undisturbed one."""
    with faults.inject():
        assert victim.wait() == 0, victim.said
        found = place.figures()
        faults.wrong += sum(found.get(name) != figures for name, figures in expected.items())


@pytest.mark.fault(17)
def test_a_clock_that_jumps_changes_no_figure(
    victims: Victims, place: Callable[..., Place], expected: dict[str, Any], faults: Faults
) -> None:
    jumping = place("jumping")
    same(jumping, victims.run(jumping, OFTEN + CLOCK.format(shift=JUMPING)), expected, faults)
    dates = {
        Store(jumping.home).result(name).provenance["finished"][:4]
        for name in Store(jumping.home).fingerprints()
    }
    assert not any(str(time.gmtime().tm_year) in date for date in dates)
    # Killed halfway; by the next start the clock was set back by years, and all that is stored is of the future.
    here = place("set back")
    death = "from tests.faults import phases\nphases.die_at('after checkpoint.pt', 6)\n"
    assert victims.run(here, OFTEN + death + CLOCK.format(shift="10**8")).wait() == -9
    files = [path for path in here.home.rglob("*") if path.is_file()]
    assert any(path.name == "checkpoint.pt" for path in files)
    for path in files:
        os.utime(path, (4e9, 4e9))
    victim = victims.run(here, OFTEN + CLOCK.format(shift="-(10**8)"))
    same(here, victim, expected, faults)
    assert "the run starts anew" not in victim.said
    assert faults.wrong == 0


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of locales that write numbers with a comma or know two letters i; empty where none can be made."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef"):
        for name in ("de_DE", "tr_TR"):
            made = ["localedef", "-i", name, "-f", "UTF-8", str(folder / f"{name}.UTF-8")]
            subprocess.run(made, capture_output=True, check=False)
    return folder


@pytest.mark.fault(17)
@pytest.mark.parametrize("name", ["C", "de_DE.UTF-8", "tr_TR.UTF-8"])
def test_a_locale_and_a_zone_change_no_figure(
    name: str,
    locales: Path,
    victims: Victims,
    place: Callable[..., Place],
    expected: dict[str, Any],
    faults: Faults,
) -> None:
    """Also for the libraries below Python, which ask the locale how a number is written."""
    if name != "C" and not (locales / name).exists():
        pytest.skip(f"this system can make no locale {name}")
    here = place()
    comma = "," if name != "C" else "."
    before = (
        "import locale, time\nlocale.setlocale(locale.LC_ALL, '')\ntime.tzset()\n"
        f"assert locale.localeconv()['decimal_point'] == {comma!r} and time.timezone == -14 * 3600\n"
    )
    surroundings = {"LC_ALL": name, "LOCPATH": str(locales), "TZ": "<+14>-14"}
    same(here, victims.run(here, OFTEN + before, **surroundings), expected, faults)
    assert faults.wrong == 0


@pytest.mark.fault(17)
def test_a_system_that_knows_ascii_alone_and_an_odd_path_change_no_figure(
    command: Any, place: Callable[..., Place], expected: dict[str, Any], faults: Faults, tmp_path: Path
) -> None:
    """A process from its start: Python chooses but once how it reads names, and so the harness begins anew."""
    here = place(ODD)
    below = here.folder / "tief" / "darin"
    below.mkdir(parents=True)
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TZ": "America/New_York"}
    told = tmp_path / "encodings.txt"
    before = (
        "import os, sys\nos.umask(0o077)\n"
        f"print(sys.getfilesystemencoding(), sys.stdout.encoding, file=open({str(told)!r}, 'a'))"
    )
    command.folder = below
    with faults.inject(4):  # locale, rights of new files, folder, path
        code, out, err = command(*RUN, "--home", str(here.home), "--json", before=before, **ascii_alone)
        assert code == 0, err
        assert told.read_text().splitlines() == ["ascii ascii", "utf-8 utf-8"]
        assert [cell["status"] for cell in json.loads(out)["cells"]] == ["done"] * 4
        found = here.figures()
        faults.wrong += sum(found.get(name) != figures for name, figures in expected.items())
        assert check(here.folder / "leaderboards") == []
    assert faults.wrong == 0


@pytest.mark.fault(17)
def test_a_home_named_from_where_one_stands_changes_no_figure(
    victims: Victims, place: Callable[..., Place], expected: dict[str, Any], faults: Faults
) -> None:
    here = place()
    victim = victims.start(*RUN, "--home", "über mir", folder=here.folder, before=OFTEN)
    assert victim.wait() == 0, victim.said
    (here.folder / "über mir").rename(here.home)
    same(here, victim, expected, faults)
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
    victims: Victims, place: Callable[..., Place], times: int, faults: Faults
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
    with faults.inject(len(list(left.iterdir()))):
        assert faults.injected, victim.said
        if times < 2:
            assert code == 0, victim.said
            assert "goes on from its last checkpoint, once" in said
        else:
            assert code == 1, victim.said
            assert "1 of 2 cells failed" in said
            assert "cause: a process that prepares images was killed twice: DataLoader worker (pid" in said
            assert "--only=variant=direct" in said


@pytest.mark.fault(14)
@pytest.mark.parametrize("when", ["import", "training"])
def test_a_plugin_that_hangs_is_ended_by_ctrl_c(
    victims: Victims, place: Callable[..., Place], when: str
) -> None:
    """Nobody need wait for the limit; nothing that it does outlives two signals."""
    here = place()
    mark = here.folder / "hanging"
    hang = f"open({str(mark)!r}, 'w').close()\n    while True:\n        time.sleep(60)\n"
    before = (
        f"import time, harness.catalog\ndef hang(*_, **__):\n    {hang}harness.catalog.importlib.import_module = hang\n"
        if when == "import"
        else f"import time, harness_toy.models\ndef hang(*_):\n    {hang}harness_toy.models.Words.forward = hang\n"
    )
    victim = victims.start(*ONE, "--home", str(here.home), folder=here.folder, before=before)
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
    victims: Victims, place: Callable[..., Place]
) -> None:
    here = place()
    victim = victims.start(*ONE[:-1], "--home", str(here.home), folder=here.folder, before=MEMORY)
    assert victim.wait() == 1, victim.said
    said = " ".join(victim.said.split())
    assert "out of memory at a batch of 6, peak " in said
    assert "Use --accumulate auto, a smaller batch in stage 'one'" in said
