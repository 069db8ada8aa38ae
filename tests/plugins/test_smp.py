import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch

import segkit
import segkit_smp
from segkit.contracts import call_network
from segkit.errors import DataError, PluginError, StorageError, UnknownNameError, UsageError

NAMES = [f"smp_{kind.lower()}" for kind in segkit_smp.KINDS]


@pytest.fixture
def architectures(isolated_plugins):
    segkit.register(segkit_smp, "smp")
    return segkit.architectures


@pytest.fixture(scope="module")
def smp():
    if find_spec("segmentation_models_pytorch") is None:
        pytest.skip("the extra 'smp' is not installed")
    from segkit_smp._torchvision import import_smp

    return import_smp()


def test_listing_imports_nothing_heavy():
    code = (
        "import sys, segkit, segkit_smp; names = segkit_smp.segkit_architectures(); "
        "heavy = {'torch', 'timm', 'torchvision', 'segmentation_models_pytorch'} & set(sys.modules); "
        "print(len(names), sorted(heavy))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split() == ["12", "[]"], result.stderr


def test_the_table_is_the_list_of_the_library(smp):
    assert set(segkit_smp.KINDS) == {kind.__name__ for kind in smp.MODEL_ARCHITECTURES_MAPPING.values()}


def test_options_are_described(architectures):
    assert sorted(architectures) == sorted(NAMES)
    for name in NAMES:
        assert all(parameter.help for parameter in architectures[name].parameters)
        assert [parameter.name for parameter in architectures[name].parameters] == ["encoder", "weights", "depth"]
    assert "None for 3." in architectures["smp_pspnet"].parameters[2].help
    with pytest.raises(UsageError, match="depth"):
        architectures["smp_unet"](1, 1, depth=2)


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(PluginError, match=r"segmentation_models_pytorch.*pip install 'segkit-sdk\[(smp|all)\]'"):
        segkit.architectures["smp_unet"](1, 1)


@pytest.mark.parametrize(
    ("name", "depth"),
    [("smp_unet", 5), ("smp_unet", 3), ("smp_manet", 4), ("smp_fpn", 4), ("smp_pspnet", 4), ("smp_segformer", 3)],
)
def test_any_extent_is_kept(smp, architectures, name, depth):
    network = architectures[name](2, 3, depth=depth)
    assert network.planar
    assert network.stride == (1, 2**depth, 2**depth)
    assert call_network(network, torch.randn(1, 2, 2, 70, 33)).shape == (1, 3, 2, 70, 33)
    assert network(torch.randn(1, 2, 1, 1)).shape == (1, 3, 1, 1)


@pytest.mark.parametrize("name", ["smp_deeplabv3plus", "smp_pan"])
def test_tiny_planes_are_padded(smp, architectures, name):
    network = architectures[name](1, 2)
    assert network.training
    assert network(torch.randn(2, 1, 16, 20)).shape == (2, 2, 16, 20)


@pytest.mark.parametrize("encoder", ["mit_b0", "mobilenet_v2", "efficientnet-b0", "tu-resnet10t"])
def test_encoders_take_any_number_of_channels(smp, architectures, encoder):
    network = architectures["smp_unet"](5, 1, encoder=encoder).eval()
    first, second = torch.randn(2, 1, 5, 64, 64)
    with torch.inference_mode():
        assert network(first).shape == (1, 1, 64, 64)
        assert not torch.equal(network(first), network(second))


def test_padding_does_not_reach_the_result_of_what_needs_none(smp, architectures):
    network = architectures["smp_unet"](1, 1).eval()
    raw = torch.randn(1, 1, 64, 96)
    with torch.inference_mode():
        assert torch.equal(network(raw), network.network(raw))


def test_the_seed_of_torch_decides_the_weights(smp, architectures):
    states = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        states.append(architectures["smp_linknet"](1, 1).state_dict())
    same = [all(torch.equal(states[0][key], other[key]) for key in other) for other in states[1:]]
    assert same == [True, False]
    assert torch.equal(states[0]["network.encoder.bn1.running_mean"], torch.zeros(64))


def test_weights_without_influence_are_frozen(smp, architectures):
    network = architectures["smp_unet"](1, 1, depth=3)
    frozen = {name.split(".")[2] for name, weight in network.named_parameters() if not weight.requires_grad}
    assert frozen == {"layer3", "layer4"}
    network(torch.randn(2, 1, 32, 32)).mean().backward()
    assert all(weight.grad is not None for weight in network.parameters() if weight.requires_grad)


def test_a_batch_of_one_is_refused_where_it_cannot_be_normalised(smp, architectures):
    network = architectures["smp_deeplabv3"](1, 1)
    with pytest.raises(DataError, match=r"'smp_deeplabv3' was given a single plane of 32 x 40.*larger batch"):
        network(torch.randn(1, 1, 32, 40))
    assert network.eval()(torch.randn(1, 1, 32, 40)).shape == (1, 1, 32, 40)


def test_unknown_names_are_refused(smp, architectures):
    with pytest.raises(UnknownNameError, match=r"`architecture.encoder` is 'resnet19'.*Did you mean 'resnet18'"):
        architectures["smp_unet"](1, 1, encoder="resnet19")
    with pytest.raises(UnknownNameError, match=r"'tu-resnet10s'.*Did you mean 'tu-resnet"):
        architectures["smp_unet"](1, 1, encoder="tu-resnet10s")
    with pytest.raises(UnknownNameError, match=r"`architecture.weights` is 'imagnet'.*Did you mean 'imagenet'"):
        architectures["smp_unet"](1, 1, weights="imagnet")
    with pytest.raises(UsageError, match="mit_b0"):
        architectures["smp_linknet"](1, 1, encoder="mit_b0")
    with pytest.raises(UsageError, match="must start with 'tu-'"):
        architectures["smp_dpt"](1, 1, encoder="resnet18")


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet10t"])
def test_weights_out_of_reach_are_named(smp, architectures, encoder, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(StorageError, match=rf"`architecture.weights` is 'imagenet'.*encoder '{encoder}'.*Leave it out"):
        architectures["smp_unet"](1, 1, encoder=encoder, weights="imagenet")
