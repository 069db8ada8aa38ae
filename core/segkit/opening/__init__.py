"""Opening files as volumes, writing volumes to files, and what the formats that do it share.

A format is a plugin. What is here beside `open_volume` and `export_volume` is for those who write one: axes in
segkit's order, arrays that open their file again in another process or are read
by one of their own, one kind of error for whatever a decoder raises,
and a check of what a TIFF claims.
"""

from segkit.opening._axes import Arranged, arrange
from segkit.opening._decoding import decoding
from segkit.opening._existing import existing_file
from segkit.opening._exporting import export_volume
from segkit.opening._isolated import Isolated
from segkit.opening._opening import Format, WritableFormat, open_volume
from segkit.opening._reopening import Reopening
from segkit.opening._tiff_header import TIFF_MAGIC, TiffHeader, check_tiff, check_tiff_chain

__all__ = [
    "TIFF_MAGIC",
    "Arranged",
    "Format",
    "Isolated",
    "Reopening",
    "TiffHeader",
    "WritableFormat",
    "arrange",
    "check_tiff",
    "check_tiff_chain",
    "decoding",
    "existing_file",
    "export_volume",
    "open_volume",
]
