"""Fully connected networks, the initializers that let deep ones train, and the points of manifolds they learn from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import segkit
from segkit.errors import UsageError
from segkit.training import Step, fit, fit_events


def points(count: int = 5) -> torch.Tensor:
    return torch.randn(1, 6, 1, 1, count, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["deep_fc", "simple_fc"])
def test_vectors_know_nothing_of_each_other(name: str) -> None:
    network = segkit.architectures[name](6, 3, width=8, depth=2).eval()
    alone = network(points()[..., 2:3])
    assert torch.allclose(network(points())[..., 2:3], alone, atol=1e-6)


@pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
def test_rezero_begins_without_the_blocks(normalization: str) -> None:
    network = segkit.architectures["deep_fc"](6, 6, width=8, depth=30, normalization=normalization)
    segkit.initializers["rezero"]()(network)
    first, *_, norm, act, last = network.layers
    vectors = points()[0, :, 0, 0].T
    assert torch.allclose(network(points())[0, :, 0, 0].T, last(act(norm(first(vectors)))), atol=1e-6)


def test_fixup_scales_inner_layers_by_depth_and_zeroes_the_last_ones() -> None:
    torch.manual_seed(0)
    network = segkit.architectures["deep_fc"](6, 6, width=400, depth=16)
    segkit.initializers["fixup"]()(network)
    assert not network(points()).any()
    for block in (m for m in network.modules() if hasattr(m, "residual_branch")):
        inner, last = (m for m in block.residual_branch if isinstance(m, nn.Linear))
        assert not last.weight.any()
        # He's deviation, sqrt(2 / 400), times 16 ** (-1 / 2)
        assert float(inner.weight.detach().std()) == pytest.approx((2 / 400) ** 0.5 / 4, rel=0.03)


def resunet(normalization: str) -> nn.Module:
    return segkit.architectures["attention_resunet"](1, 1, width=4, depth=1, normalization=normalization)


@pytest.mark.parametrize(
    ("initializer", "normalization"), [("fixup", "none"), ("fixup", "instance"), ("rezero", "instance")]
)
def test_branches_of_convolutional_networks_begin_at_zero(initializer: str, normalization: str) -> None:
    network = resunet(normalization)
    segkit.initializers[initializer]()(network)
    blocks = [m for m in network.modules() if hasattr(m, "residual_branch")]
    assert len(blocks) == 3
    for block in blocks:
        features = torch.randn(2, block.residual_branch[0][0].in_channels, 4, 4, 4)
        assert not block.residual_branch(features).any()


def test_networks_without_branches_or_factors_are_refused() -> None:
    with pytest.raises(UsageError, match="no module has a `residual_branch`"):
        segkit.initializers["fixup"]()(segkit.architectures["simple_fc"](2, 2, width=4))
    with pytest.raises(UsageError, match="no `residual_gate`, and no normalisation ends its branch"):
        segkit.initializers["rezero"]()(resunet("none"))


@pytest.mark.parametrize(("initializer", "normalization"), [("fixup", "none"), ("rezero", "instance")])
def test_a_convolutional_residual_network_trains_from_there(initializer: str, normalization: str, tmp_path) -> None:
    beads = {"name": "synthetic_beads", "shape": [48, 48], "count": 2, "fewest": 3, "most": 8}
    recipe = segkit.Recipe.from_mapping(
        {
            "task": {"name": "semantic"},
            "architecture": {
                "name": "attention_resunet",
                "dimensions": "2d",
                "width": 4,
                "depth": 2,
                "normalization": normalization,
            },
            "initializer": {"name": initializer},
            "loss": [{"name": "bce"}],
            "dataset": beads,
            "validation_dataset": beads | {"seed": 1},
            "sampling": {"patch_shape": [1, 32, 32], "batch_size": 4},
            "optimizer": {"name": "adam", "learning_rate": 1e-2},
            "training": {"steps": 40, "validate_every": 40},
        }
    )
    losses = [event.loss for event in fit_events(recipe, tmp_path / "run") if isinstance(event, Step)]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])


PLACES = {"circle": 2, "clifford_torus": 4, "moment_curve": 16}


@pytest.mark.parametrize(
    "manifold", ["circle", "sphere", "torus", "swiss_roll", "moebius", "knot", "clifford_torus", "moment_curve"]
)
def test_points_lie_on_one_manifold_with_noise_of_the_size_asked_for(manifold: str) -> None:
    places = PLACES.get(manifold, 3)
    (one,), (other,) = (
        segkit.datasets["manifold_points"](manifold=manifold, dimensions=20, points=20_000, noise=0.1, draw=draw)
        for draw in (0, 1)
    )
    clean = [sample.labels.read()[:, 0, 0] for sample in (one, other)]
    for points in clean:
        assert np.square(points).sum(0).mean() == pytest.approx(1, abs=0.02)
        assert np.linalg.matrix_rank(points, tol=1e-3) == places
    assert np.linalg.matrix_rank(np.concatenate(clean, 1), tol=1e-3) == places  # turned alike
    assert not np.array_equal(*clean)
    noise = one.raw.read()[:, 0, 0] - clean[0]
    assert noise.std() == pytest.approx(0.1, rel=0.02)


def test_manifolds_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="needs 3 dimensions"):
        segkit.datasets["manifold_points"](manifold="torus", dimensions=2)
    with pytest.raises(UsageError, match="at most"):
        segkit.datasets["manifold_points"](points=2**25, dimensions=16)


def test_a_deep_denoiser_trains_as_any_network(tmp_path) -> None:
    recipe = segkit.Recipe.from_mapping(
        {
            "task": {"name": "regression", "channels": 4},
            "architecture": {"name": "deep_fc", "width": 16, "depth": 12},
            "initializer": {"name": "fixup"},
            "loss": [{"name": "mse"}],
            "dataset": {"name": "manifold_points", "manifold": "circle", "dimensions": 4, "points": 512},
            "validation_dataset": {
                "name": "manifold_points",
                "manifold": "circle",
                "dimensions": 4,
                "points": 256,
                "draw": 1,
            },
            "sampling": {"patch_shape": [1, 1, 64], "foreground": 0.0, "normalization": "none"},
            "optimizer": {"name": "adam", "learning_rate": 3e-3},
            "training": {"steps": 60, "validate_every": 60},
        }
    )
    fit(recipe, tmp_path / "run")
    last = (tmp_path / "run" / "history.csv").read_text().splitlines()[-1].split(",")
    header = (tmp_path / "run" / "history.csv").read_text().splitlines()[0].split(",")
    assert float(last[header.index("mse")]) < 0.05  # the points alone have a mean square of 0.25


def test_the_learning_rate_is_scaled_by_depth(tmp_path) -> None:
    points = {"name": "manifold_points", "manifold": "circle", "dimensions": 2, "points": 64}
    tables = {
        "task": {"name": "regression", "channels": 2},
        "architecture": {"name": "deep_fc", "width": 4, "depth": 16},
        "loss": [{"name": "mse"}],
        "dataset": points,
        "validation_dataset": points | {"draw": 1},
        "sampling": {"patch_shape": [1, 1, 16], "foreground": 0.0},
        "optimizer": {"learning_rate": 1e-2, "depth_power": 0.5},
        "schedule": {"name": "fixed"},
        "training": {"steps": 1},
    }
    events = list(fit_events(segkit.Recipe.from_mapping(tables), tmp_path / "deep"))
    assert [e.learning_rate for e in events if isinstance(e, Step)] == [pytest.approx(1e-2 / 4)]
    plain = segkit.Recipe.from_mapping(tables | {"architecture": {"name": "simple_fc", "width": 4}})
    with pytest.raises(UsageError, match=r"`optimizer.depth_power` is 0.5, but no module of this SimpleFC"):
        list(fit_events(plain, tmp_path / "plain"))
