"""The frozen prefix of a backbone: its computation is traced and cut in two where the trained parameters begin."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import get_notrace_functions, get_notrace_modules  # type: ignore[attr-defined] # as its docs do
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from harness_dualpath.backbone import evaluating


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut:
    """A backbone in two parts, which share its modules: ``suffix(prefix(x)) == backbone(x)``.

    Attributes:
        name: of the value at the cut.
        shape: of that value, without its first dimension, the batch.
        prefix: uses frozen parameters only.
        suffix: the rest.
    """

    name: str
    shape: tuple[int, ...]
    prefix: fx.GraphModule
    suffix: fx.GraphModule


def find_cut(
    model: nn.Module,
    trained: Collection[str],
    sample: Tensor,
    *,
    largest: int,
    other_than: tuple[int, ...],
    norm_trains: bool,
) -> Cut | None:
    """Return the longest prefix that training does not change and that ends in one tensor.

    Args:
        trained: names of the parameters that are trained.
        sample: (batch, 3, height, width) float32, of at least two views.
        largest: numbers that the value at the cut may hold for one input.
        other_than: a shape that it must not have.
        norm_trains: whether a batch normalisation outside of frozen modules uses batch statistics.

    Returns:
        ``None`` if there is no such prefix with a convolution or a linear map in it, if the model cannot be
        traced, or if its two parts together compute anything else than the whole.
    """
    if all(name in trained for name, _ in model.named_parameters()):
        return None
    graph = _trace(model, trained)
    if graph is None:
        return None
    frozen = set(_unchanged(graph, model, trained, norm_trains))
    for node in reversed([node for node in _waists(graph) if node in frozen]):
        cut = _cut(model, graph, node, sample)
        if cut is not None and cut.shape != other_than and math.prod(cut.shape) <= largest:
            return cut if any(p.ndim > 1 for p in cut.prefix.parameters()) else None
    return None


class _Tracer(fx.Tracer):
    """Looks into a module only where one of its children is trained and another is not."""

    def __init__(self, trained: Collection[str]) -> None:
        # Functions that timm says must not be looked into.
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))  # type: ignore[no-untyped-call]
        self.trained = trained
        self.proxy_buffer_attributes = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Tell whether a call of the module is one step of the graph."""
        opaque = type(m) in get_notrace_modules()  # type: ignore[no-untyped-call]
        if opaque or not any(any(True for _ in child.parameters()) for child in m.children()):
            return True
        names = [f"{module_qualified_name}.{name}" for name, _ in m.named_parameters()]
        return len({name in self.trained for name in names}) == 1


def _trace(model: nn.Module, trained: Collection[str]) -> fx.Graph | None:
    """Trace a model; ``None`` if that fails, or if its steps depend on whether it is in training."""
    modes = {module: module.training for module in model.modules()}
    graphs = []
    try:
        # What a forward pass takes beside images stays at its default.
        _, *options = inspect.signature(model.forward).parameters.values()
        fixed = {option.name: option.default for option in options}
        for mode in (True, False):
            model.train(mode)
            graphs.append(_Tracer(trained).trace(model, fixed))
    except Exception:  # code of any model, run on stand-ins for tensors: it may fail in any way
        return None
    finally:
        for module, mode in modes.items():
            module.training = mode
    return graphs[1] if str(graphs[0]) == str(graphs[1]) else None


def _unchanged(
    graph: fx.Graph, model: nn.Module, trained: Collection[str], norm_trains: bool
) -> Iterator[fx.Node]:
    """Yield the steps that no trained parameter has a part in, and that are the same in training and evaluation."""
    changed: set[fx.Node] = set()
    for node in graph.nodes:
        own = node.op == "get_attr" and node.target in trained
        if node.op == "call_module":
            module = model.get_submodule(node.target)
            names = [f"{node.target}.{name}" for name, _ in module.named_parameters()]
            own = any(name in trained for name in names) if names else _varies(module, norm_trains)
        if own or any(source in changed for source in node.all_input_nodes):
            changed.add(node)
        else:
            yield node


def _varies(module: nn.Module, norm_trains: bool) -> bool:
    """Tell whether a module without parameters does something else in training."""
    return any(
        (isinstance(part, _BatchNorm) and norm_trains)
        or float(getattr(part, "p", 0.0) or 0.0) > 0
        or float(getattr(part, "drop_prob", 0.0) or 0.0) > 0
        for part in module.modules()
    )


def _waists(graph: fx.Graph) -> list[fx.Node]:
    """Return the steps that all ways from the input to the output lead through, in order."""
    through: dict[fx.Node, frozenset[fx.Node]] = {}
    first = _input(graph)
    for node in graph.nodes:
        sources = [through[source] for source in node.all_input_nodes if source in through]
        if node is first or sources:  # else a parameter, or made of parameters
            through[node] = frozenset.intersection(*sources, *[] if sources else [frozenset()]) | {node}
    common = through.get(graph.output_node(), frozenset())
    return [node for node in graph.nodes if node in common and node.op not in ("placeholder", "output")]


def _input(graph: fx.Graph) -> fx.Node:
    node: fx.Node = next(node for node in graph.nodes if node.op == "placeholder")
    return node


def _cut(model: nn.Module, graph: fx.Graph, node: fx.Node, sample: Tensor) -> Cut | None:
    """Cut at a step, if it computes a tensor of each input and the parts make up the whole."""
    (last,) = graph.output_node().all_input_nodes
    prefix = fx.GraphModule(model, _between(_input(graph), node))
    suffix = fx.GraphModule(model, _between(node, last))
    with evaluating(model):
        expected = model(sample)
        value: Any = prefix(sample)
        if not isinstance(value, Tensor) or value.ndim < 2 or len(value) != len(sample):
            return None
        # One input alone: a size that was fixed at the batch's would show.
        rows = torch.cat([suffix(value[:1]), suffix(value[1:])])
        if not torch.allclose(rows, expected, rtol=1e-3, atol=1e-4):
            return None
    return Cut(name=node.name, shape=tuple(value.shape[1:]), prefix=prefix, suffix=suffix)


def _between(start: fx.Node, end: fx.Node) -> fx.Graph:
    """Copy the steps from the value of `start` to that of `end`."""
    wanted, open_ = {start}, [end]
    while open_:
        node = open_.pop()
        if node not in wanted:
            wanted.add(node)
            open_ += node.all_input_nodes
    graph = fx.Graph()
    copies = {start: graph.placeholder("inputs")}
    for node in start.graph.nodes:
        if node in wanted and node is not start:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(copies[end])
    return graph
