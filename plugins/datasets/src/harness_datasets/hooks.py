"""What this package declares."""

from __future__ import annotations

from harness.api import DatasetSpec, hookimpl


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """Declare `flickr8k` and `folder`."""
    return [
        DatasetSpec(
            name="flickr8k",
            target="harness_datasets.flickr8k:Flickr8k",
            summary="8,000 photographs with five captions each, official splits",
            reference="Hodosh, Young and Hockenmaier, JAIR 47 (2013)",
            sample={"strict": False},
        ),
        DatasetSpec(
            name="folder",
            target="harness_datasets.folder:Folder",
            summary="any folder of images with captions in <split>.jsonl, a csv or Karpathy json",
        ),
    ]
