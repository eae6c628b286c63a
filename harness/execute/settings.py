"""What torch is set to before a model is built or run."""

from __future__ import annotations

from harness.execute.outcome import Workspace


def settle(workspace: Workspace) -> None:
    """Set threads, default type, gradients and precision: a component that ran earlier may have turned them."""
    import torch

    torch.set_num_threads(workspace.own_threads)
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    # No TF32: float32 is to mean it on a GPU, too.
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]
