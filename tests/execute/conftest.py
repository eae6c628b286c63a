"""The real plugins in small: instance loss on cached features, then fine-tuned from pixels, and CCA."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from harness.catalog import Catalog
from harness.data import protocol_of
from harness.execute import Workspace, execute
from harness.execute.estimate import Estimate, estimate
from harness.execute.restore import Restored, restore
from harness.plan import Plan, make_plan
from harness.registry import Registry
from harness.store import Store

SHAPES = """\
version: 1
datasets: {shapes-tiny: {use: shapes, images: 64, size: 32}}
encoders:
  image: {use: timm, backbone: test_resnet, weights: null, head: linear, standardize: true}
  affine: {like: image, head: affine, relu: false, standardize: false}
  words: {use: text-cnn, blocks: [1], width: 0.1, embedding_dim: 16, length: 8}
  tfidf: {use: tfidf, min_count: 1}
losses: {instance: {use: instance}, cca: {use: cca}}
evaluators: {recall: {use: recall}}
stages:
  one: {losses: {instance: 1}, freeze: [image.backbone.*], epochs: 1, batch: 16}
  two: {losses: {instance: {dropout: 0.5}}, after: one, epochs: 1, batch: 26}
  closed: {losses: {cca: 1}, freeze: [image.backbone.*], epochs: 0}
experiments:
  dual-path: {dataset: shapes-tiny, image: image, text: words, dim: 16, stage: one, evaluators: [recall]}
  cca: {dataset: shapes-tiny, image: affine, text: tfidf, dim: 16, stage: closed, evaluators: [recall]}
matrices:
  tiny:
    experiment: dual-path
    axes: {variant: {one: {}, two: {stage: two}, cca: {experiment: cca}}}
"""


class Silent:
    """A listener that listens to nothing."""

    def started(self, *_: Any) -> None: ...
    def progress(self, *_: Any) -> None: ...
    def finished(self, *_: Any) -> None: ...
    def note(self, *_: Any) -> None: ...


@dataclass
class Site:
    """A store of the tiny matrix, and what was estimated before it was filled."""

    workspace: Workspace
    folder: Path
    plan: Plan
    before: Estimate
    left: list[Path]
    runs: dict[str, str]

    @staticmethod
    def make(registry: Path, workspace: Workspace, **options: Any) -> Plan:
        """Plan the tiny matrix of a registry."""
        return make_plan(
            Registry.load(registry),
            workspace.catalog,
            matrix="tiny",
            protocol_of=lambda part, spec: protocol_of(part, workspace.data, spec),
            **options,
        )

    @staticmethod
    def execute(plan: Plan, workspace: Workspace) -> list[Any]:
        """Run a plan, all of it."""
        outcomes = list(execute(plan, workspace, listener=Silent()))
        assert [outcome.error for outcome in outcomes] == [""] * len(outcomes)
        return outcomes

    def restore(self, label: str, **fields: Any) -> Restored:
        workspace = replace(self.workspace, **fields)
        return restore(self.runs[label], workspace, Store(self.workspace.home), self.folder)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("shapes")
    (folder / "registry.yaml").write_text(SHAPES, encoding="utf-8")
    workspace = Workspace(
        home=folder / "home", data=folder / "data", catalog=Catalog.load(), device="cpu", threads=1
    )
    plan = Site.make(folder / "registry.yaml", workspace)
    before = estimate(plan, workspace, lambda number, total, run: None)
    left = list(folder.iterdir())
    outcomes = Site.execute(plan, workspace)
    runs = {dict(o.cell.labels)["variant"]: o.cell.run.fingerprint for o in outcomes}
    return Site(workspace, folder, plan, before, left, runs)


SCENES = """\
version: 1
datasets: {scenes: {use: shapes, title: Scenes, images: 240, size: 32}}
encoders: {image: {use: timm}, words: {use: text-cnn}}
losses: {instance: {use: instance}}
evaluators:
  recall: {use: recall}
  quarters: {use: recall, folds: 4}
  twins: {use: twins}
  ten: {use: recall, k: [10]}
  cxc: {use: cxc}
stages: {one: {losses: {instance: 1}, epochs: 1}}
experiments:
  dual-path:
    {dataset: scenes, image: image, text: words, dim: 8, stage: one, evaluators: [recall, quarters, twins]}
"""


@dataclass
class Scenes:
    """A drawn dataset of 24 test images with the real evaluators, and embeddings that nobody trained."""

    registry: Registry
    workspace: Workspace
    split: Any
    image: Any
    text: Any

    @property
    def store(self) -> Store:
        return Store(self.workspace.home)

    def examine(self, file: Path, *, evaluators: Any = (), **fields: Any) -> Any:
        """Check and score a file of another code."""
        from harness.execute.imported import Submission, examine

        given = Submission(file=file, **{"method": "Theirs", "dataset": "scenes", **fields})
        return examine(given, self.registry, self.workspace, evaluators)

    def keep(self, file: Path, **fields: Any) -> Any:
        """Store a file of another code; return its result."""
        from harness.execute.imported import keep

        found = self.examine(file, **fields)
        keep(found, self.store)
        return found.result

    def write(self, path: Path, **arrays: Any) -> Path:
        """Write an npz of the embeddings; `arrays` replace some of it."""
        import numpy as np

        whole = {
            "image": self.image,
            "text": self.text,
            "image_ids": np.array(self.split.image_ids),
            "text_ids": np.array(self.split.caption_ids),
        }
        np.savez(path, **{**whole, **arrays})
        return path


@pytest.fixture(scope="session")
def drawn_scenes(tmp_path_factory: pytest.TempPathFactory) -> Scenes:
    import numpy as np

    from harness.data import open_dataset
    from harness.execute.registered import dataset_part

    folder = tmp_path_factory.mktemp("scenes")
    (folder / "registry.yaml").write_text(SCENES, encoding="utf-8")
    registry, catalog = Registry.load(folder / "registry.yaml"), Catalog.load()
    data = folder / "data"
    split = open_dataset(dataset_part("scenes", registry, catalog, data), data, catalog).split("test")
    random = np.random.default_rng(3)
    image = random.normal(size=(len(split.records), 8)).astype(np.float32)
    text = image[split.caption_image] + 0.7 * random.normal(size=(len(split.captions), 8)).astype(np.float32)
    workspace = Workspace(home=folder / "home", data=data, catalog=catalog, device="cpu", threads=1)
    return Scenes(registry, workspace, split, image, text)


@pytest.fixture
def scenes(drawn_scenes: Scenes, tmp_path: Path) -> Scenes:
    return replace(drawn_scenes, workspace=replace(drawn_scenes.workspace, home=tmp_path / "home"))
