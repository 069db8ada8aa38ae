"""Loops over voxels compiled by numba, with the machine code kept on disk between runs where there is a place for it.

`compiled` is for loops that no library has. What is kept saves time only: where no folder can be written, a disk is full
or a file is damaged, each process compiles for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar, overload

import numba
from numba.core import caching

__all__ = ["compiled"]

Function = TypeVar("Function", bound=Callable[..., Any])

_HASH = sha256().digest_size


@overload
def compiled(function: Function, /) -> Function: ...


@overload
def compiled(*, fused: bool = ...) -> Callable[[Function], Function]: ...


def compiled(function: Any = None, /, *, fused: bool = False) -> Any:
    """Compile a function on its first call with types it has not seen; other threads run on while it works.

    A division by zero gives infinity or not-a-number, and 0 for integers, as in numpy. Machine code is kept in
    ``__pycache__`` beside the source, or in numba's own folder of the user (``NUMBA_CACHE_DIR`` names another one), until
    that source, one that it calls, or numba changes.

    Parameters
    ----------
    function
        A function of numbers and arrays, as numba takes it.
    fused
        Whether a product and the sum it is part of may be rounded once instead of twice, which is faster; last bits then
        depend on the processor. Nothing else is ever taken less exactly.

    Returns
    -------
    Callable
        The compiled function; without `function`, what makes one of it.
    """
    if function is None:
        return partial(_compile, fused=fused)
    return _compile(function, fused=fused)


def _compile(function: Any, *, fused: bool) -> Any:
    flags = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"} if fused else False}
    dispatcher = numba.njit(**flags)(function)
    with suppress(RuntimeError):  # numba found no folder to write to
        dispatcher._cache = _Kept(function, repr(flags))
    return dispatcher


class _DamagedError(Exception):
    """A file that does not end in the hash of the rest."""


class _File(caching.IndexDataCacheFile):  # type: ignore[misc]
    """Index and machine code of a function; damaged ones would take the process along when LLVM reads them."""

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[Any]:
        with super()._open_for_write(filepath) as file:
            yield file
            file.flush()
            file.write(sha256(Path(file.name).read_bytes()).digest())

    def _load_index(self) -> Any:
        if Path(self._index_path).exists():
            _check(self._index_path)
        return super()._load_index()

    def _load_data(self, name: str) -> Any:
        _check(self._data_path(name))
        return super()._load_data(name)


def _check(path: str) -> None:
    content = Path(path).read_bytes()
    if sha256(content[:-_HASH]).digest() != content[-_HASH:]:
        raise _DamagedError(path)


class _Kept(caching.FunctionCache):  # type: ignore[misc]
    """Machine code on disk that is looked at with suspicion."""

    def __init__(self, function: Any, flags: str) -> None:
        super().__init__(function)
        self._flags = flags
        stamp = self._impl.locator.get_source_stamp()
        self._cache_file = _File(self._cache_path, self._impl.filename_base, stamp)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            found = super().load_overload(sig, target_context)
        except (OSError, _DamagedError):
            found = None
        else:
            # Two processes that keep code for different types at the same time give both files one name.
            if found is None or found.signature.args == tuple(sig):
                return found
        with suppress(OSError):
            self.flush()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError, _DamagedError):
            super().save_overload(sig, data)

    def _index_key(self, sig: Any, codegen: Any) -> tuple[Any, ...]:
        # numba looks at the file of the function alone; what it calls is compiled into it.
        called = sorted({callee.__code__.co_filename for callee in _called(self._py_func)})
        sources = tuple(sha256(Path(file).read_bytes()).hexdigest() for file in called)
        return (*super()._index_key(sig, codegen), self._flags, sources)


def _called(function: Any) -> Iterator[Any]:
    """Yield the functions that are compiled into one, itself among them."""
    seen, todo = set(), [function]
    while todo:
        one = todo.pop()
        if one in seen:
            continue
        seen.add(one)
        yield one
        named = (one.__globals__.get(name) for name in one.__code__.co_names)
        todo += [value.py_func for value in named if hasattr(value, "py_func")]
