from math import sqrt

import pytest
import torch
from torch import nn

import segkit
import segkit_initializers as initializers
from segkit.errors import UsageError

ALL = {
    "kaiming": initializers.kaiming(),
    "kaiming uniform": initializers.kaiming(distribution="uniform", fan="out"),
    "xavier": initializers.xavier(),
    "orthogonal": initializers.orthogonal(),
    "zero_last": initializers.zero_last(others="kaiming"),
}
everyone = pytest.mark.parametrize("initialize", ALL.values(), ids=ALL.keys())


def layers():
    return nn.Sequential(
        nn.Conv3d(4, 8, 3),
        nn.GroupNorm(2, 8),
        nn.ConvTranspose3d(8, 4, 2, stride=2),
        nn.BatchNorm3d(4),
        nn.InstanceNorm3d(4, affine=True),
        nn.InstanceNorm3d(4),
        nn.Flatten(),
        nn.LayerNorm(32),
        nn.Linear(32, 8),
        nn.Linear(8, 8, bias=False),
        nn.Linear(8, 3),
    )


@everyone
def test_all_layers_are_set_and_the_same_seed_repeats_them(initialize):
    first, second = layers(), layers()
    for network in (first, second):
        for parameter in network.parameters():
            nn.init.constant_(parameter, 7)
        torch.manual_seed(3)
        initialize(network)
    for (name, value), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(value, other)
        assert not (value == 7).any(), name
    for index in (1, 3, 4, 7):
        assert (first[index].weight == 1).all()
        assert (first[index].bias == 0).all()
    assert all((first[index].bias == 0).all() for index in (0, 2, 8, 10))


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
@pytest.mark.parametrize(
    ("layer", "reads", "feeds"),
    [
        (nn.Linear(200, 300), 200, 300),
        (nn.Conv2d(64, 32, 3), 576, 288),
        (nn.Conv2d(64, 32, 3, groups=4), 144, 72),
        (nn.Conv3d(16, 24, (1, 3, 3)), 144, 216),
        (nn.ConvTranspose3d(64, 32, 2, stride=2), 64, 256),
        (nn.ConvTranspose2d(32, 64, 4, stride=2, groups=2), 64, 512),
    ],
)
def test_variances(layer, reads, feeds, distribution):
    torch.manual_seed(0)
    for initialize, variance in [
        (initializers.kaiming(slope=0.0, distribution=distribution), 2 / reads),
        (initializers.kaiming(fan="out", slope=1.0, distribution=distribution), 1 / feeds),
        (initializers.xavier(gain=3.0, distribution=distribution), 9 * 2 / (reads + feeds)),
    ]:
        initialize(layer)
        assert layer.weight.std().item() == pytest.approx(sqrt(variance), rel=0.05)
        assert abs(layer.weight.mean().item()) < 0.1 * sqrt(variance)
        if distribution == "uniform":
            assert layer.weight.abs().max().item() <= sqrt(3 * variance) + 1e-6


def test_it_agrees_with_torch_on_plain_convolutions():
    layer = nn.Conv3d(4, 8, 3)
    torch.manual_seed(1)
    initializers.kaiming(slope=0.0)(layer)
    expected = torch.empty_like(layer.weight)
    torch.manual_seed(1)
    nn.init.kaiming_normal_(expected, nonlinearity="relu")
    torch.testing.assert_close(layer.weight.detach(), expected)


def test_kaiming_keeps_the_signal_through_a_deep_network_and_its_transposed_layers():
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Conv2d(32, 32, 3, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 32, 2, 2), nn.ReLU())] * 6
    network = nn.Sequential(*blocks)
    initializers.kaiming(slope=0.0)(network)
    assert 0.1 < network(torch.randn(2, 32, 32, 32)).square().mean().item() < 10


def test_orthogonal_rows_are_orthogonal():
    network = nn.Sequential(nn.Linear(20, 10), nn.Conv3d(4, 8, 3))
    initializers.orthogonal(gain=2.0)(network)
    for layer in network:
        rows = layer.weight.detach().flatten(1)
        torch.testing.assert_close(rows @ rows.T, 4 * torch.eye(len(rows)), rtol=1e-4, atol=1e-4)


def test_a_zero_last_layer_predicts_the_foreground_and_learns():
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 2, 1))
    before = network[0].weight.detach().clone()
    initializers.zero_last(foreground=0.01)(network)
    assert torch.equal(network[0].weight, before)
    raw = torch.randn(1, 1, 4, 4, 4)
    torch.testing.assert_close(torch.sigmoid(network(raw)), torch.full((1, 2, 4, 4, 4), 0.01))
    network(raw).square().sum().backward()
    assert network[2].weight.grad.abs().max() > 0
    initializers.zero_last()(network)
    assert (network(raw) == 0).all()


def test_zero_last_says_what_is_missing():
    with pytest.raises(UsageError, match="ReLU without any convolution"):
        initializers.zero_last()(nn.ReLU())
    with pytest.raises(UsageError, match=r"foreground` is 0.1, but the last layer of Sequential has no bias"):
        initializers.zero_last(foreground=0.1)(nn.Sequential(nn.Conv3d(1, 1, 1, bias=False)))


def test_the_registry_validates_options(isolated_plugins):
    segkit.register(initializers, "initializers")
    assert set(segkit.initializers) == {"fixup", "kaiming", "orthogonal", "rezero", "xavier", "zero_last"}
    for component in segkit.initializers.values():
        assert all(parameter.help for parameter in component.parameters)
    with pytest.raises(UsageError, match="foreground"):
        segkit.initializers["zero_last"](foreground=1.0)
    with pytest.raises(UsageError, match="fan"):
        segkit.initializers["kaiming"](fan="sideways")
