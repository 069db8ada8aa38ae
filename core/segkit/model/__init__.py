"""`Model`: a trained network with all that is needed to use it, and the lazy volumes it predicts."""

from segkit.model._arithmetic import Augmentation, Layout, Precision, choose_arithmetic
from segkit.model._model import Model, choose_device
from segkit.model._package import hash_package, locate_package
from segkit.model._tiling import Blend

__all__ = [
    "Augmentation",
    "Blend",
    "Layout",
    "Model",
    "Precision",
    "choose_arithmetic",
    "choose_device",
    "hash_package",
    "locate_package",
]
