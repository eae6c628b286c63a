"""What torch is set to before a model is built or run."""

from __future__ import annotations

from harness.execute.outcome import Workspace


def settle(workspace: Workspace) -> None:
    """Set threads, default type, gradients, order and precision: a component that ran earlier may have turned them.

    On a CPU, what is added up in parallel is added up in one order: the gradient of chosen rows (``table[index]``)
    is not, as torch comes, and a run would never end twice with the same weights.
    """
    import torch
    import torch.utils.deterministic

    torch.set_num_threads(workspace.own_threads)
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    # No TF32: float32 is to mean it on a GPU, too.
    torch.backends.cuda.matmul.fp32_precision = "ieee"
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.cudnn.rnn.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.set_deterministic_debug_mode("warn" if workspace.device == "cpu" else "default")
    # Else all memory that torch allocates is filled first.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
