"""Looking up components: bare and qualified names, clashes, and what a component says when it cannot be built."""

from __future__ import annotations

import types
from typing import Annotated

import pytest
from annotated_types import Ge

import segkit
from segkit.errors import (
    AmbiguousNameError,
    DataError,
    PluginError,
    SegkitError,
    StorageError,
    UnknownNameError,
    UsageError,
)
from segkit.registry import KINDS, registries


def dice(*, smooth: Annotated[float, Ge(0)] = 1.0):
    """Overlap of two sets.

    Parameters
    ----------
    smooth
        Added to both.
    """
    return lambda logits, target, mask: smooth


def network(inputs: int, outputs: int, *, width: int = 8):
    """A network of nothing."""
    return types.SimpleNamespace(forward=None, state_dict=None, made=(inputs, outputs, width))


def offer(name: str, **components: dict) -> None:
    """Register a plugin that offers components by kind."""
    hooks = {
        f"segkit_{kind}": segkit.hookimpl(lambda found=found: found, specname=f"segkit_{kind}")
        for kind, found in components.items()
    }
    segkit.register(types.SimpleNamespace(**hooks), name)


@pytest.fixture(autouse=True)
def _two_plugins(isolated_plugins: object) -> None:
    offer("one", losses={"dice": dice, "jaccard": dice}, architectures={"net": network})
    offer("two", losses={"dice": dice})


def test_bare_and_qualified_names() -> None:
    assert segkit.losses["jaccard"] is segkit.losses["one:jaccard"]
    assert segkit.losses["two:dice"].plugin.name == "two"


def test_a_clash_hurts_only_who_asks_for_it() -> None:
    assert list(segkit.losses) == ["one:dice", "two:dice", "jaccard"]
    assert len(segkit.losses) == 3
    assert "dice" in segkit.losses
    for ask in (segkit.losses.__getitem__, segkit.losses.get):
        with pytest.raises(AmbiguousNameError, match="the loss 'dice'. Say which: 'one:dice' or 'two:dice'"):
            ask("dice")


def test_the_clash_ends_with_the_plugin() -> None:
    segkit.unregister("two")
    assert segkit.losses["dice"].qualified == "one:dice"
    assert list(segkit.losses) == ["dice", "jaccard"]


def test_iterating_gives_names_that_can_be_looked_up() -> None:
    assert [component.qualified for component in segkit.losses.values()] == ["one:dice", "two:dice", "one:jaccard"]
    assert dict(segkit.losses.items())["jaccard"] == segkit.losses["jaccard"]


@pytest.mark.parametrize("name", ["dise", "three:dice", "one:dise", "", ":"])
def test_an_unknown_name_is_explained(name: str) -> None:
    assert name not in segkit.losses
    assert segkit.losses.get(name) is None
    assert segkit.losses.get(name, 3) == 3
    with pytest.raises(UnknownNameError, match=rf"no loss '{name}'.*Installed: jaccard, one:dice, two:dice"):
        segkit.losses[name]


def test_an_unknown_name_brings_a_suggestion() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'jaccard'"):
        segkit.losses["jacard"]
    assert 3 not in segkit.losses


def test_an_unknown_name_is_looked_for_in_descriptions() -> None:
    with pytest.raises(
        UnknownNameError, match=r"no loss 'overlap_loss'\. The description of 'one:dice', 'two:dice', 'ja"
    ):
        segkit.losses["overlap_loss"]
    offer("three", losses={"many": dice})
    with pytest.raises(UnknownNameError, match=r"no loss 'overlap'\. Installed"):  # it would be no hint any more
        segkit.losses["overlap"]
    with pytest.raises(
        UnknownNameError, match=r"no architecture 'nothing'\. The description of 'net' speaks of that\."
    ):
        segkit.architectures["nothing"]


def test_messages_are_no_repr() -> None:
    with pytest.raises(LookupError) as caught:
        segkit.losses["nope"]
    assert str(caught.value).startswith("There is no loss 'nope'. Installed")


def test_a_component_describes_itself() -> None:
    component = segkit.losses["one:dice"]
    assert str(component) == "loss one:dice"
    assert component.summary == "Overlap of two sets."
    assert [p.name for p in component.parameters] == ["smooth"]
    assert component.bind({}) == {"smooth": 1.0}


def test_building_checks_the_options() -> None:
    assert segkit.losses["jaccard"](smooth=2)(0, 0, 0) == 2
    with pytest.raises(UsageError, match=r"`loss\.smooth` is -1: .*It takes float >= 0"):
        segkit.losses["jaccard"](smooth=-1)
    with pytest.raises(UnknownNameError, match=r"no option `loss\.smoth`\. Did you mean 'smooth'"):
        segkit.losses["jaccard"](smoth=1)


def test_wiring_may_be_given_by_name() -> None:
    net = segkit.architectures["net"]
    assert net(1, 2).made == net(1, out_channels=2).made == net(in_channels=1, out_channels=2).made == (1, 2, 8)
    assert net(1, 2, width=3).made == (1, 2, 3)
    with pytest.raises(UsageError, match="called with 1 positional values. Give it in_channels, out_channels"):
        net(1)
    with pytest.raises(UsageError, match="called with 1 positional values. Give its options by name"):
        segkit.losses["jaccard"](1.0)


def failing(error: Exception):
    """Return a factory that raises."""

    def factory():
        """Fail."""
        raise error

    return factory


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (ValueError("a and b clash"), UsageError, "Loss 'bad:bad' refused its options: a and b clash"),
        (TypeError("a bug"), PluginError, "Loss 'bad:bad' failed: TypeError: a bug. Report this to the authors of bad"),
        (DataError("no such file"), DataError, "^no such file$"),
        (StorageError("disk full"), StorageError, "^disk full$"),
        (FileNotFoundError(2, "gone", "a.tif"), FileNotFoundError, "gone"),
        (ImportError("no xyzzy", name="xyzzy"), PluginError, "Install the package that provides it"),
        (ImportError("old json", name="json.x"), PluginError, "'json' itself is installed; its version may not fit"),
    ],
)
def test_what_a_factory_raises(raised: Exception, expected: type[Exception], message: str) -> None:
    offer("bad", losses={"bad": failing(raised)})
    with pytest.raises(expected, match=message) as caught:
        segkit.losses["bad"]()
    assert type(caught.value) is expected


def test_a_result_that_breaks_the_contract() -> None:
    offer("bad", architectures={"bad": lambda a, b: 3})
    with pytest.raises(PluginError, match="Architecture 'bad:bad' built int, which has no forward, state_dict. Report"):
        segkit.architectures["bad"](1, 1)


def test_kinds_are_the_hooks_and_the_registries() -> None:
    from segkit import hookspecs

    hooks = {name for name in vars(hookspecs) if name.startswith("segkit_")}
    assert hooks == {kind.hook for kind in KINDS.values()}
    assert list(registries) == list(KINDS)
    assert set(KINDS) <= set(dir(segkit))


def test_repr_names_what_there_is() -> None:
    assert repr(segkit.architectures) == "<segkit architectures: net>"


def test_all_are_segkit_errors() -> None:
    assert issubclass(AmbiguousNameError, SegkitError)
    with pytest.raises(AttributeError, match="module 'segkit' has no attribute 'networks'"):
        segkit.networks  # noqa: B018
