"""The transforms around a fast convolution, sixteen channels at a time, to and from products of tiles.

Loops that numba vectorises by itself take several times as long, so the inner steps are written as vector code that it puts
in place of calls. Arrays are flat; where a vector lies is given by the index of its first channel. Numbers of type uint16
are bits of bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import binding, ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from segkit.compiling import compiled

__all__ = ["LANES", "gather", "spread"]

Array = np.ndarray[Any, Any]

LANES = 16

_FLOAT = ir.VectorType(ir.FloatType(), LANES)
_WORD = ir.VectorType(ir.IntType(32), LANES)
_HALF = ir.VectorType(ir.IntType(16), LANES)
_INDEX = types.intp


class _BFloat(ir.Type):  # type: ignore[misc]
    """bfloat16, which LLVM knows and llvmlite does not."""

    intrinsic_name = "bf16"

    def _to_string(self) -> str:
        return "bfloat"


_NATIVE = ir.VectorType(_BFloat(), LANES) if binding.get_host_cpu_features().get("avx512bf16") else None


class _Code:
    """Writes vector code into a function that is being compiled."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.context, self.builder, self.types, self.values = context, builder, signature.args, arguments

    def at(self, array: int, start: Any, *steps: tuple[Any, int]) -> tuple[Any, bool]:
        """Return a pointer to ``array[start + step * count + ...]``, and whether it holds bfloat16."""
        for step, count in steps:
            start = self.builder.add(start, self.builder.mul(step, ir.Constant(step.type, count)))
        kind = self.types[array]
        data = self.context.make_array(kind)(self.context, self.builder, self.values[array]).data
        return self.builder.gep(data, [start]), kind.dtype == types.uint16

    def load(self, place: tuple[Any, bool]) -> Any:
        pointer, half = place
        if not half:
            return self.builder.load(self.builder.bitcast(pointer, _FLOAT.as_pointer()), align=4)
        words = self.builder.zext(self.builder.load(self.builder.bitcast(pointer, _HALF.as_pointer()), align=2), _WORD)
        return self.builder.bitcast(self.builder.shl(words, _all(_WORD, 16)), _FLOAT)

    def store(self, value: Any, place: tuple[Any, bool]) -> None:
        pointer, half = place
        kind = _HALF if half else _FLOAT
        narrow = self._narrow(value) if half else value
        self.builder.store(narrow, self.builder.bitcast(pointer, kind.as_pointer()), align=2 if half else 4)

    def _narrow(self, value: Any) -> Any:
        build = self.builder
        if _NATIVE is not None:
            return build.bitcast(build.fptrunc(value, _NATIVE), _HALF)
        words = build.bitcast(value, _WORD)  # to the nearest, to even between two
        odd = build.and_(build.lshr(words, _all(_WORD, 16)), _all(_WORD, 1))
        words = build.add(words, build.add(odd, _all(_WORD, 0x7FFF)))
        return build.trunc(build.lshr(words, _all(_WORD, 16)), _HALF)

    def at_least(self, value: Any, scalar: Any) -> Any:
        build, none = self.builder, ir.Constant(_FLOAT, ir.Undefined)
        first = build.insert_element(none, scalar, ir.Constant(ir.IntType(32), 0))
        floor = build.shuffle_vector(first, none, _all(_WORD, 0))
        return build.select(build.fcmp_ordered(">", value, floor), value, floor)

    def sum(self, *terms: tuple[float, Any]) -> Any:
        """Return the sum of vectors, each with a factor."""
        total = None
        for factor, vector in terms:
            scaled = vector if abs(factor) == 1 else self.builder.fmul(_all(_FLOAT, abs(factor)), vector, ("contract",))
            if total is None:
                total = scaled if factor > 0 else self.builder.fneg(scaled)
            else:
                total = (self.builder.fadd if factor > 0 else self.builder.fsub)(total, scaled, ("contract",))
        return total

    def spread(self, d: list[Any]) -> list[Any]:
        """Five numbers of an image in the domain where a convolution is a product; the points are 0, 1, -1, 2 and infinity."""
        t = self.sum((1, d[3]), (-1, d[1]))
        return [
            self.sum((2, self.sum((1, d[0]), (-1, d[2]))), (1, t)),
            self.sum((1, t), (-1, d[1]), (-1, d[2])),
            self.sum((3, self.sum((1, d[1]), (-1, d[2]))), (1, t)),
            t,
            self.sum((1, d[4]), (-1, d[2]), (-2, t)),
        ]

    def gather(self, m: list[Any]) -> list[Any]:
        """Three numbers of the result of a convolution, of five in that domain."""
        s = self.sum((1, m[1]), (1, m[2]))
        return [
            self.sum((1, m[0]), (1, s), (1, m[3])),
            self.sum((1, m[1]), (-1, m[2]), (2, m[3])),
            self.sum((4, m[3]), (1, s), (1, m[4])),
        ]

    def twice(self, rows: list[list[Any]], change: Callable[[list[Any]], list[Any]]) -> list[Any]:
        """Change a plane of vectors along both of its axes, and return its rows one after the other."""
        rows = [change(row) for row in rows]
        columns = [change(list(column)) for column in zip(*rows, strict=True)]
        return [value for row in zip(*columns, strict=True) for value in row]


