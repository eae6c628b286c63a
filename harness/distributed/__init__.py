"""One batch shared by several processes, each with its part of the rows, so that figures stay those of one process."""

from harness.distributed.share import Share
from harness.distributed.team import ALONE, Team

__all__ = ["ALONE", "Share", "Team"]
