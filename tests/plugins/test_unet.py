import pytest
import torch

import segkit
from segkit.contracts import call_network
from segkit.errors import UsageError
from segkit_unet import attention_resunet, attention_unet, unet
from segkit_unet._attention import AttentionGate, SelfAttention
from segkit_unet._blocks import Layers
from segkit_unet._levels import Levels

FAMILY = [unet, attention_unet, attention_resunet]
SMALL = {"width": 4, "depth": 2}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("factory", FAMILY)
@pytest.mark.parametrize("upsampling", ["transposed", "linear"])
@pytest.mark.parametrize("extent", [(8, 16, 16), (5, 13, 7), (1, 9, 9), (1, 1, 1)])
def test_any_extent_is_kept(factory, upsampling, extent):
    network = factory(2, 3, upsampling=upsampling, **SMALL)
    assert network(torch.randn(2, 2, *extent)).shape == (2, 3, *extent)
    planes = factory(2, 3, dimensions="2d", upsampling=upsampling, **SMALL)
    assert planes.planar
    assert call_network(planes, torch.randn(2, 2, *extent)).shape == (2, 3, *extent)


@pytest.mark.parametrize("factory", FAMILY)
def test_the_defaults_take_a_tiny_patch(factory):
    network = factory(1, 1)
    assert network(torch.zeros(1, 1, 16, 32, 32)).shape == (1, 1, 16, 32, 32)
    assert (network.planar, network.stride, network.halo) == (False, (16, 16, 16), (32, 32, 32))


@pytest.mark.parametrize("normalization", ["instance", "group"])
@pytest.mark.parametrize("dimensions", ["3d", "2d"])
def test_one_element_at_the_bottom_trains(normalization, dimensions):
    network = attention_resunet(1, 1, normalization=normalization, dimensions=dimensions, **SMALL)
    raw = torch.randn((1, 1, 4, 4, 4) if dimensions == "3d" else (1, 1, 4, 4))
    network(raw).square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_own_group_normalisation_is_the_one_of_torch():
    layers = Layers(False, "instance", "relu", 0.0)
    features = torch.randn(2, 6, 3, 4, 5)
    reference = torch.nn.functional.instance_norm(features)
    torch.testing.assert_close(layers.norm(6)(features), reference)


@pytest.mark.parametrize("factory", FAMILY)
@pytest.mark.parametrize("upsampling", ["transposed", "linear"])
def test_nothing_beyond_reach_matters_and_its_border_does(factory, upsampling):
    network = factory(
        1, 1, dimensions="2d", width=4, depth=2, normalization="none", activation="elu", upsampling=upsampling
    ).double()
    size, stride = 96, network.stride[1]
    seen = 0
    for at in range(size // 2, size // 2 + stride):
        raw = torch.randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(network(raw)[0, 0, at, at], raw)
        rows, columns = torch.nonzero(gradient[0, 0], as_tuple=True)
        seen = max(seen, int((rows - at).abs().max()), int((columns - at).abs().max()))
    assert network.reach[1] - stride < seen <= network.reach[1]


@pytest.mark.parametrize("factory", FAMILY)
@pytest.mark.parametrize("normalization", ["none", "batch"])
def test_a_block_with_its_halo_equals_the_whole(factory, normalization):
    network = factory(1, 2, dimensions="2d", width=4, depth=2, normalization=normalization).double().eval()
    raw = torch.randn(1, 1, 96, 112, dtype=torch.float64)
    _, halo, _ = network.halo
    assert halo % network.stride[1] == 0
    with torch.inference_mode():
        whole = network(raw)[..., 40:52, 48:60]
        part = network(raw[..., 40 - halo : 52 + halo, 48 - halo : 60 + halo])[..., halo:-halo, halo:-halo]
    torch.testing.assert_close(part, whole)


def test_flat_voxels_are_pooled_in_the_plane_until_they_are_cubes():
    levels = Levels.plan(4, anisotropy=5, planar=False)
    assert levels.kernels == ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3))
    assert levels.poolings == ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2))
    assert levels.stride == (4, 16, 16)
    assert Levels.plan(3, anisotropy=1.9, planar=False).stride == (8, 8, 8)
    assert Levels.plan(3, anisotropy=1, planar=True).stride == (1, 8, 8)
    network = attention_unet(1, 1, anisotropy=4, **SMALL)
    assert network.stride == (1, 4, 4)
    assert network.reach[0] == 2  # the two convolutions of the coarsest level
    assert network(torch.randn(1, 1, 3, 9, 9)).shape == (1, 1, 3, 9, 9)


def test_planes_do_not_see_each_other():
    network = unet(1, 1, dimensions="2d", **SMALL)
    raw = torch.randn(1, 1, 3, 16, 16)
    other = raw.clone()
    other[:, :, 1] += 1
    changed = (call_network(network, raw) != call_network(network, other)).any(-1).any(-1)
    assert changed.flatten().tolist() == [False, True, False]


