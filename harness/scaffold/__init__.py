"""Begin a plugin: a package that installs and passes its contract tests, for somebody to put a method into."""

from __future__ import annotations

from harness.scaffold.naming import Names, names_of
from harness.scaffold.writing import KINDS, Written, commands, root_lines, write_plugin

__all__ = ["KINDS", "Names", "Written", "commands", "names_of", "root_lines", "write_plugin"]
