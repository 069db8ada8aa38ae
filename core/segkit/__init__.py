"""segkit: train segmentation networks on large images, predict, segment and trace, with plugins for everything.

Names are resolved when first used: importing segkit imports neither torch nor any plugin.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from segkit.contracts import Sample as Sample
    from segkit.evaluation import evaluate as evaluate
    from segkit.geometry import Box as Box
    from segkit.hookspecs import hookimpl as hookimpl
    from segkit.model import Model as Model
    from segkit.opening import open_volume as open_volume
    from segkit.parameters import Advanced as Advanced
    from segkit.parameters import Location as Location
    from segkit.parameters import Unit as Unit
    from segkit.prediction import predict as predict
    from segkit.recipe import Recipe as Recipe
    from segkit.recipe import load_recipe as load_recipe
    from segkit.registry import plugins as plugins
    from segkit.registry import register as register
    from segkit.registry import unregister as unregister
    from segkit.segmentation import segment as segment
    from segkit.tracing import Trace as Trace
    from segkit.tracing import evaluate_traces as evaluate_traces
    from segkit.tracing import read_swc as read_swc
    from segkit.tracing import trace as trace
    from segkit.tracing import write_swc as write_swc
    from segkit.training import fit as fit
    from segkit.training import fit_events as fit_events
    from segkit.volume import Volume as Volume
    from segkit.writing import write_volume as write_volume

__version__ = "0.1.0"

_HOME = {
    "Advanced": "parameters",
    "Box": "geometry",
    "Location": "parameters",
    "Model": "model",
    "Recipe": "recipe",
    "Sample": "contracts",
    "Trace": "tracing",
    "Unit": "parameters",
    "Volume": "volume",
    "evaluate": "evaluation",
    "evaluate_traces": "tracing",
    "fit": "training",
    "fit_events": "training",
    "hookimpl": "hookspecs",
    "load_recipe": "recipe",
    "open_volume": "opening",
    "plugins": "registry",
    "predict": "prediction",
    "read_swc": "tracing",
    "register": "registry",
    "segment": "segmentation",
    "trace": "tracing",
    "unregister": "registry",
    "write_swc": "tracing",
    "write_volume": "writing",
}
_REGISTRIES = (
    "architectures",
    "augmentations",
    "datasets",
    "formats",
    "importers",
    "initializers",
    "losses",
    "segmenters",
    "tasks",
    "tracers",
)

__all__ = [*_HOME, *_REGISTRIES]


def __getattr__(name: str) -> Any:
    if name in _REGISTRIES:
        value = import_module("segkit.registry").registries[name]
    elif name in _HOME:
        value = getattr(import_module(f"segkit.{_HOME[name]}"), name)
    else:
        raise AttributeError(f"module 'segkit' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
