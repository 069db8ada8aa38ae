"""Which traces a search means: by the beginning of their id, or by status or note."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_segkit.session.traces._review import STATUSES, Review

__all__ = ["found_by"]

Array = np.ndarray[Any, Any]


def found_by(text: str, ids: Array, review: Review) -> Array:
    """Return which ids ``(N,)`` a search finds.

    Digits find the ids that begin with them, several with commas between them; anything else finds neurons whose status is
    called so or whose note contains it. Nothing finds all.
    """
    words = [word.strip().lower() for word in text.split(",") if word.strip()]
    found = np.full(len(ids), not words)
    for word in words:
        if word.isdecimal():
            found |= _begin_with(ids, int(word))
        else:
            hits = [
                id
                for id in review.ids
                if review.status(id) == word or (word not in STATUSES and word in review.note(id).lower())
            ]
            found |= np.isin(ids, np.array(hits, np.uint64))
    return found


def _begin_with(ids: Array, number: int) -> Array:
    """Return the ids whose decimal digits begin with those of a number; comparing numbers is faster than making text."""
    found = np.zeros(len(ids), bool)
    low, high = number, number
    while low <= int(ids.max(initial=0)):
        found |= (ids >= np.uint64(low)) & (ids <= np.uint64(min(high, 2**64 - 1)))
        low, high = low * 10, high * 10 + 9
        if not number:
            break
    return found
