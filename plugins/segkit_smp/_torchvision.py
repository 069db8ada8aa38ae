"""Imports segmentation-models-pytorch, also beside a torchvision whose compiled operators do not load.

PyPI's torchvision is built for CUDA. Beside a PyTorch for the CPU its compiled library cannot be loaded, and its import
ends with "operator torchvision::nms does not exist": it registers shapes for two operators that are not there. Nothing
in segmentation-models-pytorch calls these (they are for detecting boxes), so it is enough to declare them.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from types import ModuleType

import torch

__all__ = ["import_smp"]

_lock = Lock()
_declared: list[torch.library.Library] = []  # declarations last as long as the library object


def import_smp() -> ModuleType:
    """Return the module `segmentation_models_pytorch`.

    Raises
    ------
    ImportError
        If it or something it needs is not installed.
    """
    with _lock:
        if find_spec("segmentation_models_pytorch") and find_spec("torchvision"):
            _import_torchvision()
    return import_module("segmentation_models_pytorch")


def _import_torchvision() -> None:
    try:
        import_module("torchvision")
    except RuntimeError:
        missing = [name for name in ("nms", "qnms") if not hasattr(torch.ops.torchvision, name)]
        if not missing:
            raise  # the operators are there: this is some other failure
        library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for name in missing:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
        _declared.append(library)
        import_module("torchvision")
