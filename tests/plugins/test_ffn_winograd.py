"""Fast convolutions beside those of torch."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from segkit.errors import SegkitWarning
from segkit_ffn import ffn
from segkit_ffn._stack import Stack
from segkit_ffn._winograd import Grid, Weights, as_tensor, convolve


@pytest.mark.parametrize("shape", [(9, 9, 9), (5, 17, 13), (3, 25, 4)])
@pytest.mark.parametrize("half", [False, True])
def test_a_convolution_is_that_of_torch(shape: tuple[int, int, int], half: bool) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv3d(32, 32, 3, padding=1).requires_grad_(False)
    image, added = torch.randn(2, 32, *shape)
    expected = layer(image.clamp(min=0)[None])[0] + added
    grid = Grid(shape, 32, half)
    source, out, more = grid.features(), grid.features(), grid.features()
    for room, values in ((source, image), (more, added)):
        as_tensor(grid.inner(room))[...] = values.permute(1, 2, 3, 0)
    for _ in range(2):  # what is left in the rooms does not matter
        convolve(grid, Weights(layer, half), source, out, more)
    found = as_tensor(grid.inner(out)).float().permute(3, 0, 1, 2)
    error = (found - expected).abs()
    assert error.max() < (0.2 if half else 1e-4)
    assert error.mean() < (0.02 if half else 1e-5)
    assert not out[0].any()
    assert not out[:, shape[1] + 1 :].any()


@pytest.mark.parametrize(("half", "most"), [(False, 1e-5), (True, 0.15)])
def test_a_network_is_that_of_torch(half: bool, most: float) -> None:
    torch.manual_seed(0)
    network = ffn(3, 1, width=20, depth=3).eval().requires_grad_(False)
    seen = torch.randn(2, 3, 7, 11, 13)
    stack = Stack(network, half)
    with torch.inference_mode():
        expected = network(seen)
        found = stack(seen)
        assert found.shape == expected.shape
        assert (found - expected).abs().max() < most * expected.abs().max()
        assert torch.equal(stack(seen), found)
        with ThreadPoolExecutor(4) as pool:
            assert all(torch.equal(other, found) for other in pool.map(stack, [seen] * 8))


def test_networks_of_another_shape_are_left_to_torch() -> None:
    assert Stack.takes(ffn(2, 1, width=4, depth=2))
    assert not Stack.takes(ffn(2, 1, width=4, depth=2, normalization="layer"))
    assert not Stack.takes(ffn(2, 1, width=4, depth=2, flat_modules=1))
    assert not Stack.takes(torch.nn.Conv3d(2, 1, 3))


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
@pytest.mark.parametrize("normalization", ["none", "layer"])
def test_every_precision_gives_nearly_the_same(precision: str, normalization: str) -> None:
    from segkit_ffn._stepping import Step

    torch.manual_seed(0)
    network = ffn(2, 1, width=8, depth=3, normalization=normalization)
    images = np.random.default_rng(0).normal(size=(2, 1, 9, 9, 9)).astype(np.float32)
    logits = np.full((2, 9, 9, 9), -2.9, np.float32)
    exact, found = (Step(network, one)(images, logits) for one in ("exact", precision))  # type: ignore[arg-type]
    assert found.dtype == np.float32
    assert np.abs(found - exact).max() < 0.15 * np.abs(exact - logits).max()
    with torch.inference_mode():
        plain = network(torch.from_numpy(np.concatenate([images, logits[:, None]], 1)))[:, 0].numpy() + logits
    assert np.array_equal(exact, plain)


def test_processors_without_bfloat16_round_it_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    import numba

    from segkit_ffn import _lanes

    def spread_with(native: object) -> np.ndarray:
        monkeypatch.setattr(_lanes, "_NATIVE", native)
        source = np.random.default_rng(0).normal(size=5 * 5 * 5 * 16).astype(np.float32)
        out, scratch = np.zeros(125 * 16, np.uint16), np.zeros(125 * 16, np.float32)
        numba.njit(_lanes.spread.py_func)(source, 5, 5, 16, (1, 0, 0, 1), out, scratch)  # not the kept code
        return out

    native = _lanes._NATIVE
    own = spread_with(None)
    assert len(np.unique(own)) > 500
    assert np.array_equal(spread_with(native), own)


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-5), ("bfloat16", 0.15)])
@pytest.mark.parametrize("fault", ["no library", "no code", "wrong"])
def test_torch_takes_over_where_fast_convolutions_do_not_work(
    precision: str, most: float, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segkit_ffn import _stack, _winograd
    from segkit_ffn._stepping import Step

    def refuse(*_: object) -> None:
        raise RuntimeError("LLVM does not know this processor\nand more")

    torch.manual_seed(0)
    network = ffn(2, 1, width=8, depth=3)
    images = np.random.default_rng(0).normal(size=(2, 1, 9, 9, 9)).astype(np.float32)
    logits = np.full((2, 9, 9, 9), -2.9, np.float32)
    fast = Step(network, precision)(images, logits)  # type: ignore[arg-type]
    if fault == "no library":
        for name in ("segkit_ffn._stack", "llvmlite.binding"):
            monkeypatch.setitem(sys.modules, name, None)
    elif fault == "no code":
        monkeypatch.setattr(_winograd, "spread", refuse)
    else:
        monkeypatch.setattr(_stack, "convolve", lambda *_: None)
    with pytest.warns(
        SegkitWarning, match=r"Fast convolutions do not work here \([^\n]+\)\. The network is computed by torch"
    ):
        slow = Step(network, precision)  # type: ignore[arg-type]
    found, exact = slow(images, logits), Step(network, "exact")(images, logits)
    largest = np.abs(exact - logits).max()
    assert np.abs(found - exact).max() < most * largest
    assert np.abs(found - fast).max() < 2 * most * largest
