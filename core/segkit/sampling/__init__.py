"""Patches for training and validation, as a pure function of seed, step and sample.

Nothing here keeps a position in a stream: patch 3 of step 700 is the same whatever came before it, so the number of
workers changes nothing and a resumed run sees exactly what an uninterrupted one would have.
"""

from segkit.sampling._balance import Balance
from segkit.sampling._counts import CountsFile
from segkit.sampling._grid import validation_boxes
from segkit.sampling._index import LabelIndex
from segkit.sampling._keeping import keep_decoded
from segkit.sampling._loader import load_batches, stack
from segkit.sampling._sampler import Example, Sampler
from segkit.sampling._shapes import Planes, check_patch_shape
from segkit.sampling._splitting import count_objects, group_of, split_samples
from segkit.sampling._statistics import estimate_normalization

__all__ = [
    "Balance",
    "CountsFile",
    "Example",
    "LabelIndex",
    "Planes",
    "Sampler",
    "check_patch_shape",
    "count_objects",
    "estimate_normalization",
    "group_of",
    "keep_decoded",
    "load_batches",
    "split_samples",
    "stack",
    "validation_boxes",
]
