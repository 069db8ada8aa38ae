"""Microscope makers' files (CZI, LIF, ND2 and others) through the readers of bioio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

import segkit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories
    from segkit_bioio._bioio import Bioio


def bioio(*, scene: str = "", time: Annotated[int, Ge(0)] | None = None) -> Bioio:
    """Microscope files such as CZI, LIF, ND2 and DV, with channel names and voxel size, through bioio.

    Parameters
    ----------
    scene
        Name or number (from 0) of the scene in a file that holds several; empty for the first.
    time
        Which time point, counted from 0; None where the file has only one.
    """
    from segkit_bioio._bioio import Bioio

    return Bioio(scene, time)


@segkit.hookimpl
def segkit_formats() -> Factories:
    """Offer what bioio reads."""
    return {"bioio": bioio}
