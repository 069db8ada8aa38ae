"""`Model`: a trained network with all that is needed to use it, and the lazy volumes it predicts."""

from segkit.model._arithmetic import Augmentation, Layout, Precision, choose_arithmetic
from segkit.model._importing import Importer, find_importer, import_model
from segkit.model._model import Model, choose_device
from segkit.model._package import hash_package, locate_package
from segkit.model._preflight import Preflight, preflight
from segkit.model._seam_report import SeamReport, seam_report
from segkit.model._tiling import Blend

__all__ = [
    "Augmentation",
    "Blend",
    "Importer",
    "Layout",
    "Model",
    "Precision",
    "Preflight",
    "SeamReport",
    "choose_arithmetic",
    "choose_device",
    "find_importer",
    "hash_package",
    "import_model",
    "locate_package",
    "preflight",
    "seam_report",
]
