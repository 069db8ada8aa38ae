"""Randomness with an address: the same place in a run always sees the same numbers.

Nothing in segkit draws from a running stream. A generator is made from the seed of the run and from where it is used,
so that a resumed run, another number of workers or another order of work changes nothing.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

__all__ = ["address", "rng"]


def address(seed: int, step: int, sample: int, purpose: str) -> int:
    """Return a 64-bit number that belongs to this place in a run, for libraries that take an integer seed."""
    digest = blake2b(f"{seed}/{step}/{sample}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def rng(seed: int, step: int, sample: int, purpose: str) -> np.random.Generator:
    """Return the random generator that belongs to one place in a run.

    Parameters
    ----------
    seed
        Seed of the run.
    step
        Optimizer step, counted from 0.
    sample
        Which sample of that step, counted from 0 over the whole batch.
    purpose
        What the numbers are for, such as ``"position"``; each purpose has its own.

    Returns
    -------
    numpy.random.Generator
        A Philox generator (Salmon et al. 2011) keyed by the four values.
    """
    import numpy as np

    return np.random.Generator(np.random.Philox(key=address(seed, step, sample, purpose)))
