"""A whole method in small, and the ways in which one can break: what the tests of the spine run."""
