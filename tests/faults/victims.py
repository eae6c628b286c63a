"""Run as a script: imports once what a run imports, then forks a process for each order that it reads.

An order is a line of JSON: arguments of `harness`, folder, environment, a file for what is printed, Python that runs
first, modules to import for all that follow. A victim is a real process: it can be killed at any moment, and costs
no three seconds of imports. Answers are lines of JSON: which process began, and how each ended.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import traceback
from typing import Any


def serve() -> None:
    """Read orders until there are no more."""
    buffer, alive = b"", set[int]()
    while True:
        if select.select([0], [], [], 0.002 if alive else None)[0]:
            chunk = os.read(0, 2**16)
            if not chunk:
                return
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                order = json.loads(line)
                preload(order["modules"])
                pid = os.fork()
                if pid == 0:
                    become(order)
                alive.add(pid)
                answer(began=pid)
        for pid in sorted(alive):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                alive.remove(pid)
                answer(ended=pid, code=os.waitstatus_to_exitcode(status))


def preload(names: list[str]) -> None:
    """Import what an earlier victim had imported in the end."""
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


def answer(**fields: Any) -> None:
    """Tell whoever gave the order."""
    os.write(1, json.dumps(fields).encode() + b"\n")


def become(order: dict[str, Any]) -> None:
    """Be the command line in a process of its own, to the end."""
    code = 1
    try:
        handle = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update(order["environment"])
        os.chdir(order["folder"])
        if site := order["environment"].get("PYTHONPATH"):
            sys.path.insert(0, site)
        sys.argv = ["harness", *order["arguments"]]
        exec(order["before"], {})
        if order["arguments"]:
            from harness.cli import main

            main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
    except BaseException:
        traceback.print_exc()
    finally:
        if path := order["learn"]:
            with open(path, "w", encoding="utf-8") as file:
                json.dump(sorted(sys.modules), file)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    # Nobody's Ctrl-C but that of whoever ordered: the end of the orders ends this, too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve()
