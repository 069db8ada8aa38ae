"""How predictions look: colours laid over the image, so that its texture stays visible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["looks_of"]

_COLOURS = ("magenta", "cyan", "yellow", "green", "red", "blue")
_COMPOSITE = ("red", "green", "blue")
_BACKGROUND = ("background", "nothing", "outside")
_OPACITY = 0.5  # the texture of the image stays visible
_OPACITY_OF_THREE = 0.25  # they add up to white


def looks_of(channels: Sequence[str], *, fractions: bool) -> list[dict[str, Any]]:
    """Return the arguments of one layer for each channel: additive, in a single colour.

    The first three affinities are shown red, green and blue, which together are white inside of objects; of boundaries and
    insides the boundaries are shown; of classes all but the background; otherwise the first channel.

    Parameters
    ----------
    channels
        Names of the channels.
    fractions
        Whether voxels lie between 0 and 1; otherwise contrast is left to the voxels.
    """
    names = [name.lower() for name in channels]
    affinities = [place for place, name in enumerate(names) if name.startswith("affinity")]
    if len(affinities) >= 3:
        colours = dict(zip(affinities, _COMPOSITE, strict=False))
    elif "boundary" in names:
        colours = {names.index("boundary"): _COLOURS[0]}
    elif fractions:
        classes = [place for place, name in enumerate(names) if name not in _BACKGROUND or len(names) == 1]
        colours = dict(zip(classes, _COLOURS, strict=False))
    else:
        colours = {0: _COLOURS[0]}
    looks = []
    for place, name in enumerate(names):
        look = {
            "colormap": colours.get(place, _COLOURS[1]),
            "blending": "additive",
            "opacity": _OPACITY_OF_THREE if len(affinities) >= 3 else _OPACITY,
            "visible": place in colours,
        }
        if fractions or name == "object":
            look["contrast_limits"] = (0.0, 1.0)
        looks.append(look)
    return looks
