"""The one place where the stages meet: a plan in, stored results out."""

from __future__ import annotations

from harness.execute.local import execute
from harness.execute.outcome import Listener, Outcome, Workspace

__all__ = ["Listener", "Outcome", "Workspace", "execute"]