@intrinsic  # type: ignore[untyped-decorator]
def _spread_plane(
    _: Any, source: Any, start: Any, row: Any, voxel: Any, floor: Any, out: Any, to: Any, step: Any
) -> Any:
    """Write 5 x 5 products' worth of a plane of 5 x 5 voxels, those below `floor` raised to it."""

    def code(*given: Any) -> Any:
        c, (_, start, row, voxel, floor, _, to, step) = _Code(*given), given[3]
        rows = [[c.at_least(c.load(c.at(0, start, (row, j), (voxel, i))), floor) for i in range(5)] for j in range(5)]
        for n, value in enumerate(c.twice(rows, c.spread)):
            c.store(value, c.at(5, to, (step, n)))
        return c.context.get_dummy_value()

    return types.void(source, _INDEX, _INDEX, _INDEX, types.float32, out, _INDEX, _INDEX), code


@intrinsic  # type: ignore[untyped-decorator]
def _spread_line(_: Any, source: Any, start: Any, step: Any, out: Any, to: Any, stride: Any) -> Any:
    """Write 5 products' worth of a line of 5 vectors."""

    def code(*given: Any) -> Any:
        c, (_, start, step, _, to, stride) = _Code(*given), given[3]
        for n, value in enumerate(c.spread([c.load(c.at(0, start, (step, i))) for i in range(5)])):
            c.store(value, c.at(3, to, (stride, n)))
        return c.context.get_dummy_value()

    return types.void(source, _INDEX, _INDEX, out, _INDEX, _INDEX), code


@intrinsic  # type: ignore[untyped-decorator]
def _gather_plane(_: Any, source: Any, start: Any, step: Any, out: Any, to: Any, stride: Any) -> Any:
    """Write a plane of 3 x 3 vectors made of 5 x 5 products."""

    def code(*given: Any) -> Any:
        c, (_, start, step, _, to, stride) = _Code(*given), given[3]
        rows = [[c.load(c.at(0, start, (step, 5 * j + i))) for i in range(5)] for j in range(5)]
        for n, value in enumerate(c.twice(rows, c.gather)):
            c.store(value, c.at(3, to, (stride, n)))
        return c.context.get_dummy_value()

    return types.void(source, _INDEX, _INDEX, out, _INDEX, _INDEX), code


