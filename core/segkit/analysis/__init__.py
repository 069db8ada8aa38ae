"""What images and labels are like: a fingerprint, pictures, and what may go wrong with a split."""

from segkit.analysis._fingerprint import ClassCount, Fingerprint, Intensity, Labels, SampleRow, Spread

__all__ = ["ClassCount", "Fingerprint", "Intensity", "Labels", "SampleRow", "Spread"]
