"""Every error is shown as its message and turned into the exit code that the help of the command line promises."""

from __future__ import annotations

import inspect
import re

import click
import pytest

from segkit import cli, errors
from segkit.errors import SegkitError, did_you_mean

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, SegkitError)]
# As the module's docstring draws it: name, bases, exit code.
DRAWN = {
    name: (bases, int(code) if code else None)
    for name, bases, code in re.findall(
        r"(\w+Error)(?: \((\w+)\))?(?: +(\d+))?  ", errors.__doc__.replace("\n", "   \n")
    )
}


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_the_drawing_is_true(error: type[SegkitError]) -> None:
    builtin, code = DRAWN[error.__name__]
    assert code is None or code == error.exit_code
    assert not builtin or builtin in {base.__name__ for base in error.__mro__}
    assert error.__name__ in errors.__all__


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_the_command_line_exits_with_its_code(
    error: type[SegkitError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def fails() -> None:
        raise error("What was asked, and what would work.")

    monkeypatch.setattr(cli._Commands, "get_command", lambda *_: fails)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["list"])
    assert stopped.value.code == error.exit_code
    said = capsys.readouterr()
    assert said.err == "error: What was asked, and what would work.\n"
    assert said.out == ""
    assert re.search(rf"\b{error.exit_code} ", cli.cli.help), "the help of the command line does not promise this code"


@pytest.mark.parametrize("error", CLASSES, ids=lambda error: error.__name__)
def test_a_message_is_shown_as_it_is(error: type[SegkitError]) -> None:
    assert str(error("it's 'so'")) == "it's 'so'"
    assert str(error("one", "two")) == "one"
    assert str(error()) == ""


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, isolated_plugins: object) -> None:
    monkeypatch.setenv("SEGKIT_DEBUG", "1")
    with pytest.raises(errors.UnknownNameError):
        cli.main(["show", "no_such_component_anywhere"])


def test_did_you_mean() -> None:
    assert did_you_mean("wdith", ["depth", "width"]) == " Did you mean 'width'?"
    assert did_you_mean("zzz", ["depth", "width"]) == ""
    assert did_you_mean("x", []) == ""
