"""Loads what every process of a team loads, for the server that they are forked from."""

from __future__ import annotations

import pandas
import pyarrow.parquet
import safetensors.torch
import torch._dynamo  # which a DistributedDataParallel loads when it is made
import torch.nn.parallel

__all__ = ["pandas", "pyarrow", "safetensors", "torch"]
