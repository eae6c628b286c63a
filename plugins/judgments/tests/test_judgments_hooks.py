"""What the plugin declares, and that the harness can build it."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

from harness.build import build
from harness.catalog import Catalog
from harness.plan import Part
from harness_judgments.hooks import harness_evaluators


def test_hooks_load_neither_numpy_nor_scipy():
    code = (
        "import sys, harness_judgments.hooks as hooks; hooks.harness_evaluators(); "
        "print(sorted({'numpy', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_harness_builds_them_and_gives_the_source(tmp_path):
    catalog = Catalog.load()
    for spec in harness_evaluators():
        part = Part(name=spec.name, use=spec.name, revision=spec.revision, params={}, title=spec.name)
        assert build(part, "evaluator", catalog, source=tmp_path).source == tmp_path


def test_the_names_of_the_figures_are_declared(gallery, tmp_path):
    (tmp_path / "cxc_image_to_caption.json").write_text('{"1": [10]}')
    (tmp_path / "cxc_caption_to_image.json").write_text('{"10": [1]}')
    (tmp_path / "ExpertAnnotations.txt").write_text("1.jpg\t2.jpg#0\t1\t1\t1\n2.jpg\t1.jpg#0\t2\t2\t2\n")
    eye = np.eye(2, dtype=np.float32)
    ranking = gallery({1: [10], 2: [20]}, eye, np.array([[1, 0.5], [0, 1]], np.float32))
    catalog = Catalog.load()
    for spec in harness_evaluators():
        if spec.name == "eccv-caption":
            continue  # the same class as `cxc`, with other files
        part = Part(name=spec.name, use=spec.name, revision=spec.revision, params={}, title=spec.name)
        figures = build(part, "evaluator", catalog, source=Path(tmp_path)).evaluate(ranking)
        assert figures
        assert all(any(fnmatch(name, pattern) for pattern in spec.metrics) for name in figures)
