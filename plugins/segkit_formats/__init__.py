"""Built-in formats: OME-Zarr, TIFF, folders of slices, HDF5, NumPy, MRC, NIfTI and single pictures.

Each opens metadata only, and refuses a file whose header claims what the file cannot hold before any library is asked
to decode it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

import segkit
from segkit.parameters import Unit

if TYPE_CHECKING:
    from segkit.hookspecs import Factories
    from segkit_formats._hdf5 import Hdf5
    from segkit_formats._mrc import Mrc
    from segkit_formats._nifti import Nifti
    from segkit_formats._numpy import Numpy
    from segkit_formats._ome_zarr import OmeZarr
    from segkit_formats._pictures import Picture, Slices
    from segkit_formats._tiff import Tiff


def ome_zarr(
    *,
    live: bool = False,
    missing: Literal["error", "fill"] | None = None,
    timeout: Annotated[float, Gt(0), Unit("s")] = 60.0,
) -> OmeZarr:
    """OME-Zarr 0.4 and 0.5 images and plain Zarr arrays, in a local folder or at a URL.

    Parameters
    ----------
    live
        Whether the store is being written: what is not there yet then reads as 0, and appears as it comes.
    missing
        What a chunk that is not there means: an error, or the fill value. None takes it for an error in what segkit
        wrote and at URLs, and for the fill value in local stores of others.
    timeout
        At URLs, the time for an answer, and for each 64 MiB that a read asks for.
    """
    from segkit_formats._ome_zarr import OmeZarr

    return OmeZarr(live, missing, timeout)


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


def mrc() -> Mrc:
    """MRC maps and stacks of electron microscopy, mapped into memory; needs the package mrcfile."""
    from segkit_formats._mrc import Mrc

    return Mrc()


def nifti() -> Nifti:
    """NIfTI images of medicine, ``.nii`` and ``.nii.gz``; needs the package nibabel."""
    from segkit_formats._nifti import Nifti

    return Nifti()


def image() -> Picture:
    """A single PNG or JPEG picture."""
    from segkit_formats._pictures import Picture

    return Picture()


@segkit.hookimpl
def segkit_formats() -> Factories:
    """Offer the built-in formats."""
    return {
        "ome_zarr": ome_zarr,
        "tiff": tiff,
        "slices": slices,
        "hdf5": hdf5,
        "numpy": numpy,
        "image": image,
        "mrc": mrc,
        "nifti": nifti,
    }
