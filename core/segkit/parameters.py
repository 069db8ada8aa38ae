"""What a factory lets its user choose, read from the factory itself.

Positional parameters are wiring, supplied by segkit; keyword-only parameters belong to the user. Type and range come
from the annotation, the default from the signature, the help from the numpydoc "Parameters" section. The same records
validate a recipe, parse ``-o`` on the command line, build the form in napari and print the tables of the manual, so
that nothing is declared twice. A frozen keyword-only dataclass works like a factory.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from segkit.errors import PluginError, UnknownNameError, UsageError, did_you_mean

__all__ = ["Advanced", "Location", "Parameter", "Unit", "bind", "check", "parameters_of", "parse_text", "summary_of"]


@dataclass(frozen=True, slots=True)
class Unit:
    """Marks an annotation with the unit of its number, such as ``Annotated[float, Unit("nm")]``."""

    name: str


class Advanced:
    """Marks an annotation whose field a form shows only on request: ``Annotated[float, Advanced]``."""


class _IsLocation:
    """Marks a string that says where data are; a recipe's relative ones start from the recipe's folder."""


Location = Annotated[str, _IsLocation]
"""A path, ``file.h5:dataset`` or URL of data."""

REQUIRED: Any = inspect.Parameter.empty
_SCALARS = (bool, int, float, str, Path)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing a user may choose.

    Parameters
    ----------
    name
        The keyword.
    type
        ``bool``, ``int``, ``float``, ``str`` or ``Path``; of one element where `length` is not 0.
    default
        Value when nothing is chosen; `Parameter.required` tells where there is none.
    annotation
        The whole annotation, which validation uses.
    optional
        Whether None may be chosen; the help says what it means.
    choices
        The allowed values; empty where they are not a closed list.
    minimum, maximum
        Bounds of a number; None where it has none.
    open_minimum, open_maximum
        Whether that bound itself is excluded.
    length
        0 for a single value, n for a tuple of n, -1 for a tuple of any length.
    unit
        Unit of the number, or empty.
    help
        What it does, in a sentence or two.
    advanced
        Whether a form shows it only on request.
    location
        Whether it says where data are.
    """

    name: str
    type: type
    default: Any
    annotation: Any
    optional: bool = False
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    open_minimum: bool = False
    open_maximum: bool = False
    length: int = 0
    unit: str = ""
    help: str = ""
    advanced: bool = False
    location: bool = False

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is REQUIRED

    @property
    def type_text(self) -> str:
        """The type and range as people read it, such as ``int 4..256`` or ``one of 'a', 'b'``."""
        if self.choices:
            text = "one of " + ", ".join(repr(choice) for choice in self.choices)
        else:
            text = "data location" if self.location else {"str": "text"}.get(self.type.__name__, self.type.__name__)
        if self.length:
            text = f"{'some' if self.length < 0 else self.length} x {text}"
        low, high = self.minimum, self.maximum
        if low is not None and high is not None and not (self.open_minimum or self.open_maximum):
            text += f" {_number(low)}..{_number(high)}"
        else:
            text += "" if low is None else f" {'>' if self.open_minimum else '>='} {_number(low)}"
            text += "" if high is None else f" {'<' if self.open_maximum else '<='} {_number(high)}"
        return text + (f" {self.unit}" if self.unit else "") + (" or none" if self.optional else "")


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:g}"


def _where(factory: Callable[..., Any]) -> str:
    return f"{factory.__module__}.{getattr(factory, '__qualname__', repr(factory))}"