@intrinsic  # type: ignore[untyped-decorator]
def _gather_line(
    _: Any,
    source: Any,
    start: Any,
    step: Any,
    bias: Any,
    channel: Any,
    added: Any,
    share: Any,
    out: Any,
    to: Any,
    stride: Any,
) -> Any:
    """Write 3 voxels made of 5 products, with a bias, and with `share` times what `added` has in the same voxels."""

    def code(*given: Any) -> Any:
        c, (_, start, step, _, channel, _, share, _, to, stride) = _Code(*given), given[3]
        build, none = c.builder, ir.Constant(_FLOAT, ir.Undefined)
        first = build.insert_element(none, share, ir.Constant(ir.IntType(32), 0))
        factor = build.shuffle_vector(first, none, _all(_WORD, 0))
        offset = c.load(c.at(3, channel))
        for n, value in enumerate(c.gather([c.load(c.at(0, start, (step, i))) for i in range(5)])):
            before = build.fmul(factor, c.load(c.at(5, to, (stride, n))), ("contract",))
            c.store(c.sum((1, value), (1, offset), (1, before)), c.at(7, to, (stride, n)))
        return c.context.get_dummy_value()

    given = (source, _INDEX, _INDEX, bias, _INDEX, added, types.float32, out, _INDEX, _INDEX)
    return types.void(*given), code


def _all(kind: Any, value: float) -> Any:
    return ir.Constant(kind, [value] * LANES)


@compiled
def spread(
    source: Array, rows: int, columns: int, channels: int, tiles: tuple[int, int, int, int], out: Array, scratch: Array
) -> None:
    """Transform a slab of tiles of the positive part of `source`.

    Parameters
    ----------
    source
        Features ``(z, y, x, channels)`` with a rim, flat.
    rows, columns
        Their y and x.
    channels
        A multiple of 16.
    tiles
        How many there are along z; which row of them along y; the first and the last, excluded, along x.
    out
        ``(125, tiles, channels)``, flat; tiles along z follow each other.
    scratch
        ``(z, 25, channels)`` float32, flat.
    """
    depth, y, first, last = tiles
    apart = depth * (last - first) * channels
    for x in range(first, last):
        for z in range(depth):
            for plane in range(3 * z if z == 0 else 3 * z + 2, 3 * z + 5):  # two planes are those of the tile before
                start = ((plane * rows + 3 * y) * columns + 3 * x) * channels
                for c in range(0, channels, LANES):
                    _spread_plane(
                        source, start + c, columns * channels, channels, np.float32(0), scratch,
                        25 * plane * channels + c, channels,
                    )  # fmt: skip
            to = ((x - first) * depth + z) * channels
            for place in range(25):
                for c in range(0, channels, LANES):
                    _spread_line(
                        scratch, (75 * z + place) * channels + c, 25 * channels, out, place * apart + to + c, 25 * apart
                    )  # fmt: skip


@compiled
def gather(
    found: Array,
    rows: int,
    columns: int,
    channels: int,
    tiles: tuple[int, int, int, int],
    bias: Array,
    added: Array,
    share: np.floating[Any],
    out: Array,
    scratch: Array,
) -> None:
    """Transform a slab of tiles back, and write it into `out` with `bias` and `share` times `added`; otherwise as `spread`."""
    depth, y, first, last = tiles
    apart = depth * (last - first) * channels
    for x in range(first, last):
        for z in range(depth):
            start = ((x - first) * depth + z) * channels
            for plane in range(5):
                for c in range(0, channels, LANES):
                    _gather_plane(
                        found, 25 * plane * apart + start + c, apart, scratch, 9 * plane * channels + c, channels
                    )  # fmt: skip
            for place in range(9):
                row, column = 3 * y + 1 + place // 3, 3 * x + 1 + place % 3
                to = (((3 * z + 1) * rows + row) * columns + column) * channels
                for c in range(0, channels, LANES):
                    _gather_line(
                        scratch, place * channels + c, 9 * channels, bias, c, added, share, out, to + c,
                        rows * columns * channels,
                    )  # fmt: skip
