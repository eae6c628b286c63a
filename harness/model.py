"""The trained whole, and the names of its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from harness.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Model:
    """The trained whole: parameters are named ``image.*``, ``text.*`` and ``loss.<name>.*``."""

    root: nn.ModuleDict
    weights: Mapping[str, float]

    @property
    def image(self) -> Any:
        """The image encoder."""
        return self.root["image"]

    @property
    def text(self) -> Any:
        """The text encoder."""
        return self.root["text"]

    @property
    def losses(self) -> Mapping[str, Any]:
        """The losses by their registry name."""
        return dict(self.root["loss"].items())  # type: ignore[operator]

    def state(self, unsaved: tuple[str, ...]) -> dict[str, Tensor]:
        """Return all weights but those whose names match `unsaved`, as detached tensors."""
        return {
            name: tensor.detach()
            for name, tensor in self.root.state_dict().items()
            if not matches(name, unsaved)
        }

    def freeze(self, globs: tuple[str, ...]) -> None:
        """Let all parameters be trained but those whose names match `globs`."""
        for name, parameter in self.root.named_parameters():
            parameter.requires_grad_(not matches(name, globs))

    def steady(self, globs: tuple[str, ...]) -> tuple[str, ...]:
        """Freeze `globs`, set training mode, and return the names of the frozen weights that training leaves alone.

        A frozen batch normalisation in training mode still moves its statistics: those are not among them.
        """
        self.freeze(globs)
        self.root.train()
        moving = {
            f"{path}.{name}".removeprefix(".")
            for path, module in self.root.named_modules()
            if module.training
            for name, _ in module.named_buffers(recurse=False)
        }
        return tuple(n for n in self.root.state_dict() if matches(n, globs) and n not in moving)

    def load(self, state: Mapping[str, Tensor], unsaved: tuple[str, ...]) -> None:
        """Load what `state` returned.

        Raises:
            TrainingError: names parameters that are missing or unknown.
        """
        result = self.root.load_state_dict(dict(state), strict=False)
        missing = [name for name in result.missing_keys if not matches(name, unsaved)]
        if missing or result.unexpected_keys:
            raise TrainingError(
                f"the stored weights do not fit the model: missing {missing}, unknown {result.unexpected_keys}"
            )


def matches(name: str, globs: tuple[str, ...]) -> bool:
    """Tell whether a parameter name matches one of the glob patterns."""
    return any(fnmatchcase(name, glob) for glob in globs)