def _documentation(factory: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """Return the first sentence of a docstring and the help of each parameter it describes."""
    from docstring_parser import DocstringStyle, parse

    parsed = parse(inspect.getdoc(factory) or "", DocstringStyle.NUMPYDOC)
    helps: dict[str, str] = {}
    for entry in parsed.params:
        for name in entry.arg_name.split(","):
            helps[name.strip()] = " ".join((entry.description or "").split())
    return " ".join((parsed.short_description or "").split()), helps


@cache
def summary_of(factory: Callable[..., Any]) -> str:
    """Return the first sentence of a factory's docstring."""
    return _documentation(factory)[0]


def _fill(parameter: dict[str, Any], annotation: Any, where: str) -> None:
    """Take one annotation apart into the fields of a `Parameter`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        for mark in arguments[1:]:
            for side, bound in (("minimum", "ge"), ("minimum", "gt"), ("maximum", "le"), ("maximum", "lt")):
                if getattr(mark, bound, None) is not None:
                    parameter[side] = getattr(mark, bound)
                    parameter[f"open_{side}"] = bound in ("gt", "lt")
            parameter["unit"] = mark.name if isinstance(mark, Unit) else parameter.get("unit", "")
            parameter["advanced"] = mark is Advanced or parameter.get("advanced", False)
            parameter["location"] = mark is _IsLocation or parameter.get("location", False)
        _fill(parameter, arguments[0], where)
    elif origin in (Union, types.UnionType) and len(arguments) == 2 and type(None) in arguments:
        parameter["optional"] = True
        _fill(parameter, next(a for a in arguments if a is not type(None)), where)
    elif origin is Literal:
        parameter["choices"] = tuple(choice for choice in arguments if choice is not None)
        parameter["optional"] = parameter.get("optional", False) or None in arguments
        parameter["type"] = type(arguments[0])
    elif origin is tuple and arguments and len(set(arguments)) <= 1 + (Ellipsis in arguments):
        element: dict[str, Any] = {}
        _fill(element, arguments[0], where)
        if element.get("length") or element.get("optional"):
            raise PluginError(f"{where} is a tuple of tuples or of '| None', which no form can show. Split it up.")
        parameter.update(element, length=-1 if Ellipsis in arguments else len(arguments))
    elif annotation in _SCALARS:
        parameter["type"] = annotation
    else:
        raise PluginError(
            f"{where} has the type {annotation!r}, which cannot be shown or validated. Use bool, int, float, str, "
            "Path, Literal, segkit.Location, a tuple of one of these (each element of the same type and range), or one of "
            "these '| None'."
        )


@cache
def parameters_of(factory: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Return what a factory lets its user choose, in the order of its signature.

    Raises
    ------
    PluginError
        If the factory takes ``*args`` or ``**kwargs``, or a keyword-only parameter has no annotation or one of an
        unsupported type.
    """
    signature = inspect.signature(factory)
    keywords = {}
    for name, entry in signature.parameters.items():
        if entry.kind in (entry.VAR_POSITIONAL, entry.VAR_KEYWORD):
            raise PluginError(
                f"{_where(factory)} takes '{entry}', which hides what a user can choose. Name each parameter, the "
                "user's ones after a bare '*'."
            )
        if entry.kind is entry.KEYWORD_ONLY:
            if entry.annotation is entry.empty:
                raise PluginError(
                    f"{_where(factory)} has no annotation for '{name}'. Write one, such as '{name}: int'."
                )
            keywords[name] = entry
    # Only these annotations are resolved: that of the return value often exists for type checkers alone.
    function = inspect.unwrap(factory.func if isinstance(factory, partial) else factory)
    module = sys.modules.get(function.__module__)
    shim = types.SimpleNamespace(__annotations__={name: entry.annotation for name, entry in keywords.items()})
    scope = getattr(function, "__globals__", None) or vars(module or types)
    try:
        hints = get_type_hints(shim, globalns=scope, include_extras=True)
    except NameError as error:
        raise PluginError(
            f"{_where(factory)} annotates a parameter with '{error.name}', which is not imported at run time. Import it "
            "outside 'if TYPE_CHECKING'."
        ) from error
    helps = _documentation(factory)[1] if keywords else {}
    factories = {f.name: f.default_factory for f in fields(factory)} if is_dataclass(factory) else {}
    records = []
    for name, entry in keywords.items():
        default = factories.get(name, MISSING)
        found: dict[str, Any] = {"name": name, "annotation": hints[name], "help": helps.get(name, "")}
        found["default"] = entry.default if default is MISSING else default()
        _fill(found, hints[name], f"Parameter '{name}' of {_where(factory)}")
        records.append(Parameter(**found))
    return tuple(records)


def parse_text(parameter: Parameter, text: str) -> Any:
    """Read a value from text, as the command line and forms give it; `bind` then checks it.

    ``none`` means None where that may be chosen; the elements of a tuple are separated by commas.
    """
    if parameter.optional and text.strip().lower() in ("none", ""):
        return None
    if parameter.length:
        return tuple(_scalar(parameter.type, part.strip()) for part in text.strip("()[] ").split(",") if part.strip())
    return _scalar(parameter.type, text)


def _scalar(kind: type, text: str) -> Any:
    if kind is bool:
        return {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }.get(text.strip().lower(), text)
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text  # `bind` says what is wrong with it
    return text


@cache
def _adapter(annotation: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))


def check(parameter: Parameter, value: Any, where: str) -> Any:
    """Return a value as the factory takes it, if it fits this one parameter; `where` is its name in messages.

    Raises
    ------
    UsageError
        If it is of the wrong type or out of range.
    """
    from pydantic import ValidationError

    if parameter.optional and value == "none":  # the spelling of None in TOML, which has no word for it
        return None
    if isinstance(value, list):
        value = tuple(value)
    if parameter.location and isinstance(value, Path):
        value = str(value)
    if parameter.length and isinstance(value, tuple) and parameter.type is Path:
        value = tuple(Path(element) for element in value)
    elif parameter.type is Path and isinstance(value, str):
        value = Path(value)
    try:
        return _adapter(parameter.annotation).validate_python(value)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise UsageError(
            f"`{where}` is {value!r}: {reason[0].lower()}{reason[1:]}. It takes {parameter.type_text}."
        ) from None


def bind(factory: Callable[..., Any], values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Check values against what a factory lets its user choose, and fill in the defaults.

    Parameters
    ----------
    factory
        The factory, or frozen keyword-only dataclass.
    values
        What was chosen, by parameter name; lists stand for tuples, and ``"none"`` for None where that may be chosen.
    where
        What the names belong to, for messages, such as ``"architecture"``.

    Returns
    -------
    dict
        A value for every parameter.

    Raises
    ------
    UsageError
        If a name is unknown, a value is missing, of the wrong type or out of range.
    """
    records = {parameter.name: parameter for parameter in parameters_of(factory)}
    prefix = f"{where}." if where else ""
    for name in values:
        if name not in records:
            known = ", ".join(records) or "none"
            raise UnknownNameError(
                f"There is no option `{prefix}{name}`.{did_you_mean(name, records)} Options there: {known}."
            )
    bound = {}
    for name, parameter in records.items():
        if name in values:
            bound[name] = check(parameter, values[name], f"{prefix}{name}")
        elif parameter.required:
            raise UsageError(f"`{prefix}{name}` is missing ({parameter.help or parameter.type_text}). Give it a value.")
        else:
            bound[name] = parameter.default
    return bound
