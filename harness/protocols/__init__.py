"""What the built objects do, with shapes. `n` images, `m` captions (m is about 5 n), `dim` the embedding size.

Components are plain classes; encoders and losses are also `torch.nn.Module`s. Their keyword-only constructor
parameters are their schema. A component also receives those harness values whose names stand among its parameters:

    dim             int: size of the common embedding
    classes         int: number of training images, each with its captions a class of its own
    captions        Sequence[str]: the captions of the train split, and of no other
    seed            int: the run's seed
    train_features  Callable[[], Tensor]: computes (n, features) float32, what the longest frozen part of the image
                    encoder makes of the train images under the test view; raises TrainingError where it has none
    remember        Callable[[str, Callable[[], Tensor]], Tensor]: remember(key, compute) returns what `compute` does, a
                    tensor on the CPU that `train_features` and `key` determine and that takes long. It is kept in the
                    store, beside the address of those features, so that runs share it and a resumed one need not wait.
                    `key` names all else that changes it: numbers, seed, library version, a revision of the code

and evaluators:

    source          Path | None: the folder that the dataset was prepared from; None if it is generated
"""

from __future__ import annotations

from harness.protocols.datasets import (
    SPLITS,
    Annotations,
    Dataset,
    GeneratedDataset,
    Record,
    Split,
)
from harness.protocols.encoders import (
    CachedEncoder,
    Drafting,
    Encoder,
    FrozenPart,
    Informing,
    SeparateTest,
)
from harness.protocols.evaluators import (
    Evaluator,
    Gallery,
    Labelled,
    PerImage,
    PerQuery,
    Policy,
    Ranking,
    Ranks,
    demand_finite,
)
from harness.protocols.losses import (
    ClosedFormLoss,
    Loss,
    Mining,
    Reporting,
    TrainPairs,
)

__all__ = [
    "SPLITS",
    "Annotations",
    "CachedEncoder",
    "ClosedFormLoss",
    "Dataset",
    "Drafting",
    "Encoder",
    "Evaluator",
    "FrozenPart",
    "Gallery",
    "GeneratedDataset",
    "Informing",
    "Labelled",
    "Loss",
    "Mining",
    "PerImage",
    "PerQuery",
    "Policy",
    "Ranking",
    "Ranks",
    "Record",
    "Reporting",
    "SeparateTest",
    "Split",
    "TrainPairs",
    "demand_finite",
]
