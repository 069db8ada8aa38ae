"""The Tversky index with squared sums, as a loss."""

from __future__ import annotations

import torch
from torch import Tensor


class TverskySquared:
    """``1 - TP / (TP + FP + miss * FN)``, averaged over channels."""

    def __init__(self, miss: float) -> None:
        self.miss = miss

    def __call__(self, logits: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """Return the scalar; logits and floating target are ``(N, K, Z, Y, X)``, the mask ``(N, 1, Z, Y, X)``."""
        if not target.is_floating_point():
            raise ValueError("tversky_squared compares independent channels; this target holds class indices.")
        known = mask.expand_as(logits) > 0
        # Replaced rather than multiplied, because 0 times an infinite logit is no number.
        found = torch.where(known, logits.sigmoid(), 0.0)
        wanted = torch.where(known, target, 0.0)
        axes = (0, 2, 3, 4)
        hits = (found * wanted).square().sum(axes)
        false = (found * (1 - wanted)).square().sum(axes)
        missed = ((1 - found) * wanted).square().sum(axes)
        return (1 - (hits + 1) / (hits + false + self.miss * missed + 1)).mean()
