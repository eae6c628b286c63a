"""What published figures were measured on, and whether a measured row may be held against them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.leaderboard.groups import Group
from harness.passport import RECALL, SCORES, TIES_LOSE

SPLIT, PROTOCOL = "other split", "other protocol"
"""What stands in place of a difference that would be one across splits, or across ways of counting."""

_TOLD = re.compile(rf"{RECALL} \d+(?: \((?P<settings>.*)\))?")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What rows of the literature were measured on.

    Of ties it says nothing. A measured row is held against it where ties are lost, which flatters no method.

    Args:
        datasets: names in registry.yaml whose test images and captions are those of the published figures.
        images: number of test images; `captions`, of test captions.
        settings: parameters of `recall`, as rows tell them: empty for the whole gallery and default cut-offs.
    """

    datasets: tuple[str, ...]
    images: int
    captions: int
    settings: str = ""

    def against(self, group: Group, evaluator: str) -> str:
        """Say why figures of a group may not be held against it: `SPLIT`, `PROTOCOL`, or nothing if they may."""
        asked = self.images, self.captions
        if any(row.dataset not in self.datasets or (row.images, row.captions) != asked for row in group.rows):
            return SPLIT
        told = [_TOLD.fullmatch(row.evaluators.get(evaluator, "")) for row in group.rows]
        counted = all(found is not None and (found["settings"] or "") == self.settings for found in told)
        lost = all(row.protocol.get(SCORES, "").endswith(TIES_LOSE) for row in group.rows)
        return "" if counted and lost else PROTOCOL
