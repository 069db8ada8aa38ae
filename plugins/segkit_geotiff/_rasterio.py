"""rasterio, imported when it is used, and how GDAL is let at a file: one driver, no other file, no network."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from segkit.errors import PluginError

__all__ = ["opened_dataset", "rasterio_module", "surroundings"]

_OPENING = threading.Lock()  # the options of GDAL belong to the process


def rasterio_module() -> Any:
    """Return rasterio.

    Raises
    ------
    PluginError
        If it is not installed.
    """
    try:
        import rasterio
    except ImportError as error:
        raise PluginError(
            "Reading and writing GeoTIFF takes rasterio, which cannot be imported "
            f'({error}). Install it with: pip install "segkit-sdk[geo]"'
        ) from error
    return rasterio


def surroundings() -> Any:
    """Return a context in which GDAL looks at no neighbouring file and reaches no server."""
    return rasterio_module().Env(
        GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",
        GDAL_PAM_ENABLED="NO",
        CPL_VSIL_CURL_ALLOWED_EXTENSIONS="{none}",
        PROJ_NETWORK="OFF",
    )


def opened_dataset(path: Path, overview: int | None) -> Any:
    """Open a file for reading, by GDAL's driver for TIFF only.

    Parameters
    ----------
    path
        An existing file.
    overview
        Which of its overviews, from 0; None for the full resolution.
    """
    rasterio = rasterio_module()
    level = {} if overview is None else {"overview_level": overview}
    with _OPENING, surroundings():
        return rasterio.open(path.absolute(), driver="GTiff", sharing=False, **level)
