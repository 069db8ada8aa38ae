"""Checks of what a user reads and types: summary, help, defaults, and text on the command line."""

from __future__ import annotations

from typing import Any

from segkit.errors import SegkitError
from segkit.parameters import Parameter, parse_text
from segkit.registry import Component
from segkit.testing._error import ConformanceError

__all__ = ["check_documentation"]


def check_documentation(component: Component) -> None:
    """Check that a component can be shown in a menu, a form and a table.

    The docstring begins with one sentence on one line; each parameter has help and a default of its own type (a dataset,
    format, task or segmenter may require a value), which survives the way through the command line.

    Raises
    ------
    ConformanceError
        If something is missing or does not fit.
    """

    def require(condition: Any, message: str) -> None:
        if not condition:
            raise ConformanceError(f"{component}: {message}")

    require(component.summary, "it has no docstring. Its first line is what menus show.")
    require(
        component.summary.endswith((".", "!", "?")) and len(component.summary) <= 120,
        f"the first line of its docstring, {component.summary!r}, is not a whole sentence of at most 120 characters. Menus "
        "show just that line.",
    )
    for parameter in component.parameters:
        where = f"parameter '{parameter.name}'"
        require(parameter.help, f"{where} has no help. Describe it in the 'Parameters' section of the docstring.")
        if parameter.required:
            require(
                component.kind.name in ("datasets", "formats", "segmenters", "tasks"),
                f"{where} has no default. One of the {component.kind.name} must work without being told anything.",
            )
            continue
        try:
            bound = component.bind({parameter.name: parameter.default, **_placeholders(component, parameter)})
        except SegkitError as error:
            raise ConformanceError(f"{component}: the default of {where} breaks its own annotation. {error}") from error
        require(
            bound[parameter.name] == parameter.default,
            f"the default of {where} is {parameter.default!r}, and becomes {bound[parameter.name]!r} when it is validated.",
        )
        text = _as_text(parameter)
        again = component.bind({parameter.name: parse_text(parameter, text), **_placeholders(component, parameter)})
        require(
            again[parameter.name] == parameter.default,
            f"the default of {where} is {parameter.default!r}, and reads {again[parameter.name]!r} from the text {text!r}.",
        )


def _as_text(parameter: Parameter) -> str:
    value = parameter.default
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _placeholders(component: Component, but: Parameter) -> dict[str, Any]:
    """Return some valid value for each required parameter, so that the others can be validated."""
    found: dict[str, Any] = {}
    for parameter in component.parameters:
        if parameter.required and parameter.name != but.name:
            one = _placeholder(parameter)
            found[parameter.name] = (one,) * max(parameter.length, 1) if parameter.length else one
    return found


def _placeholder(parameter: Parameter) -> Any:
    if parameter.choices:
        return parameter.choices[0]
    if parameter.type in (int, float):
        low, high = parameter.minimum, parameter.maximum
        if low is not None and high is not None:
            return parameter.type((low + high) / 2)
        return parameter.type(low + 1 if low is not None else high - 1 if high is not None else 1)
    return parameter.type("x") if parameter.type is not bool else False
