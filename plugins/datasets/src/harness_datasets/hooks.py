"""What this package declares."""

from __future__ import annotations

from harness.api import DatasetSpec, hookimpl


@hookimpl
def harness_datasets() -> list[DatasetSpec]:
    """Declare `flickr8k`, `flickr30k`, `mscoco` and `folder`."""
    return [
        DatasetSpec(
            name="flickr8k",
            target="harness_datasets.flickr8k:Flickr8k",
            summary="8,000 photographs with five captions each, official splits",
            reference="Hodosh, Young and Hockenmaier, JAIR 47 (2013)",
            sample={"strict": False},
            example="harness_datasets.examples:flickr8k",
        ),
        DatasetSpec(
            name="flickr30k",
            target="harness_datasets.flickr30k:Flickr30k",
            summary="31,000 photographs with five captions each, Karpathy's splits or those of the 2017 paper",
            reference="Young et al., TACL 2 (2014); splits: Karpathy and Fei-Fei, CVPR 2015",
            sample={"strict": False},
            example="harness_datasets.examples:flickr30k",
        ),
        DatasetSpec(
            name="mscoco",
            target="harness_datasets.mscoco:Mscoco",
            summary="123,000 photographs with five captions each, Karpathy's splits",
            reference="Chen et al., arXiv 1504.00325 (2015); splits: Karpathy and Fei-Fei, CVPR 2015",
            sample={"strict": False},
            example="harness_datasets.examples:mscoco",
        ),
        DatasetSpec(
            name="folder",
            target="harness_datasets.folder:Folder",
            summary="any folder of images with captions in <split>.jsonl, a csv or Karpathy json",
            example="harness_datasets.examples:folder",
        ),
    ]
