"""Disks that are really full, and folders that cannot be written: named, and what was stored earlier is intact."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.leaderboard import check
from harness.store import Store
from tests.faults.conftest import Faults
from tests.faults.processes import HOUSE, OFTEN, RUN, Place, Victims

MORTAL = """
import ctypes
system = ctypes.CDLL(None)
header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
assert system.capget(header, sets) == 0
sets[0] &= ~0b110
assert system.capset(header, sets) == 0
"""
"""Python that takes from a victim of root the right to pass over the modes of files; others have none."""
LIMIT = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))\n"


def mount(folder: Path, options: str) -> bool:
    """Put a file system in memory there, or change it; tells whether this user may."""
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def disk(place: Callable[..., Place], tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A disk of its own for a registry, its store and its leaderboards; call it with a size, again to change it."""
    registry = (place("source").folder / "registry.yaml").read_bytes()
    folder = tmp_path / "disk"
    folder.mkdir()
    if not mount(folder, "size=64k"):
        pytest.skip("only root can mount a disk; the test with a limit of the system's runs all the same")
    (folder / "registry.yaml").write_bytes(registry)

    def resize(options: str) -> Path:
        assert mount(folder, f"remount,{options}")
        return folder

    yield resize
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def expected(
    victims: Victims, place_in: Callable[..., Place], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    place = place_in(tmp_path_factory.mktemp("calm"))
    victim = victims.run(place)
    assert victim.wait() == 0, victim.said
    return place.kept()


@pytest.mark.fault(3)
def test_a_full_disk_is_named_with_what_was_needed_and_loses_nothing(
    disk: Callable[[str], Path], victims: Victims, expected: dict[str, Any], faults: Faults, long: bool
) -> None:
    """The disk grows step by step, so that every kind of write meets its end once."""
    seen: dict[str, Any] = {}
    steps = range(72, 1400, 12) if long else (72, 104, 140, 200, 300)
    for size in steps:
        folder = disk(f"size={size}k")
        victim = victims.start(*RUN, "--home", str(folder / "home"), folder=folder, before=OFTEN)
        code, said = victim.wait(), " ".join(victim.said.split())
        found = Place(folder).kept()
        if code == 0:
            break
        assert code == 1, victim.said
        assert f"cannot write {folder}" in said, victim.said
        assert "No space left on device; it needs more than " in said, victim.said
        assert "are free now" in said
        assert "Traceback" not in said, victim.said
        faults.one(
            lost=len(set(seen) - set(found)),
            wrong=sum(expected[name] != figures for name, figures in found.items()),
        )
        seen = found
    assert faults.injected >= 3
    folder = disk("size=64m")
    victim = victims.start(*RUN, "--home", str(folder / "home"), folder=folder)
    assert victim.wait() == 0, victim.said
    assert Place(folder).kept() == expected
    assert check(folder / "leaderboards") == []
    assert (faults.lost, faults.wrong) == (0, 0)


@pytest.mark.fault(3)
def test_a_disk_that_turns_read_only_is_named(
    disk: Callable[[str], Path], victims: Victims, expected: dict[str, Any], faults: Faults
) -> None:
    folder = disk("size=64m")
    home = ("--home", str(folder / "home"))
    victim = victims.start(
        "run", "--matrix", "faulty", "--only", "variant=plain", *HOUSE, *home, folder=folder
    )
    assert victim.wait() == 0, victim.said
    before = Place(folder).kept()
    disk("ro")
    try:
        for arguments in (RUN, ("run", "--matrix", "one", *HOUSE, "--force")):
            victim = victims.start(*arguments, *home, folder=folder)
            assert victim.wait() == 1, victim.said
            assert f"cannot write {folder}" in victim.said.replace("\n", " ")
            assert "Read-only file system" in victim.said
            assert "Traceback" not in victim.said
            faults.one(lost=len(set(before) - set(Place(folder).kept())))
        # What only reads goes on.
        (fingerprint,) = Store(folder / "home").fingerprints()
        assert victims.start("show", fingerprint, *home, folder=folder).wait() == 0
        assert victims.start("doctor", "--store", *home, folder=folder).wait() == 0
    finally:
        disk("rw")
    victim = victims.start(*RUN, *home, folder=folder)
    assert victim.wait() == 0, victim.said
    assert Place(folder).kept() == expected


@pytest.mark.fault(3)
def test_files_that_may_not_grow_are_named_and_lose_nothing(
    place: Callable[..., Place], victims: Victims, expected: dict[str, Any], faults: Faults, long: bool
) -> None:
    here = place()
    seen: dict[str, Any] = {}
    for size in range(500, 60_000, 1_000) if long else (1_000, 3_000, 9_000):
        victim = victims.start(
            *RUN, "--home", str(here.home), folder=here.folder, before=OFTEN + LIMIT.format(size=size)
        )
        code = victim.wait()
        found = here.kept()
        if code == 0:
            break
        assert code == 1, victim.said
        assert "cannot write" in victim.said, victim.said
        assert "File too large" in victim.said
        faults.one(
            lost=len(set(seen) - set(found)),
            wrong=sum(expected[name] != figures for name, figures in found.items()),
        )
        seen = found
    victim = victims.start(*RUN, "--home", str(here.home), folder=here.folder)
    assert victim.wait() == 0, victim.said
    assert here.kept() == expected
    assert (faults.lost, faults.wrong) == (0, 0)


@pytest.mark.fault(3)
@pytest.mark.parametrize("where", ["home", "runs", "leaderboards"])
def test_a_folder_without_the_right_to_write_is_named(
    where: str, place: Callable[..., Place], victims: Victims, expected: dict[str, Any], faults: Faults
) -> None:
    here = place()
    folder = {"home": here.home, "runs": here.home / "runs"}.get(where, here.folder / where)
    folder.mkdir(parents=True)
    folder.chmod(0o555)
    with faults.inject():
        victim = victims.run(here, OFTEN + MORTAL)
        assert victim.wait() == 1
        assert f"cannot write {folder}" in " ".join(victim.said.split()), victim.said
        assert "Permission denied" in victim.said
        assert "Traceback" not in victim.said
    # What was reported before stays, and the rest is done once it may be.
    before = here.kept()
    folder.chmod(0o755)
    victim = victims.run(here, OFTEN + MORTAL)
    assert victim.wait() == 0, victim.said
    assert set(before) <= set(here.kept())
    assert here.kept() == expected
