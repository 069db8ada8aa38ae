"""Broken plugins hurt nobody but themselves; each case is a real distribution in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

import segkit
from segkit._plugins import PluginManager
from segkit.errors import PluginError, PluginWarning, UnknownNameError

FIXTURES = Path(__file__).parent.parent / "fixtures" / "plugins"

REPORT = """
import json, sys, warnings
from contextlib import redirect_stdout
from io import StringIO
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import segkit
    infos = segkit.plugins()
    names = list(segkit.architectures)
    segkit.plugins()

def run(*words):
    from segkit.cli import main
    try:
        with redirect_stdout(StringIO()) as out:
            main(list(words))
    except SystemExit as end:
        return [end.code, out.getvalue()]

print(json.dumps({
    "warnings": [[w.category.__name__, str(w.message)] for w in caught],
    "infos": {f"{i.name} {i.distribution}".strip(): [i.version, i.error, i.traceback] for i in infos},
    "architectures": names,
    "losses": list(segkit.losses),
    "quiet": run("plugins"),
    "verbose": run("plugins", "--verbose"),
    "torch": "torch" in sys.modules,
}))
"""


def start(*cases: str, code: str = REPORT, **switches: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(FIXTURES / case) for case in cases)
    surroundings = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "default", **switches}
    return subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True, timeout=60)


def report(*cases: str, **switches: str) -> dict:
    done = start(*cases, **switches)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# the folder of each broken plugin: its plugin and distribution, and what the cause must say
BROKEN = {
    "import_error": "ImportError: cannot import name 'no_such_name' from 'json'",
    "broken_syntax": "SyntaxError: ",
    "exits": "SystemExit: 3",
    "raising_hook": "RuntimeError: the licence server is down",
    "misspelt_hook": "'segkit_loses', and there is no such hook. Did you mean 'segkit_losses'?",
    "wrong_argument": "'settings'",
    "hidden_options": "takes '**kwargs', which hides what a user can choose",
    "wrong_return": "its hook 'segkit_losses' returned list, not a mapping",
    "missing_dependency": "No module named 'acme_torch_like'. Install it with: pip install 'acme-missing-dependency[torch]'",
    "unannotated": "has no annotation for 'weight'",
    "unsupported_type": "dict[str, float]",
    "type_checking_only": "annotates a parameter with 'Path', which is not imported at run time",
    "no_hook": "it implements no hook",
    "positional_option": "takes the positional parameters ('weight',)",
    "unreadable": "entry_points.txt",
}


def keys(case: str) -> tuple[str, str]:
    """Return the plugin's and the distribution's name of a case."""
    distribution = f"acme-{case.replace('_', '-')}"
    return (distribution if case == "unreadable" else f"acme_{case}"), distribution


def check_broken(found: dict, case: str) -> None:
    plugin, distribution = keys(case)
    version, error, trace = found["infos"][f"{plugin} {distribution}"]
    assert version == "1.2"
    assert BROKEN[case] in error
    assert "\n" not in error
    mine = [message for _, message in found["warnings"] if f"'{plugin}'" in message]
    assert mine == [f"Plugin '{plugin}' ({distribution} 1.2) was left out: {error.removesuffix('.')}{'' if error[-1] == '?' else '.'} See 'segkit plugins --verbose'."]  # fmt: skip
    for code, text in (found["quiet"], found["verbose"]):
        assert code == 0
        assert f"{plugin} ({distribution} 1.2) failed: {error}" in text
    assert "Traceback" in trace
    assert trace in found["verbose"][1]
    assert "Traceback" not in found["quiet"][1]


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_told_of_and_left_out(case: str) -> None:
    alone = report("good", case, SEGKIT_PLUGINS=f"acme_good,{keys(case)[0]}")
    check_broken(alone, case)
    assert [category for category, _ in alone["warnings"]] == ["PluginWarning"]
    assert alone["architectures"] == ["acme_net"]
    assert not alone["torch"]


def test_all_broken_plugins_at_once() -> None:
    found = report("good", *BROKEN, "same_component", "same_plugin", "nameless", "late_dependency", "wrong_result")
    for case in BROKEN:
        check_broken(found, case)
    assert {"acme_good:acme_net", "acme_same_component:acme_net", "nameless_net"} <= set(found["architectures"])
    assert {"acme_late", "acme_number"} <= set(found["losses"])
    assert "other_net" not in found["architectures"]
    assert "Another plugin is called 'acme_good' already (acme-good)" in found["infos"]["acme_good acme-same-plugin"][1]
    assert found["infos"]["acme_good acme-good"][1] == ""


def test_a_distribution_without_metadata_works() -> None:
    found = report("nameless", SEGKIT_PLUGINS="acme_nameless")
    assert found["warnings"] == []
    assert found["architectures"] == ["nameless_net"]


def test_a_factory_that_breaks_its_promise_says_so_when_used() -> None:
    code = """
import segkit
for name in ("acme_number", "acme_late"):
    try:
        segkit.losses[name]()
    except segkit.errors.PluginError as error:
        print(error.exit_code, error)
