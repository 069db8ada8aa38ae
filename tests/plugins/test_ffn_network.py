"""The flood-filling network: its published layout, what its voxels depend on, and its options."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import segkit
from segkit.errors import UsageError
from segkit.testing import check_architecture


def build(**options: object) -> nn.Module:
    torch.manual_seed(3)
    network: nn.Module = segkit.architectures["ffn"](2, 1, **options)
    return network.eval()


def test_the_published_layout() -> None:
    """Depth 12 and width 32 are 25 convolutions of 638 433 numbers, computed as the paper says."""
    network = build(width=32, depth=12)
    assert sum(weight.numel() for weight in network.parameters()) == 638_433
    assert sum(isinstance(module, nn.Conv3d) for module in network.modules()) == 25
    assert network.halo == (24, 24, 24)
    assert network.stride == (1, 1, 1)

    small = build(width=4, depth=3)
    weights = small.state_dict()
    assert len(weights) == 14

    def convolve(features: Tensor, name: str) -> Tensor:
        weight = weights[f"{name}.weight"]
        return F.conv3d(features, weight, weights[f"{name}.bias"], padding=weight.shape[-1] // 2)

    raw = torch.randn(2, 2, 7, 8, 9)
    features = convolve(F.relu(convolve(raw, "first.a")), "first.b")
    for index in range(2):
        change = convolve(F.relu(features), f"residuals.{index}.pair.a")
        features = features + convolve(F.relu(change), f"residuals.{index}.pair.b")
    expected = convolve(F.relu(features), "last")
    with torch.no_grad():
        assert torch.allclose(small(raw), expected, atol=1e-6)


@pytest.mark.parametrize("normalization", ["none", "layer"])
@pytest.mark.parametrize(("flat", "halo"), [(0, (4, 4, 4)), (1, (2, 4, 4)), (2, (0, 4, 4))])
def test_a_voxel_depends_on_its_halo_alone(normalization: str, flat: int, halo: tuple[int, int, int]) -> None:
    network = build(width=4, depth=2, normalization=normalization, flat_modules=flat)
    assert network.halo == halo
    raw = torch.randn(1, 2, 13, 13, 13, requires_grad=True)
    network(raw)[0, 0, 6, 6, 6].backward()
    assert raw.grad is not None
    touched = raw.grad[0].abs().sum(0).nonzero()
    assert touched.amin(0).tolist() == [6 - h for h in halo]
    assert touched.amax(0).tolist() == [6 + h for h in halo]


@pytest.mark.parametrize("normalization", ["none", "layer", "group", "batch"])
def test_options_keep_the_contract(normalization: str) -> None:
    options = {"width": 6, "depth": 3, "normalization": normalization, "dropout": 0.2, "flat_modules": 1}
    check_architecture(segkit.architectures["ffn"], options, shape=(4, 8, 8))


def test_weights_begin_in_the_range_of_glorot_and_bengio() -> None:
    network = build(width=16, depth=2)
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            voxels = module.weight[0, 0].numel()
            bound = (6 / (voxels * (module.in_channels + module.out_channels))) ** 0.5
            assert 0.8 * bound < module.weight.abs().max() <= bound
            assert not module.bias.any()  # type: ignore[union-attr]


def test_more_flat_modules_than_modules_are_refused() -> None:
    with pytest.raises(UsageError, match="Take at most 2"):
        build(depth=2, flat_modules=3)
