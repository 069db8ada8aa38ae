"""What images and labels are like: a fingerprint, pictures, and what may go wrong with a split."""

from segkit.analysis._fingerprint import ClassCount, Fingerprint, Intensity, LabelKind, Labels, SampleRow, Spread
from segkit.analysis._survey import Survey, fingerprint, survey

__all__ = [
    "ClassCount",
    "Fingerprint",
    "Intensity",
    "LabelKind",
    "Labels",
    "SampleRow",
    "Spread",
    "Survey",
    "fingerprint",
    "survey",
]
