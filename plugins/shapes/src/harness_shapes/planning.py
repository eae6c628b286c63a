"""Decides which scenes a dataset holds: how many a split, which of them get a twin, and none twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

from harness.api import SPLITS, Record
from harness_shapes.captions import write_captions
from harness_shapes.scenes import ATTRIBUTES, Key, Scene, draw_scene, neighbours
from harness_shapes.stream import Stream

Planned = tuple[Record, Scene]


def split_sizes(images: int) -> dict[str, int]:
    """Return the number of images of each split: a tenth, rounded half up, is val and as many are test."""
    held_out = (images + 5) // 10
    return {"train": images - 2 * held_out, "val": held_out, "test": held_out}


def plan(images: int, data_seed: int, twins: float) -> list[Planned]:
    """Return all records with their scenes, split by split. No scene comes twice, in one split or in two."""
    used: set[Key] = set()
    planned: dict[str, list[Planned]] = {}
    # Test comes first: no later split gets its scenes, and a larger test split starts with a smaller one.
    for split in reversed(SPLITS):
        number = split_sizes(images)[split]
        planned[split] = list(_plan_split(split, number, data_seed, 0.0 if split == "train" else twins, used))
    return [item for split in SPLITS for item in planned[split]]


def _plan_split(split: str, number: int, data_seed: int, twins: float, used: set[Key]) -> Iterator[Planned]:
    attributes = cycle(ATTRIBUTES)
    done = paired = 0
    while done < number:
        scenes: tuple[Scene, ...]
        key = f"harness-shapes/{data_seed}/{split}/{done}"
        # The share is kept from the first image on, so that the start of a split is a fair sample of it.
        if done + 2 <= number and paired + 1 <= twins * (done + 2):
            attribute = next(attributes)
            scenes = _new_pair(Stream(key), attribute, f"{key}/look", used)
            paired += 2
        else:
            attribute = ""
            scenes = (_new_scene(Stream(key), f"{key}/look", used),)
        names = [f"{split}-{done + place:05d}" for place in range(len(scenes))]
        for name, other, scene in zip(names, reversed(names), scenes, strict=True):
            tags = {"twin": other, "attribute": attribute} if attribute else {}
            captions = write_captions(scene, f"{key}/captions")
            yield Record(image=name, split=split, captions=captions, tags=tags), scene
        done += len(scenes)


def _new_scene(stream: Stream, look: str, used: set[Key]) -> Scene:
    while (scene := draw_scene(stream, look)).key in used:
        pass
    used.add(scene.key)
    return scene


def _new_pair(stream: Stream, attribute: str, look: str, used: set[Key]) -> tuple[Scene, Scene]:
    while True:
        scene = draw_scene(stream, look)
        twins = [twin for twin in neighbours(scene, attribute) if twin.key not in used]
        if scene.key not in used and twins:
            twin = stream.choose(twins)
            used.update((scene.key, twin.key))
            return scene, twin
