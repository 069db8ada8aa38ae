"""Flood-filling networks: an object is followed from a seed through the image (Januszewski et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import segkit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories


@segkit.hookimpl
def segkit_architectures() -> Factories:
    """Offer the networks."""
    return {}


@segkit.hookimpl
def segkit_tasks() -> Factories:
    """Offer the task."""
    return {}


@segkit.hookimpl
def segkit_segmenters() -> Factories:
    """Offer the segmenter."""
    return {}
