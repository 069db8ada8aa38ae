"""`Model`: a trained network with all that is needed to use it, and the lazy volumes it predicts."""

from segkit.model._model import Model, choose_device
from segkit.model._package import hash_package, locate_package

__all__ = ["Model", "choose_device", "hash_package", "locate_package"]