def test_a_gate_only_weakens_and_follows_the_coarse_level():
    gate = AttentionGate(Layers(False, "instance", "relu", 0.0), 4, 8, (1, 2, 2))
    skip, coarse = torch.randn(1, 4, 2, 8, 8), torch.randn(1, 8, 2, 4, 4)
    assert (gate(skip, coarse).abs() <= skip.abs()).all()
    torch.nn.init.constant_(gate.score.bias, -200)
    assert gate(skip, coarse).abs().max() == 0


def test_memory_format_and_precision_change_nothing_that_matters():
    network = attention_resunet(1, 2, **SMALL).eval()
    raw = torch.randn(1, 1, 8, 16, 16)
    with torch.inference_mode():
        expected = network(raw)
        last = network.to(memory_format=torch.channels_last_3d)(raw.to(memory_format=torch.channels_last_3d))
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(raw)
    torch.testing.assert_close(last, expected, rtol=1e-4, atol=1e-4)
    assert rough.dtype == torch.bfloat16
    torch.testing.assert_close(rough.float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "gelu", "silu"])
def test_activations_differ(activation):
    network = unet(1, 1, dimensions="2d", activation=activation, **SMALL)
    kind = activation.replace("_", "").lower()
    assert any(type(module).__name__.lower() == kind for module in network.modules())


def test_dropout_acts_in_training_only():
    network = unet(1, 1, dropout=0.5, **SMALL)
    raw = torch.randn(1, 1, 8, 8, 8)
    assert not torch.equal(network(raw), network(raw))
    network.eval()
    assert torch.equal(network(raw), network(raw))


@pytest.mark.parametrize("factory", FAMILY)
def test_it_learns_one_patch(factory):
    network = factory(1, 1, dimensions="2d", **SMALL)
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    target = (((y - 12) ** 2 + (x - 18) ** 2) < 60).float()[None, None]
    raw = target + 0.3 * torch.randn(1, 1, 32, 32)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(30):
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(raw), target)
        loss.backward()
        optimizer.step()
    assert ((network(raw) > 0) == (target > 0)).float().mean() > 0.97


def test_the_registry_validates_the_shared_options(isolated_plugins):
    import segkit_unet

    segkit.register(segkit_unet, "unet")
    assert set(segkit.architectures) == {"unet", "attention_unet", "attention_resunet"}
    for component in segkit.architectures.values():
        assert component.summary.startswith("U-Net")
        assert all(parameter.help for parameter in component.parameters)
    with pytest.raises(UsageError, match="width"):
        segkit.architectures["unet"](1, 1, width=0)
    with pytest.raises(UsageError, match="anisotropy"):
        segkit.architectures["unet"](1, 1, anisotropy=0.5)


@pytest.mark.parametrize("factory", FAMILY)
@pytest.mark.parametrize("extent", [(5, 13, 7), (1, 1, 1)])
def test_self_attention_keeps_any_extent(factory, extent):
    network = factory(2, 3, bottleneck="self_attention", **SMALL)
    assert network(torch.randn(2, 2, *extent)).shape == (2, 3, *extent)
    planes = factory(2, 3, dimensions="2d", bottleneck="self_attention", **SMALL)
    assert call_network(planes, torch.randn(2, 2, *extent)).shape == (2, 3, *extent)


def test_self_attention_sees_all_of_its_sample_and_the_halo_says_that_none_is_enough():
    kinds = ("convolution", "self_attention")
    near, far = (
        unet(1, 1, dimensions="2d", width=4, depth=2, normalization="batch", bottleneck=kind).eval() for kind in kinds
    )
    assert near.reach == far.reach
    assert near.halo[1] >= near.reach[1]
    assert far.halo == (0, 8, 8)  # two strides
    for network, reaches in ((near, False), (far, True)):
        raw = torch.randn(2, 1, 96, 96, requires_grad=True)
        (gradient,) = torch.autograd.grad(network(raw)[0, 0, 8, 8], raw)
        assert bool(gradient[0, 0, 80:, 80:].abs().max() > 0) is reaches
        assert gradient[1].abs().max() == 0  # another sample


def test_self_attention_is_the_formula_for_every_head():
    layer = SelfAttention(128)
    assert layer.heads == 2
    assert [SelfAttention(channels).heads for channels in (16, 200, 1024)] == [1, 1, 16]
    features = torch.randn(2, 128, 3, 5)
    voxels = layer.norm(features.flatten(2).transpose(1, 2))
    query, key, value = layer.looked_for(voxels).split(128, -1)
    heads = []
    for part in (slice(0, 64), slice(64, 128)):
        alike = (query[..., part] @ key[..., part].transpose(1, 2) / 8).softmax(-1)
        heads.append(alike @ value[..., part])
    expected = features + layer.taken(torch.cat(heads, -1)).transpose(1, 2).reshape(features.shape)
    torch.testing.assert_close(layer(features), expected)


def test_self_attention_follows_its_input_around():
    layer = SelfAttention(16)
    features = torch.randn(1, 16, 4, 6)
    torch.testing.assert_close(layer(features.flip(-1)), layer(features).flip(-1))
