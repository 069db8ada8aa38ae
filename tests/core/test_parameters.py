"""Factories' signatures become parameters, and parameters check what a user chooses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Interval, Le, Lt
from hypothesis import given
from hypothesis import strategies as st

from segkit import Advanced, Location, Unit
from segkit.errors import PluginError, UnknownNameError, UsageError
from segkit.parameters import Parameter, bind, parameters_of, parse_text, summary_of


def factory(
    in_channels: int,
    *,
    width: Annotated[int, Ge(4), Le(256)] = 32,
    rate: Annotated[float, Gt(0), Lt(1), Unit("1/s"), Advanced] = 0.5,
    mode: Literal["fast", "exact"] = "fast",
    levels: Literal[1, 2, 3] = 2,
    sizes: tuple[Annotated[int, Ge(1)], ...] = (1, 2),
    voxel: Annotated[tuple[float, float, float], Unit("nm")] = (30.0, 8.0, 8.0),
    limit: int | None = None,
    table: Path | None = None,
    image: Location = "a.tif",
    name: str = "x",
    flag: bool = True,
) -> None:
    """Build something out of nothing.

    More of it.

    Parameters
    ----------
    in_channels
        Wiring.
    width
        Channels at full
        resolution.
    rate, mode
        Two at once.
    """


RECORDS = {parameter.name: parameter for parameter in parameters_of(factory)}


def test_summary_and_help_come_from_the_docstring() -> None:
    assert summary_of(factory) == "Build something out of nothing."
    assert RECORDS["width"].help == "Channels at full resolution."
    assert RECORDS["rate"].help == RECORDS["mode"].help == "Two at once."
    assert RECORDS["limit"].help == ""


def test_wiring_is_no_parameter_and_the_order_is_that_of_the_signature() -> None:
    assert list(RECORDS) == [
        "width",
        "rate",
        "mode",
        "levels",
        "sizes",
        "voxel",
        "limit",
        "table",
        "image",
        "name",
        "flag",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("width", "int 4..256"),
        ("rate", "float > 0 < 1 1/s"),
        ("mode", "one of 'fast', 'exact'"),
        ("levels", "one of 1, 2, 3"),
        ("sizes", "some x int >= 1"),
        ("voxel", "3 x float nm"),
        ("limit", "int or none"),
        ("table", "Path or none"),
        ("image", "data location"),
        ("name", "text"),
        ("flag", "bool"),
    ],
)
def test_type_text(name: str, text: str) -> None:
    assert RECORDS[name].type_text == text


def test_large_bounds_are_written_out() -> None:
    def seeded(*, seed: Annotated[int, Interval(ge=0, le=2**32 - 1)] = 0) -> None: ...

    assert parameters_of(seeded)[0].type_text == "int 0..4294967295"


def test_records_carry_marks() -> None:
    assert RECORDS["rate"].advanced
    assert not RECORDS["width"].advanced
    assert RECORDS["image"].location
    assert (RECORDS["rate"].open_minimum, RECORDS["width"].open_minimum) == (True, False)
    assert RECORDS["voxel"].length == 3
    assert RECORDS["sizes"].length == -1


def test_a_none_among_the_choices_may_be_chosen() -> None:
    def norm(*, kind: Literal["batch", None] = None) -> None: ...

    record = parameters_of(norm)[0]
    assert (record.choices, record.optional) == (("batch",), True)
    assert bind(norm, {"kind": parse_text(record, "none")}) == {"kind": None}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, ("width", 32)),
        ({"width": 48}, ("width", 48)),
        ({"sizes": [3, 4, 5]}, ("sizes", (3, 4, 5))),
        ({"voxel": [30, 8, 8]}, ("voxel", (30.0, 8.0, 8.0))),
        ({"limit": "none"}, ("limit", None)),
        ({"table": "t.csv"}, ("table", Path("t.csv"))),
        ({"image": Path("b.tif")}, ("image", "b.tif")),
        ({"rate": 0.25}, ("rate", 0.25)),
    ],
)
def test_bind_accepts(values: dict, expected: tuple) -> None:
    bound = bind(factory, values)
    assert list(bound) == list(RECORDS)
    assert bound[expected[0]] == expected[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 2}, r"`architecture\.width` is 2: .*greater than or equal to 4\. It takes int 4\.\.256\."),
        ({"width": 8.0}, r"`architecture\.width` is 8\.0: .*valid integer"),
        ({"width": True}, r"`architecture\.width` is True"),
        ({"width": "many"}, r"`architecture\.width` is 'many'"),
        ({"rate": 1.0}, r"less than 1"),
        ({"rate": math.nan}, r"`architecture\.rate` is nan"),
        ({"rate": math.inf}, r"`architecture\.rate` is inf"),
        ({"mode": "slow"}, r"It takes one of 'fast', 'exact'"),
        ({"sizes": [0]}, r"`architecture\.sizes` is \(0,\)"),
        ({"voxel": [8, 8]}, r"It takes 3 x float nm"),
        ({"limit": "many"}, r"It takes int or none"),
        ({"flag": 1}, r"It takes bool"),
        ({"name": 3}, r"It takes text"),
    ],
)
def test_bind_refuses(values: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bind(factory, values, "architecture")


def test_bind_suggests_a_name() -> None:
    with pytest.raises(
        UnknownNameError, match=r"no option `loss\.wdith`\. Did you mean 'width'\? Options there: width, rate"
    ):
        bind(factory, {"wdith": 3}, "loss")


def test_bind_asks_for_what_is_required() -> None:
    def files(*, raw: Location, labels: Location | None = None) -> None:
        """Read files.

        Parameters
        ----------
        raw
            The image
        """

    with pytest.raises(UsageError, match=r"`dataset\.raw` is missing \(The image\)"):
        bind(files, {}, "dataset")
    assert parameters_of(files)[0].required
    assert parameters_of(files)[1].location


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("width", "48", 48),
        ("rate", "1e-3", 0.001),
        ("mode", "exact", "exact"),
        ("levels", "3", 3),
        ("sizes", "3, 4,5", (3, 4, 5)),
        ("sizes", "(7,)", (7,)),
        ("voxel", "30,8,8.5", (30.0, 8.0, 8.5)),
        ("limit", "None", None),
        ("limit", "7", 7),
        ("table", "a/b.csv", Path("a/b.csv")),
        ("flag", "No", False),
        ("flag", "true", True),
    ],
)
def test_text_becomes_values(name: str, text: str, value: object) -> None:
    assert bind(factory, {name: parse_text(RECORDS[name], text)})[name] == value


@pytest.mark.parametrize(("name", "text"), [("width", "3.5"), ("flag", "maybe"), ("sizes", "1,x"), ("rate", "")])
def test_wrong_text_is_refused_by_bind(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=f"`{name}` is"):
        bind(factory, {name: parse_text(RECORDS[name], text)})


@given(st.floats(min_value=0, max_value=1, exclude_min=True, exclude_max=True))
def test_numbers_survive_text(value: float) -> None:
    assert bind(factory, {"rate": parse_text(RECORDS["rate"], str(value))})["rate"] == value


@given(st.lists(st.integers(min_value=1), max_size=5))
def test_tuples_survive_text(values: list[int]) -> None:
    text = ",".join(map(str, values))
    assert bind(factory, {"sizes": parse_text(RECORDS["sizes"], text)})["sizes"] == tuple(values)


def test_dataclasses_are_factories() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Settings:
        """How it is done.

        Parameters
        ----------
        steps
            How often.
        """

        steps: Annotated[int, Ge(1)] = 10
        sizes: tuple[int, ...] = (1, 2)

    assert [p.name for p in parameters_of(Settings)] == ["steps", "sizes"]
    assert parameters_of(Settings)[0].help == "How often."
    assert Settings(**bind(Settings, {"steps": 3})) == Settings(steps=3)


def test_wrapped_and_partial_factories_are_seen_through() -> None:
    namespace: dict = {}
    exec(  # a function whose annotation only its own module can resolve
        "from __future__ import annotations\nNumber = int\ndef inner(*, n: Number = 3): 'Take a number.'\n", namespace
    )

    @wraps(namespace["inner"])
    def outer(**options: object) -> None: ...

    assert parameters_of(outer)[0].type is int
    assert parameters_of(partial(namespace["inner"]))[0].default == 3


def test_a_type_hint_for_type_checkers_alone_may_be_returned() -> None:
    def build(*, n: int = 3) -> NoSuchType: ...  # noqa: F821

    assert parameters_of(build)[0].default == 3


def hidden(**options: int) -> None: ...
def listed(*options: int) -> None: ...
def bare(*, n=3) -> None: ...
def mapping(*, n: dict[str, int]) -> None: ...
def either(*, n: int | str) -> None: ...
def mixed(*, n: tuple[int, str]) -> None: ...
def nested(*, n: tuple[tuple[int, int], ...]) -> None: ...
def gaps(*, n: tuple[int | None, ...]) -> None: ...
def nothing(*, n: tuple[()]) -> None: ...
def absent(*, n: NoSuchType = 3) -> None: ...  # noqa: F821


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (hidden, r"hidden takes '\*\*options: 'int'', which hides|hidden takes .*which hides what a user can choose"),
        (listed, "listed takes .*Name each parameter"),
        (bare, "has no annotation for 'n'. Write one, such as 'n: int'"),
        (mapping, r"Parameter 'n' of .*mapping has the type dict\[str, int\]"),
        (either, "has the type int | str"),
        (mixed, "has the type tuple"),
        (nested, "tuple of tuples"),
        (gaps, "or of '| None'"),
        (nothing, "has the type tuple"),
        (absent, "annotates a parameter with 'NoSuchType', which is not imported at run time"),
    ],
)
def test_refused_factories(broken: object, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        parameters_of(broken)


def test_records_are_values() -> None:
    assert RECORDS["width"] == Parameter(
        "width", int, 32, RECORDS["width"].annotation, minimum=4, maximum=256, help="Channels at full resolution."
    )
