"""The only module that a plugin imports. What stands in `__all__` stays within `harness.v1`."""

from __future__ import annotations

from harness.errors import (
    DataError,
    HarnessError,
    InputError,
    ParameterError,
    ScoreError,
    TrainingError,
    nearest,
)
from harness.hookspecs import ENTRY_POINT_GROUP, hookimpl
from harness.protocols import (
    SPLITS,
    Annotations,
    CachedEncoder,
    ClosedFormLoss,
    Dataset,
    Encoder,
    Evaluator,
    FrozenPart,
    GeneratedDataset,
    Loss,
    Policy,
    Ranking,
    Ranks,
    Record,
    Reporting,
    Split,
    TrainPairs,
)
from harness.specs import DatasetSpec, EncoderSpec, EvaluatorSpec, LossSpec, valid_name

__all__ = [
    "ENTRY_POINT_GROUP",
    "SPLITS",
    "Annotations",
    "CachedEncoder",
    "ClosedFormLoss",
    "DataError",
    "Dataset",
    "DatasetSpec",
    "Encoder",
    "EncoderSpec",
    "Evaluator",
    "EvaluatorSpec",
    "FrozenPart",
    "GeneratedDataset",
    "HarnessError",
    "InputError",
    "Loss",
    "LossSpec",
    "ParameterError",
    "Policy",
    "Ranking",
    "Ranks",
    "Record",
    "Reporting",
    "ScoreError",
    "Split",
    "TrainPairs",
    "TrainingError",
    "hookimpl",
    "nearest",
    "valid_name",
]
