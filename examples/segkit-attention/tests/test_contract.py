"""Everything this plugin offers keeps segkit's contract."""

import pytest
import torch

import segkit
from segkit.testing import check_architecture, check_component, components


@pytest.mark.parametrize("component", components("attention"), ids=str)
def test_contract(component):
    check_component(component)


@pytest.mark.parametrize("shape", [(1, 17, 23), (5, 9, 7), (8, 16, 16)])
def test_any_extent(shape):
    check_architecture(segkit.architectures["attention_net"], {"width": 8, "heads": 3}, shape=shape)


def test_far_voxels_see_each_other():
    network = segkit.architectures["attention_net"](1, 1, width=4)
    raw = torch.zeros(1, 1, 1, 8, 64, requires_grad=True)
    network(raw)[0, 0, 0, 4, 0].backward()
    assert raw.grad[..., 60:].abs().sum() > 0


def test_a_missed_voxel_may_cost_more():
    logits = torch.full((1, 1, 4, 4, 4), -3.0)
    everything, mask = torch.ones(1, 1, 4, 4, 4), torch.ones(1, 1, 4, 4, 4)
    cheap, dear = (segkit.losses["tversky_squared"](miss=miss)(logits, everything, mask) for miss in (1.0, 5.0))
    assert dear > cheap


def test_class_indices_are_refused():
    loss = segkit.losses["tversky_squared"]()
    with pytest.raises(ValueError, match="independent channels"):
        loss(torch.zeros(1, 2, 4, 4, 4), torch.zeros(1, 4, 4, 4, dtype=torch.int64), torch.ones(1, 1, 4, 4, 4))
