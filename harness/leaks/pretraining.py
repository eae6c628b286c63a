"""What is known of pretrained weights whose training saw a test set. Only claims with a source stand here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from harness.leaks.findings import Severity


@dataclass(frozen=True, kw_only=True)
class Known:
    """One claim.

    Attributes:
        names: globs over the lower-case names that a run gives its encoders' weights, see `weight_names`.
        datasets: globs over the names of datasets and of the components that read them; ``*`` is all of them.
        severity: ``leak`` where test images were trained on.
        what: the claim.
        source: where it stands, or how it was counted.
    """

    names: tuple[str, ...]
    datasets: tuple[str, ...]
    severity: Severity
    what: str
    source: str


KNOWN = (
    Known(
        names=(
            "*coco_v1*",
            "*coco_legacy*",
            "*coco_with_voc*",
            "*coco2017*",
            "*_coco",
            "*_coco.*",
            "*-coco",
            "*-coco.*",
        ),
        datasets=("*coco*",),
        severity="leak",
        what="the weights were trained on COCO train2017, in which 4,407 of the 5,000 test images of the Karpathy "
        "split lie: they are of val2014, of which only the 5,000 images of val2017 were kept out",
        source="counted: 593 of the Karpathy test ids are among those of captions_val2017.json; cocodataset.org: "
        "train2017 and val2017 together are train2014 and val2014",
    ),
    Known(
        names=("*clip*openai*", "openai/clip*", "openai*clip*"),
        datasets=("*",),
        severity="note",
        what="OpenAI's CLIP was trained on 400 million pairs from the web that are not published; its authors found "
        "a median of 2.2 % and a mean of 3.2 % of the images of 35 evaluation sets among them and left them there",
        source="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, "
        "arXiv 2103.00020 (2021), section 5, Data Overlap Analysis",
    ),
)


def known_of(spec: Mapping[str, Any]) -> list[tuple[Known, str]]:
    """Return what is known of the weights that a stored run names and its dataset, each with the name."""
    dataset = spec["dataset"]
    where = {str(dataset["name"]).lower(), str(dataset["use"]).lower()}
    found = []
    for known in KNOWN:
        if not any(fnmatchcase(name, glob) for name in where for glob in known.datasets):
            continue
        for name in weight_names(spec):
            if any(fnmatchcase(name.lower(), glob) for glob in known.names):
                found.append((known, name))
                break
    return found


def weight_names(spec: Mapping[str, Any]) -> list[str]:
    """Return all texts among the parameters of a stored run's encoders; names of weights are among them.

    Of embeddings that another code wrote it is what a person told of them.
    """
    told = [spec[key] for key in ("method", "visual", "textual") if spec.get(key)]
    return [
        *told,
        *(text for role in ("image", "text") if role in spec for text in _texts(spec[role]["params"])),
    ]


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
