"""Turns weights that google/ffn trained with TensorFlow into models: the network published for FIB-25, and others like it.

Depth, width and channels are read off the tensors. How the network was trained (its field of view, the steps, the
thresholds, the scaling of the image) is not stored with them; the importer is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segkit.contracts import Normalization
from segkit.errors import DataError
from segkit.model import Model
from segkit.opening import existing_file
from segkit.recipe import Selection
from segkit.registry import registries
from segkit.volume import Spacing
from segkit_ffn._archive import names_in, read_archive
from segkit_ffn._movement import Movement
from segkit_ffn._tensorflow import index_of, read_checkpoint

__all__ = ["GoogleFFN"]

Array = np.ndarray[Any, Any]

_SCOPE = "seed_update/"
_WANTED = re.compile(r"global_step|seed_update/conv(\d+_[ab]|_lom)/(weights|biases)")
_FIRST = f"{_SCOPE}conv0_a/weights"
_FIB25 = "741433dfc02b4714657954f703fca0520457efdb352b75860d6182f7cca61d07"


@dataclass(frozen=True)
class GoogleFFN:
    """Reads these weights.

    Parameters
    ----------
    movement
        How the field of view moved in their training.
    centre, scale
        What was subtracted from the voxels of the image, and by what they were then divided.
    voxel_size
        Voxel size of the images they were trained on, in nm; None if it is not known.
    """

    movement: Movement
    centre: float
    scale: float
    voxel_size: Spacing | None

    def accepts(self, path: Path) -> bool:
        """Return whether `path` is a TensorFlow checkpoint with its data, or an archive that holds such weights."""
        if path.suffix == ".npz" and path.is_file():
            names = names_in(path)
            if names is not None:
                return _FIRST in names
            with path.open("rb") as file:  # a damaged one is ours to complain about
                return file.read(4) == b"PK\x03\x04"
        return index_of(path) is not None

    def read(self, path: Path) -> Model:
        """Read them.

        Raises
        ------
        DataError
            If they are damaged, or of another network.
        """
        index = index_of(existing_file(path))
        if index is None and path.suffix != ".npz":
            raise DataError(
                f"{path} is neither an .npz archive nor the .index of a TensorFlow checkpoint whose .data files lie beside it."
            )
        tensors, names = read_archive(path, _WANTED) if index is None else read_checkpoint(index, _WANTED)
        step = tensors.pop("global_step", None)
        weights = _translate(path, tensors, names)
        width, inputs = weights["first.a.weight"].shape[:2]
        depth = sum(name.endswith(".a.weight") for name in weights)
        architecture = _choice("architectures", "ffn:ffn", {"width": width, "depth": depth, "normalization": "none"})
        task = _choice(
            "tasks",
            "ffn:flood_filling",
            {
                "field_of_view": self.movement.field_of_view,
                "deltas": self.movement.deltas,
                "seed": self.movement.seed,
                "pad": self.movement.pad,
                "move_threshold": self.movement.move_threshold,
            },
        )
        network = architecture.build("architectures", inputs, 1)
        network.load_state_dict(weights)
        z, y, x = (v + 2 * d for v, d in zip(self.movement.field_of_view, self.movement.deltas, strict=True))
        known = _digest(tensors) == _FIB25
        size = self.voxel_size or ((10.0, 10.0, 10.0) if known else None)
        details: dict[str, Any] = {"source": path.name}
        if known:
            details = {
                "source": "google/ffn, models/fib25 (Januszewski et al. 2018, https://doi.org/10.1038/s41592-018-0049-4)",
                "licence": "Apache-2.0",
            }
        if step is not None and step.size == 1:
            details["step"] = int(step.item())
        return Model(
            network.eval(),
            task,
            architecture,
            task.build("tasks"),
            inputs - 1,
            Normalization((self.centre,) * (inputs - 1), (self.scale,) * (inputs - 1)),
            (z, y, x),
            size or (1.0, 1.0, 1.0),
            "voxel" if size is None else "nm",
            "float32",
            details,
        )


def _choice(kind: str, name: str, options: dict[str, Any]) -> Selection:
    return Selection(name, registries[kind][name].bind(options))


def _digest(tensors: dict[str, Array]) -> str:
    """Return a hash of names and numbers, whatever file they come from."""
    found = sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(np.ascontiguousarray(tensors[name]).tobytes())
    return found.hexdigest()


def _translate(path: Path, tensors: dict[str, Array], names: list[str]) -> dict[str, torch.Tensor]:
    """Return the weights under the names and in the order of axes that they have here."""
    if _FIRST not in tensors:
        shown = ", ".join(sorted(names)[:5]) or "nothing"
        raise DataError(
            f"{path} holds no flood-filling network as google/ffn saves it: there is no '{_FIRST}' in it. It holds {shown}"
            f"{' and more' if len(names) > 5 else ''}."
        )
    first = tensors[_FIRST]
    inputs, width = first.shape[-2:] if first.ndim == 5 else (0, 0)
    depth = 1 + max(int(name[len(_SCOPE) + 4 :].partition("_")[0]) for name in tensors if "lom" not in name)
    weights: dict[str, torch.Tensor] = {}
    for layer in (*(f"{i}_{half}" for i in range(min(depth, 64)) for half in "ab"), "_lom"):
        coming, leaving = (inputs if layer == "0_a" else width), (1 if layer == "_lom" else width)
        kernel = (1, 1, 1) if layer == "_lom" else (3, 3, 3)
        for part, shape in (("weights", (*kernel, coming, leaving)), ("biases", (leaving,))):
            name = f"{_SCOPE}conv{layer}/{part}"
            tensor = tensors.get(name)
            found = None if tensor is None else tensor.shape
            if tensor is None or found != shape or tensor.dtype.kind != "f" or inputs < 2 or width < 1:
                raise DataError(
                    f"'{name}' of {path} is {'missing' if found is None else f'of the shape {found} ({tensor.dtype.name})'}, where "  # type: ignore[union-attr]
                    f"{shape} (float32) belongs. Its network is no stack of convolutions as in google/ffn."
                )
            values = tensor.transpose(4, 3, 0, 1, 2) if part == "weights" else tensor
            weights[_name(layer, part)] = torch.from_numpy(np.array(values, np.float32, order="C"))
    if len(weights) != len(tensors):
        raise DataError(f"{path} holds a network of {depth} modules; at most 64 are read.")
    return weights


def _name(layer: str, part: str) -> str:
    """Return what a layer's weights are called here: ``3_a`` are those of the third residual pair's first convolution."""
    suffix = "weight" if part == "weights" else "bias"
    if layer == "_lom":
        return f"last.{suffix}"
    index, half = layer.split("_")
    return f"first.{half}.{suffix}" if index == "0" else f"residuals.{int(index) - 1}.pair.{half}.{suffix}"
