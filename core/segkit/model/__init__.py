"""`Model`: a trained network with all that is needed to use it, and the lazy volumes it predicts."""

from segkit.model._model import Model
from segkit.model._package import hash_package

__all__ = ["Model", "hash_package"]
