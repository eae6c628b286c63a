"""Matrix -> cells -> a DAG of fingerprinted runs."""

from harness.plan.fingerprint import canonical, digest
from harness.plan.make import make_plan
from harness.plan.records import Cell, File, Missing, Part, Plan, RunSpec, Summary

__all__ = [
    "Cell",
    "File",
    "Missing",
    "Part",
    "Plan",
    "RunSpec",
    "Summary",
    "canonical",
    "digest",
    "make_plan",
]
