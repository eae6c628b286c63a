"""One picture is found whatever happened to the file; others are not, and every pair is compared."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.leaks import alike as module
from harness.leaks.alike import DETAIL, DHASH, PHASH, alike, details
from harness.leaks.looks import Looks, look

CHANGES = (
    *("jpeg", "half the size", "squashed", "brighter", "darker", "grey", "cut", "turned"),
    "mirrored",
)


def looks(images: list[Image.Image]) -> Looks:
    rows: list[dict[str, Any]] = [look(np.asarray(image)) for image in images]
    content = np.arange(32 * len(rows), dtype=np.uint8).reshape(len(rows), 32)
    columns = {f.name: np.stack([row[f.name] for row in rows]) for f in fields(Looks) if f.name != "content"}
    return Looks(content=content, **columns)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_among_others(change: str, world: Any) -> None:
    own = [world.photograph(seed) for seed in range(12)]
    others = [world.photograph(seed) for seed in range(100, 140)]
    others[7] = world.changes[change](own[3])
    (pair,) = alike(looks(own), looks(others))
    assert (pair.first, pair.second, pair.mirrored) == (3, 7, change == "mirrored")
    assert DETAIL <= pair.detail <= 1 + 1e-6


def test_pairs_are_those_of_a_plain_loop(monkeypatch: pytest.MonkeyPatch, world: Any) -> None:
    images = [world.photograph(seed, 48) for seed in range(30)]
    images += [world.changes[name](images[k]) for k, name in enumerate(CHANGES)]
    all_of = looks(images)
    monkeypatch.setattr(module, "_CELLS", 100)  # three rows a block
    monkeypatch.setattr(module, "_CANDIDATES", 2)
    views = details(all_of.grey), details(np.ascontiguousarray(all_of.grey[:, :, ::-1]))
    expected = set()
    for i in range(len(images)):
        for j in range(i + 1, len(images)):
            for view in (0, 1):
                p = bin(int(all_of.phash[i, 0]) ^ int(all_of.phash[j, view])).count("1")
                d = bin(int(all_of.dhash[i, 0]) ^ int(all_of.dhash[j, view])).count("1")
                if (p <= PHASH or d <= DHASH) and float(views[0][i] @ views[view][j]) >= DETAIL:
                    expected.add((i, j))
    told: list[tuple[int, int]] = []
    found = alike(all_of, all_of, lambda done, total, note: told.append((done, total)))
    assert {(pair.first, pair.second) for pair in found} == expected
    assert len(found) == len(expected) >= len(CHANGES)
    assert [pair.detail for pair in found] == sorted((pair.detail for pair in found), reverse=True)
    assert told[-1] == (39, 39)


def test_even_pictures_are_no_copies_of_each_other() -> None:
    even = [Image.new("RGB", (40, 40), (shade, shade, shade)) for shade in (0, 100, 101, 255)]
    assert alike(looks(even), looks(even)) == []
    assert not details(looks(even).grey).any()
    assert alike(looks(even[:1]).take([]), looks(even)) == []


def test_hashes_are_those_of_imagehash(world: Any) -> None:
    import imagehash

    image = world.photograph(5)
    row = look(np.asarray(image))
    assert f"{int(row['phash'][0]):016x}" == str(imagehash.phash(image))
    assert f"{int(row['dhash'][0]):016x}" == str(imagehash.dhash(image))
    assert np.array_equal(row["phash"], look(np.asarray(world.changes["mirrored"](image)))["phash"][::-1])


def test_flickr8k_two_moments_of_one_scene_and_no_other_pair(world: Any) -> None:
    folder = world.real / "flickr8k" / "images"
    if not folder.is_dir():
        pytest.skip("Flickr8k is not here")
    names = sorted(path.name for path in folder.iterdir())[:6000:40]
    names += ["191003285_edd8d0cf58.jpg", "191003287_2915c11d8e.jpg"]
    (pair,) = alike(every := looks([Image.open(folder / name).convert("RGB") for name in names]), every)
    assert {names[pair.first], names[pair.second]} == set(names[-2:])
    assert 0.7 < pair.detail < 0.9
