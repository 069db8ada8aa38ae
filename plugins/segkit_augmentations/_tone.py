"""Powers and Gaussian noise for many values at once, in one pass.

numba has no vectorised logarithm, power or sine of its own. The polynomials below were fitted at Chebyshev nodes; their
errors, about a millionth, are far below what an augmentation needs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segkit.compiling import compiled

__all__ = ["change"]

BLOCK = 2048
"""Values that are worked on at a time: a few arrays of this length stay in the nearest cache."""


@compiled(fused=True)
def _log2(x: Any) -> Any:
    """Return the logarithm of a positive float32."""
    bits = np.float32(x).view(np.int32)
    m = np.int32((bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)).view(np.float32) - np.float32(1)
    p = np.float32(-0.0123706340)
    p = p * m + np.float32(0.0637875630)
    p = p * m + np.float32(-0.1555999185)
    p = p * m + np.float32(0.2561796667)
    p = p * m + np.float32(-0.3534546679)
    p = p * m + np.float32(0.4800737459)
    p = p * m + np.float32(-0.7213107225)
    p = p * m + np.float32(1.4426947671)
    return p * m + np.float32((bits >> np.int32(23)) - np.int32(127))


@compiled(fused=True)
def _exp2(x: Any) -> Any:
    """Return 2 to the power of a float32 between -126 and 0."""
    x = max(x, np.float32(-126))
    whole = np.int32(x + np.float32(127)) - np.int32(127)  # rounds down, because it converts nothing below 0
    f = x - np.float32(whole)
    p = np.float32(0.001789665)
    p = p * f + np.float32(0.009196802)
    p = p * f + np.float32(0.055658664)
    p = p * f + np.float32(0.240206874)
    p = p * f + np.float32(0.693147577)
    return (p * f + np.float32(1)) * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@compiled(fused=True)
def _mixed(x: Any) -> Any:
    """Return a number in which every bit depends on every bit of the given one ("lowbias32" of Ellis and Wellons)."""
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@compiled(fused=True)
def _normal(key: Any, first: int, out: Any) -> None:
    """Fill an even number of values with independent normal ones: Box and Muller 1958, on hashed counters."""
    half = len(out) // 2
    for i in range(half):
        one = _mixed(np.uint32(first + i) ^ key[0])
        two = _mixed(one ^ key[1])
        u = (np.float32(np.int32(one >> np.uint32(8))) + np.float32(0.5)) * np.float32(2**-24)
        radius = np.sqrt(np.float32(-2 * np.log(2.0)) * _log2(u))
        # The angle lies in the right half of the circle; one bit more chooses between it and the opposite one.
        s = np.float32(np.int32(two >> np.uint32(8))) * np.float32(2**-23) - np.float32(1)
        q = s * s
        p = np.float32(-0.0043708004)
        p = p * q + np.float32(0.0795003287)
        p = p * q + np.float32(-0.6459258417)
        sine = s * (p * q + np.float32(1.5707951351))
        cosine = np.sqrt(max(np.float32(1) - sine * sine, np.float32(0)))
        side = np.float32(1) - np.float32(np.int32(two & np.uint32(1))) * np.float32(2)
        out[i] = radius * sine * side
        out[i + half] = radius * cosine * side


@compiled(fused=True)
def change(values: Any, limits: Any, line: Any, strengths: Any, key: Any, out: Any) -> None:
    """Apply a linear change, a power of what lies between two limits, and noise, in this order.

    Parameters
    ----------
    values
        Float32 ``(N,)``.
    limits
        What the values lie between after the linear change, float32.
    line
        Scale and offset of the linear change, float32.
    strengths
        Exponent of the values scaled to 0..1; standard deviation of the noise that is everywhere alike; and of the one
        that grows with the root of the value, at the upper limit. Float32; 1, 0 and 0 do nothing.
    key
        Two uint32 that decide the noise.
    out
        Float32 ``(N,)``.
    """
    low, high = np.float32(limits[0]), np.float32(limits[1])
    scale, offset = np.float32(line[0]), np.float32(line[1])
    power, noise, shot = np.float32(strengths[0]), np.float32(strengths[1]), np.float32(strengths[2])
    grain = np.empty(BLOCK, np.float32)
    span = high - low
    per_span = np.float32(1) / span if span > 0 else np.float32(0)
    for start in range(0, len(values), BLOCK):
        block, result = values[start : start + BLOCK], out[start : start + BLOCK]
        for i in range(len(block)):
            result[i] = block[i] * scale + offset
        if power != 1 and span > 0:
            for i in range(len(block)):
                t = min((result[i] - low) * per_span, np.float32(1))
                raised = _exp2(power * _log2(max(t, np.float32(1e-30))))
                result[i] = low + span * (raised if t > 0 else np.float32(0))
        if noise > 0 or shot > 0:
            _normal(key, start, grain)
            for i in range(len(block)):
                t = max((result[i] - low) * per_span, np.float32(0))
                result[i] += np.sqrt(noise * noise + shot * shot * t) * grain[i]
