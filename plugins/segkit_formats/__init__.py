"""Built-in formats: OME-Zarr, TIFF, folders of slices, HDF5, NumPy and single pictures.

Each opens metadata only, and refuses a file whose header claims what the file cannot hold before any library is asked
to decode it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

import segkit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories
    from segkit_formats._hdf5 import Hdf5
    from segkit_formats._numpy import Numpy
    from segkit_formats._ome_zarr import OmeZarr
    from segkit_formats._pictures import Picture, Slices
    from segkit_formats._tiff import Tiff


def ome_zarr(*, live: bool = False) -> OmeZarr:
    """OME-Zarr 0.4 and 0.5 images and plain Zarr arrays, in a local folder.

    Parameters
    ----------
    live
        Whether the store is being written: what is not there yet then reads as 0, and appears as it comes.
    """
    from segkit_formats._ome_zarr import OmeZarr

    return OmeZarr(live)


def tiff(*, series: Annotated[int, Ge(0)] = 0) -> Tiff:
    """TIFF files and stacks, with the axes and voxel size that ImageJ and OME write.

    Parameters
    ----------
    series
        Which image of a file that holds several, counted from 0.
    """
    from segkit_formats._tiff import Tiff

    return Tiff(series)


def slices() -> Slices:
    """A folder of equally large TIFF, PNG or JPEG slices in natural order, or a pattern such as ``slices/*.png``."""
    from segkit_formats._pictures import Slices

    return Slices()


def hdf5() -> Hdf5:
    """Datasets in HDF5 files, given as ``file.h5:dataset``; the name may be left out where there is only one."""
    from segkit_formats._hdf5 import Hdf5

    return Hdf5()


def numpy() -> Numpy:
    """Arrays in ``.npy`` files, mapped into memory."""
    from segkit_formats._numpy import Numpy

    return Numpy()


def image() -> Picture:
    """A single PNG or JPEG picture."""
    from segkit_formats._pictures import Picture

    return Picture()


@segkit.hookimpl
def segkit_formats() -> Factories:
    """Offer the built-in formats."""
    return {"ome_zarr": ome_zarr, "tiff": tiff, "slices": slices, "hdf5": hdf5, "numpy": numpy, "image": image}