"""
    done = start("wrong_result", "late_dependency", code="import segkit.errors\n" + code, SEGKIT_PLUGINS="acme_wrong_result,acme_late_dependency")  # fmt: skip
    assert done.stdout.splitlines() == [
        "69 Loss 'acme_wrong_result:acme_number' built float, which cannot be called. Report this to the authors of "
        "acme-wrong-result 1.2.",
        "69 Loss 'acme_late_dependency:acme_late' cannot be used: No module named 'acme_torch_like'. Install it with: "
        "pip install 'acme-late-dependency[torch]'",
    ]


def test_strict_plugins_makes_it_an_error_everywhere() -> None:
    code = "from segkit.cli import main; main(['list'])"
    for case in ("exits", "import_error"):
        done = start("good", case, code=code, SEGKIT_STRICT_PLUGINS="1", SEGKIT_PLUGINS=f"acme_good,acme_{case}")
        assert done.returncode == 69
        assert done.stderr.startswith(f"error: Plugin 'acme_{case}' (acme-{case.replace('_', '-')} 1.2) was left out: ")
        assert "Traceback" not in done.stderr


def test_a_subset_that_names_nothing_is_told_of() -> None:
    found = report("good", SEGKIT_PLUGINS="acme_god")
    assert found["architectures"] == []
    assert [message for _, message in found["warnings"]] == [
        "Plugin 'acme_god' was left out: SEGKIT_PLUGINS names it, and no such plugin is installed. Did you mean 'acme_good'? "
        "See 'segkit plugins --verbose'."
    ]


def plugin(**hooks: object) -> types.SimpleNamespace:
    """Return an object with hook implementations."""
    return types.SimpleNamespace(**{name: segkit.hookimpl(function, specname=name) for name, function in hooks.items()})


def half():
    """Return half of everything."""
    return lambda logits, target, mask: logits.sum() / 2


def test_register_and_unregister(isolated_plugins: PluginManager) -> None:
    info = segkit.register(plugin(segkit_losses=lambda: {"half": half}), "mine")
    assert (info.name, info.distribution) == ("mine", "")
    assert list(segkit.losses) == ["half"]
    assert segkit.losses["mine:half"].summary == "Return half of everything."
    with pytest.raises(PluginError, match="Another plugin is called 'mine' already"):
        segkit.register(plugin(segkit_losses=lambda: {"half": half}), "mine")
    segkit.unregister("mine")
    assert "half" not in segkit.losses
    with pytest.raises(UnknownNameError, match="There is no loaded plugin 'mine'"):
        segkit.unregister("mine")


def test_one_object_cannot_be_two_plugins(isolated_plugins: PluginManager) -> None:
    mine = plugin(segkit_losses=lambda: {"half": half})
    segkit.register(mine, "one")
    with pytest.raises(PluginError, match="registered already, under another name"):
        segkit.register(mine, "two")
    assert next(iter(segkit.losses.values())).qualified == "one:half"


def test_a_failed_registration_leaves_nothing(isolated_plugins: PluginManager) -> None:
    bad = plugin(segkit_architectures=lambda: {"net": lambda a, b: None}, segkit_losses=lambda: {"half": 5})
    with pytest.raises(PluginError, match="offers 5, which cannot be called"):
        segkit.register(bad, "bad")
    assert list(segkit.architectures) == []
    segkit.register(plugin(segkit_losses=lambda: {"half": half}), "bad")
    assert list(segkit.losses) == ["half"]


def test_a_name_is_an_identifier(isolated_plugins: PluginManager) -> None:
    with pytest.raises(PluginError, match="'half loss'; a name is a Python identifier"):
        segkit.register(plugin(segkit_losses=lambda: {"half loss": half}), "bad")


def test_a_hook_of_a_later_segkit_may_be_optional(isolated_plugins: PluginManager) -> None:
    module = types.SimpleNamespace(
        segkit_losses=segkit.hookimpl(lambda: {"half": half}, specname="segkit_losses"),
        segkit_miracles=segkit.hookimpl(lambda: {}, specname="segkit_miracles", optionalhook=True),
    )
    segkit.register(module, "modern")
    assert list(segkit.losses) == ["half"]


def test_two_implementations_of_one_hook_add_up(isolated_plugins: PluginManager) -> None:
    module = types.SimpleNamespace(
        one=segkit.hookimpl(lambda: {"half": half}, specname="segkit_losses"),
        two=segkit.hookimpl(lambda: {"other": half}, specname="segkit_losses"),
    )
    segkit.register(module, "both")
    assert list(segkit.losses) == ["half", "other"]


def accept(hook: str, factory: object) -> None:
    """Accept any factory."""


def test_warnings_as_errors_still_load_the_rest() -> None:
    points = [
        EntryPoint("a_broken", "no_such_module_anywhere", "segkit"),
        EntryPoint("b_fine", "segkit_unet", "segkit"),
    ]
    manager = PluginManager(accept, points)
    with pytest.raises(PluginWarning, match="'a_broken'"):
        manager.infos()
    assert [(info.name, bool(info.error)) for info in manager.infos()] == [("a_broken", True), ("b_fine", False)]


def test_a_strict_failure_fails_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGKIT_STRICT_PLUGINS", "1")
    manager = PluginManager(
        accept, [EntryPoint("a", "segkit_unet", "segkit"), EntryPoint("b", "no_such_module", "segkit")]
    )
    for _ in range(2):
        with pytest.raises(PluginError, match="Plugin 'b'"):
            manager.infos()
    monkeypatch.delenv("SEGKIT_STRICT_PLUGINS")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        assert [info.name for info in manager.infos()] == ["a", "b"]


def test_a_malformed_entry_point_is_one_failure() -> None:
    manager = PluginManager(accept, [EntryPoint("odd", "not a module", "segkit")])
    with pytest.warns(PluginWarning, match="'odd'"):
        assert manager.infos()[0].error
