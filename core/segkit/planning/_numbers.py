"""Numbers as people choose them."""

from __future__ import annotations

from math import floor, log10

__all__ = ["rounded"]


def rounded(number: float) -> float:
    """Return 1, 2, 3 or 5 times a power of ten, the largest that is not above a number; the number is above 0."""
    power = floor(log10(number) + 1e-9)
    mantissa = number / 10**power
    digit = max(d for d in (1, 2, 3, 5) if d <= mantissa * (1 + 1e-9) or d == 1)
    return float(f"{digit}e{power}")
