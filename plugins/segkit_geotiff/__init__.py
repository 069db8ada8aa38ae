"""GeoTIFF: scenes of many bands with their georeference, read and written through rasterio.

A volume keeps the georeference under ``metadata["georeference"]``, so that what is made of it (a prediction, a
segmentation, a cropped region) can be written as GeoTIFF at its place on the map.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import segkit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories
    from segkit_geotiff._geotiff import GeoTiff


def geotiff() -> GeoTiff:
    """GeoTIFF scenes: bands as channels, with place on the map, voxel size and the value of missing pixels."""
    from segkit_geotiff._geotiff import GeoTiff

    return GeoTiff()


@segkit.hookimpl
def segkit_formats() -> Factories:
    """Offer GeoTIFF."""
    return {"geotiff": geotiff}
