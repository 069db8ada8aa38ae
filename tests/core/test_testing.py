"""The conformance checks find what they are there to find: each test breaks one promise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from annotated_types import Ge, Lt
from torch import nn

import segkit
from segkit import Sample, Volume, testing
from segkit.contracts import Normalization
from segkit.errors import DataError
from segkit.recipe import Selection
from segkit.registry import KINDS
from segkit.testing import (
    ConformanceError,
    check_architecture,
    check_augmentation,
    check_component,
    check_dataset,
    check_documentation,
    check_format,
    check_importer,
    check_initializer,
    check_loss,
    check_segmenter,
    check_task,
    check_tracer,
    components,
)


def fails(message: str) -> Any:
    return pytest.raises(ConformanceError, match=message)


def factory(build: Callable[..., Any]) -> Callable[..., Any]:
    """Turn a function of the wiring into a documented factory."""
    build.__doc__ = "Something to check."
    return build


# -- all kinds ---------------------------------------------------------------------------------------------------------


def test_every_kind_has_its_check() -> None:
    for kind in KINDS.values():
        assert callable(getattr(testing, f"check_{kind.singular}"))
        assert f"check_{kind.singular}" in testing.__all__


def test_components_of_a_plugin(isolated_plugins: object) -> None:
    def mean(*, power: Annotated[float, Ge(1)] = 2.0):
        """Mean power of the error.

        Parameters
        ----------
        power
            Exponent.
        """

        def loss(logits, target, mask):
            known = mask.expand_as(logits)
            wrong = torch.where(known > 0, logits.sigmoid() - target, 0.0).abs() ** power
            return wrong.sum() / known.sum().clamp_min(1)

        return loss

    segkit.register(SimpleNamespace(hook=segkit.hookimpl(lambda: {"mean": mean}, specname="segkit_losses")), "mine")
    (component,) = components("mine")
    assert components() == [component]
    with fails("fails with RuntimeError for a target of torch.int64"):
        check_component(component)
    with fails("The plugin 'other' offers nothing"):
        components("other")
    with fails("checked as one of the tasks. Use check_loss"):
        check_task(component)


def undocumented(*, n: int = 1): ...


def cut(*, n: int = 1):
    """This sentence goes on
    in the next line."""


def helpless(*, n: int = 1):
    """Take a number."""


def wrong_default(*, n: Annotated[int, Ge(2)] = 1):
    """Take a number.

    Parameters
    ----------
    n
        The number.
    """


def wrong_type(*, n: float = None):  # noqa: RUF013
    """Take a number.

    Parameters
    ----------
    n
        The number.
    """


def required(*, n: int):
    """Take a number.

    Parameters
    ----------
    n
        The number.
    """


def comma(*, names: tuple[str, ...] = ("a,b",)):
    """Take names.

    Parameters
    ----------
    names
        The names.
    """


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (undocumented, "has no docstring"),
        (cut, "'This sentence goes on', is not a whole sentence"),
        (helpless, "parameter 'n' has no help"),
        (wrong_default, "default of parameter 'n' breaks its own annotation"),
        (wrong_type, "default of parameter 'n' breaks its own annotation"),
        (required, "parameter 'n' has no default"),
        (comma, "reads .* from the text 'a,b'"),
    ],
)
def test_documentation(subject: Callable[..., Any], message: str) -> None:
    with fails(message):
        check_loss(subject)


def test_a_dataset_may_require_something() -> None:
    check_dataset(required)


def test_defaults_are_checked_beside_required_ones() -> None:
    def both(*, raw: Annotated[float, Ge(0), Lt(1)], n: int = 1):
        """Take two numbers.

        Parameters
        ----------
        raw, n
            Numbers.
        """

    check_dataset(both)
    assert check_documentation.__doc__


# -- architectures -----------------------------------------------------------------------------------------------------


class Net(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inner = nn.Conv3d(inputs, 4, 3, padding=1)
        self.head = nn.Conv3d(4, outputs, 1)

    def forward(self, raw):
        return self.head(torch.relu(self.inner(raw)))


class Planar(nn.Module):
    planar = True

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, raw):
        assert raw.ndim == 4
        return self.head(raw)


def network(**changes: Any) -> Callable[..., Any]:
    """Return a factory of networks with some methods replaced."""
    return factory(lambda a, b: type("Broken", (Net,), changes)(a, b))


def _spare(self, inputs, outputs):
    Net.__init__(self, inputs, outputs)
    self.spare = nn.Linear(2, 2)


def _unregistered(self, inputs, outputs):
    Net.__init__(self, inputs, outputs)
    self.hidden = [torch.randn(1)]


def _seeded(self, inputs, outputs):
    torch.manual_seed(0)
    Net.__init__(self, inputs, outputs)


def _numpy(self, inputs, outputs):
    Net.__init__(self, inputs, outputs)
    with torch.no_grad():
        self.head.weight.mul_(float(np.random.default_rng().random()))


def test_networks_in_order_pass() -> None:
    check_architecture(factory(lambda a, b: Net(a, b)))
    check_architecture(factory(lambda a, b: Planar(a, b)), shape=(3, 9, 7))
    check_architecture(network(__init__=_spare), unused=("spare.*",))


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (factory(lambda a, b: Net(a, b + 1)), r"maps \(1, 1, 8, 32, 32\) to \(1, 2, 8, 32, 32\) where 1 channels"),
        (network(forward=lambda self, raw: Net.forward(self, raw)[..., 1:]), r"expected \(1, 1, 8, 32, 32\)"),
        (network(forward=lambda self, raw: Net.forward(self, raw) * math.nan), "not finite"),
        (network(forward=lambda self, raw: Net.forward(self, raw.mul_(2))), "changes its input in place"),
        (network(__init__=_spare), "no gradient reaches its weight 'spare.weight'"),
        (network(forward=lambda self, raw: Net.forward(self, raw) + torch.rand(1)), "differs from call to call"),
        (
            network(__init__=_unregistered, forward=lambda self, raw: Net.forward(self, raw) + self.hidden[0]),
            "state_dict",
        ),
        (network(__init__=_seeded), "sets the global seed of torch"),
        (network(__init__=_numpy), "differs under the same seed"),
        (factory(lambda a, b: SimpleNamespace(forward=1, state_dict=2)), "not a torch.nn.Module"),
    ],
)
def test_architectures(subject: Callable[..., Any], message: str) -> None:
    with fails(message):
        check_architecture(subject)


# -- initializers ------------------------------------------------------------------------------------------------------


def _each(action: Callable[[torch.Tensor], Any]) -> Callable[..., Any]:
    def initialize(module: nn.Module) -> None:
        with torch.no_grad():
            for weight in module.parameters():
                action(weight)

    return factory(lambda: initialize)


def _remove(module: nn.Module) -> None:
    module[0].register_parameter("bias", None)


def test_initializers() -> None:
    check_initializer(_each(lambda w: w.normal_(0, 0.1)))
    for action, message in [
        (lambda w: w.fill_(math.inf), "not finite after it"),
        (
            lambda w: w.normal_(generator=torch.Generator().manual_seed(int(np.random.default_rng().integers(99999)))),
            "differs under",
        ),
        (lambda w: None, "changes no weight"),
        (lambda w: w.fill_(1e30), "overflows"),
    ]:
        with fails(message):
            check_initializer(_each(action))
    with fails("removes the weight '0.bias'"):
        check_initializer(factory(lambda: _remove))


# -- losses ------------------------------------------------------------------------------------------------------------


def square(logits, target, mask):
    if not target.is_floating_point():
        raise ValueError("it compares numbers with numbers")
    known = mask.expand_as(logits)
    return (torch.where(known > 0, logits.sigmoid() - target, 0.0) ** 2).sum() / known.sum().clamp_min(1)


def silent(logits, target, mask):
    raise ValueError


def scaled(logits, target, mask):
    logits.data.mul_(2)
    return square(logits, target, mask)


def test_losses() -> None:
    check_loss(factory(lambda: square))
    for loss, message in [
        (lambda g, t, m: square(g, t, m) * torch.ones(2), "no scalar"),
        (lambda g, t, m: square(g, t, m) * math.nan, "it is nan"),
        (lambda g, t, m: -square(g, t, m), "a perfect prediction costs"),
        (lambda g, t, m: square(g, t, torch.ones_like(m)), "outside of the mask have a gradient"),
        (lambda g, t, m: square(g, t, m) + t.sum() * 0.01, "what lies outside of the mask changes it"),
        (lambda g, t, m: square(g, t, m) / (m.sum() > 0), "where nothing is known"),
        (lambda g, t, m: square(g, t, m).detach().requires_grad_(), "no gradient"),
        (lambda g, t, m: square(g, t, m) + 0 * g.exp().sum(), "not finite"),
        (scaled, "changes the logits in place"),
        (silent, "without saying why"),
        (lambda g, t, m: square(g, t, m) + torch.rand(()) * 0, "global state of torch"),
    ]:
        with fails(message):
            check_loss(_constant(loss))


def _constant(value: Any) -> Callable[..., Any]:
    def build():
        """Something to check."""
        return value

    return build


# -- datasets, augmentations, formats ----------------------------------------------------------------------------------


def _sample(name: str = "a", seed: int | None = 1) -> Sample:
    image = np.random.default_rng(seed).integers(0, 255, (4, 8, 8)).astype(np.uint8)
    return Sample(name, Volume.from_array(image), Volume.from_array((image > 99).astype(np.uint64)))


def test_datasets() -> None:
    check_dataset(_constant([_sample()]))
    for build, message in [
        (lambda: [], "has no samples"),
        (lambda: [_sample(), _sample()], "have one name"),
        (lambda: [_sample(seed=None)], "differ when built again"),
        (lambda: ["a"], "item 0 is str, not a segkit.Sample"),
        (lambda: {0: _sample(), 1: "a"}, "item 1 is str"),
    ]:
        with fails(message):
            check_dataset(factory(build))


def _dim(patch, rng):
    return replace(patch, raw=(patch.raw * rng.uniform(0.5, 1.5)).astype(np.float32))


def _in_place(patch, rng):
    patch.raw[:] *= 2
    return patch


def _global(patch, rng):
    return replace(patch, raw=patch.raw + np.float32(np.random.random()))  # noqa: NPY002


def _invent(patch, rng):
    return _dim(replace(patch, labels=(patch.labels + 7).astype(patch.labels.dtype)), rng)


def test_augmentations() -> None:
    check_augmentation(_constant(_dim))
    for augment, message in [
        (lambda patch, rng: patch, "changes nothing"),
        (lambda patch, rng: patch.raw, "returns ndarray"),
        (lambda patch, rng: replace(patch, raw=patch.raw.swapaxes(2, 3)), "had the shape"),
        (lambda patch, rng: replace(patch, raw=patch.raw.astype(float)), "had the type"),
        (lambda patch, rng: replace(patch, raw=patch.raw * np.float32(np.nan)), "not finite"),
        (lambda patch, rng: _dim(patch, np.random.default_rng()), "differ under the same generator"),
        (_in_place, "changes the raw it is given in place"),
        (_global, "global state of numpy"),
        (_invent, "invents the ids"),
    ]:
        with fails(message):
            check_augmentation(_constant(augment))


class Bytes:
    """Opens files of eight bytes."""

    def accepts(self, source: str) -> bool:
        return source.endswith(".eight")

    def open(self, source: str) -> Volume:
        path = Path(source)
        if not (self.accepts(source) and path.exists()):
            raise DataError(f"{source} is no file of eight bytes.")
        return Volume.from_array(np.frombuffer(path.read_bytes(), np.uint8).reshape(2, 2, 2))


def test_formats(tmp_path: Path) -> None:
    file = tmp_path / "image.eight"
    file.write_bytes(bytes(range(8)))
    check_format(_constant(Bytes()), source=file)

    def broken(**changes: Any) -> Callable[..., Any]:
        return _constant(type("Broken", (Bytes,), changes)())

    def crash(self, source):
        raise KeyError("header")

    def vague(self, source):
        raise DataError("no")

    for subject, message in [
        (broken(accepts=lambda self, source: True), "'accepts' returns True for 'missing'"),
        (broken(accepts=crash), "'accepts' fails on 'missing' with KeyError"),
        (broken(open=crash), "'open' fails on 'missing' with KeyError"),
        (broken(open=vague), "does not name it"),
        (broken(open=lambda self, source: None), "which is no image"),
        (broken(accepts=lambda self, source: False), "does not accept"),
    ]:
        with fails(message):
            check_format(subject, source=file)


class Numbers:
    """An importer of two numbers, the weights of a network of one voxel."""

    def accepts(self, path: Path) -> bool:
        return path.suffix == ".two"

    def read(self, path: Path) -> Any:
        if not (self.accepts(path) and path.exists()):
            raise DataError(f"{path} is no file of two numbers.")
        network = nn.Conv3d(1, 1, 1)
        weight, bias = np.frombuffer(path.read_bytes(), np.float32)
        nn.init.constant_(network.weight, float(weight))
        nn.init.constant_(network.bias, float(bias))
        architecture = Selection("tiny:tiny", {})
        task = Selection("tiny:whole", {})
        scaling = Normalization((0.0,), (1.0,))
        return segkit.Model(network, task, architecture, task.build("tasks"), 1, scaling, (4, 4, 4))


def test_importers(tmp_path: Path, isolated_plugins: object) -> None:
    hooks = {
        "segkit_architectures": {"tiny": factory(lambda inputs, outputs: nn.Conv3d(inputs, outputs, 1))},
        "segkit_tasks": {"whole": _constant(Binary())},
    }
    marked = {name: segkit.hookimpl(lambda found=found: found, specname=name) for name, found in hooks.items()}
    segkit.register(SimpleNamespace(**marked), "tiny")
    file = tmp_path / "weights.two"
    file.write_bytes(np.array([2, 3], np.float32).tobytes())
    check_importer(_constant(Numbers()), source=file)

    def broken(**changes: Any) -> Callable[..., Any]:
        return _constant(type("Broken", (Numbers,), changes)())

    def crash(self, path):
        raise KeyError("header")

    def vague(self, path):
        raise DataError("no")

    for subject, message in [
        (broken(accepts=lambda self, path: True), "'accepts' returns True for 'missing'"),
        (broken(accepts=crash), "'accepts' fails on 'missing' with KeyError"),
        (broken(read=crash), "'read' fails on 'missing' with KeyError"),
        (broken(read=vague), "does not name it"),
        (broken(read=lambda self, path: None), "which holds no weights"),
        (broken(accepts=lambda self, path: False), "does not accept"),
    ]:
        with fails(message):
            check_importer(subject, source=file)
    file.write_bytes(np.array([2, np.nan], np.float32).tobytes())
    with fails("not finite"):
        check_importer(_constant(Numbers()), source=file)


# -- tasks, segmenters, tracers ----------------------------------------------------------------------------------------


class Scores:
    def __init__(self) -> None:
        self.sums = np.zeros(2)

    def update(self, prediction, target, mask) -> None:
        self.sums += np.array([(np.abs(prediction - target) * mask).sum(dtype=float), mask.sum(dtype=float)])

    def compute(self) -> dict[str, float]:
        return {"error": self.sums[0] / self.sums[1] if self.sums[1] else math.nan}


class Means(Scores):
    def update(self, prediction, target, mask) -> None:
        self.sums += np.array([np.abs(prediction - target).mean(dtype=float), 0.5])


class Binary:
    out_channels = 1
    channel_names = ("object",)
    best = ("error", "min")

    def target(self, patch):
        return (patch.labels > 0).astype(np.float32)[None], patch.mask

    def foreground(self, labels):
        return labels > 0

    def step(self, network, batch, loss):
        return loss(network(batch.raw), batch.target, batch.mask)

    def activate(self, logits):
        return logits.sigmoid()

    def metrics(self):
        return Scores()


def test_tasks() -> None:
    check_task(_constant(Binary()))
    for changes, message in [
        ({"out_channels": 2}, "2 channels and 1 channel names"),
        ({"target": lambda self, patch: (patch.labels > 0, patch.mask)}, "its target for"),
        ({"target": lambda self, patch: (Binary.target(self, patch)[0], patch.mask | True)}, "claims to know"),
        (
            {"target": lambda self, patch: (Binary.target(self, patch)[0] * np.float32(np.nan), patch.mask)},
            "not finite",
        ),
        (
            {"target": lambda self, patch: (patch.labels.astype(np.int64), patch.mask)},
            "classes run from 0 to 1, with 1",
        ),
        ({"foreground": lambda self, labels: labels}, "its foreground is"),
        ({"activate": lambda self, logits: logits.exp()}, "not finite for logits of 1000s"),
        ({"activate": lambda self, logits: logits.sigmoid_()}, "in place"),
        ({"activate": lambda self, logits: logits[:1]}, "the shape stays"),
        ({"metrics": lambda self: Means()}, "do not add up"),
        (
            {"step": lambda self, network, batch, loss: loss(network(batch.raw), batch.target, batch.mask).detach()},
            "grad",
        ),
        ({"step": lambda self, network, batch, loss: loss(network(batch.raw), batch.target, batch.mask[0])}, "belong"),
        ({"step": lambda self, network, batch, loss: 0.0}, "no scalar"),
        ({"best": ("accuracy", "max")}, "'accuracy' is not one of error"),
    ]:
        with fails(message):
            check_task(_constant(type("Broken", (Binary,), changes)()))


class Connected:
    halo = (1, 1, 1)
    stitching = "touching"

    def __call__(self, prediction, voxel_size):
        from scipy.ndimage import label

        if len(prediction) != 1:
            raise ValueError("it takes one channel")
        return label(prediction[0] > 0.5)[0]


def test_segmenters() -> None:
    check_segmenter(_constant(Connected()))
    call = Connected.__call__
    for changes, message in [
        ({"halo": (1, 1)}, "not three voxel counts"),
        ({"stitching": "none"}, "'touching' or 'overlap'"),
        ({"__call__": lambda self, p, v: call(self, p, v).astype(float)}, "not integer"),
        ({"__call__": lambda self, p, v: call(self, p, v) * 3}, "not counted from 1 without gaps"),
        ({"__call__": lambda self, p, v: call(self, p, v)[1:]}, "expected"),
        ({"__call__": lambda self, p, v: call(self, p, v) * 0}, "finds no object"),
        ({"__call__": lambda self, p, v: call(self, p * (np.arange(64) < 26), v)}, "differently when they lie"),
    ]:
        with fails(message):
            check_segmenter(_constant(type("Broken", (Connected,), changes)()))


def _thicker(size: int):
    from scipy.ndimage import maximum_filter

    return lambda self, ids, prediction, voxel_size: maximum_filter(ids, size, mode="constant")


def test_segmenters_that_finish() -> None:
    check_segmenter(_constant(type("Growing", (Connected,), {"finish_halo": (2, 2, 2), "finish": _thicker(5)})()))
    for finish, message in [
        (_thicker(15), "than of the whole, further than its finish_halo"),
        (lambda self, ids, prediction, voxel_size: ids.astype(np.int32), "no uint64 ids"),
        (lambda self, ids, prediction, voxel_size: ids + np.uint64(9), "ids that were not there"),
    ]:
        with fails(message):
            check_segmenter(_constant(type("Broken", (Connected,), {"finish_halo": (2, 2, 2), "finish": finish})()))


def _axis(mask, voxel_size, *, use: bool = True):
    """Trace an object along its longest direction, slice by slice of x."""
    columns = np.flatnonzero(mask.any((0, 1)))
    nodes = np.array([[*(np.argwhere(mask[:, :, x]).mean(0)), x] for x in columns], float).reshape(-1, 3)
    count = np.arange(len(nodes))
    return SimpleNamespace(nodes=nodes * (voxel_size if use else 8), edges=np.stack([count[:-1], count[1:]], 1))


def test_tracers() -> None:
    check_tracer(_constant(_axis))

    def closed(mask, voxel_size):
        trace = _axis(mask, voxel_size)
        return SimpleNamespace(nodes=trace.nodes, edges=np.concatenate([trace.edges, [[0, 5]]]))

    def shifted(mask, voxel_size):
        trace = _axis(mask, voxel_size)
        return SimpleNamespace(nodes=trace.nodes + 300.0, edges=trace.edges)

    def touchy(mask, voxel_size):
        return 1 / 0 if mask.sum() < 2 else _axis(mask, voxel_size)

    for trace, message in [
        (lambda mask, voxel_size: _axis(mask, voxel_size, use=False), "Does it use the voxel size"),
        (closed, "a tree has one less"),
        (shifted, "from the axis of the tube"),
        (touchy, "one voxel makes it fail with ZeroDivisionError"),
    ]:
        with fails(message):
            check_tracer(_constant(trace))
