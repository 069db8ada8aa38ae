"""One kind of error for whatever a decoder raises."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from segkit.errors import DataError, SegkitError

__all__ = ["decoding"]


@contextmanager
def decoding(source: str, kind: str) -> Iterator[None]:
    """Turn whatever the block raises into one `DataError`, and keep the warnings of decoders quiet.

    Parameters
    ----------
    source
        What is read, for the message.
    kind
        What it should be, such as ``"TIFF"``.

    Raises
    ------
    DataError
        Instead of any exception that is not a `SegkitError` already.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SegkitError:
        raise
    except Exception as error:  # decoders raise at least fifteen kinds of exceptions on damaged files
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise DataError(
            f"{source} cannot be read as {kind}: {reason}. It is damaged or of a kind that nobody here decodes; copy it again."
        ) from error
