"""From a prediction to objects: cut block by block, stitched into ids that do not depend on the blocks."""

from __future__ import annotations

from segkit.segmentation._segment import object_count, segment

__all__ = ["object_count", "segment"]
