"""What images and labels are like: a fingerprint, pictures, and what may go wrong with a split."""

from segkit.analysis._correlation import AxisCorrelation, autocorrelation
from segkit.analysis._findings import Finding, find
from segkit.analysis._fingerprint import ClassCount, Fingerprint, Intensity, LabelKind, Labels, SampleRow, Spread
from segkit.analysis._leakage import Leakage, TwinPair, leakage
from segkit.analysis._parts import Parts, PartTest, compare_parts
from segkit.analysis._pictures import draw_samples
from segkit.analysis._plots import draw_distributions, draw_split
from segkit.analysis._survey import Survey, fingerprint, survey, telling_channels

__all__ = [
    "AxisCorrelation",
    "ClassCount",
    "Finding",
    "Fingerprint",
    "Intensity",
    "LabelKind",
    "Labels",
    "Leakage",
    "PartTest",
    "Parts",
    "SampleRow",
    "Spread",
    "Survey",
    "TwinPair",
    "autocorrelation",
    "compare_parts",
    "draw_distributions",
    "draw_samples",
    "draw_split",
    "find",
    "fingerprint",
    "leakage",
    "survey",
    "telling_channels",
]
