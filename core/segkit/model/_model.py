"""`Model`: a trained network, its task and its normalization, from a package on disk or fresh from training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from segkit.contracts import Normalization, Task
from segkit.errors import DataError, SegkitWarning
from segkit.geometry import Triple
from segkit.model._package import locate_package, read_package, write_package
from segkit.model._predicted import PredictedArray, prediction_lattice
from segkit.opening import open_volume
from segkit.recipe import Selection
from segkit.registry import registries
from segkit.volume import Spacing, Volume

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Model", "choose_device"]


def choose_device(wanted: str = "auto") -> str:
    """Return the device to compute on: what is wanted, or for ``auto`` the best there is.

    Raises
    ------
    DataError
        If the wanted device is not there.
    """
    import torch

    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(wanted.partition(":")[0], True):
        raise DataError(
            f"The device '{wanted}' is not there. Available: {', '.join(k for k, v in available.items() if v)}."
        )
    return wanted


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with all that is needed to use it.

    Parameters
    ----------
    network
        The network, with its weights.
    task_choice, architecture_choice
        What was learnt, and the architecture with its options.
    task
        The task, built.
    in_channels
        Channels that an image must have.
    normalization
        Scaling of the image.
    patch_shape
        Shape of the patches it was trained on, ``(z, y, x)``.
    voxel_size, unit
        Voxel size of the training data.
    precision
        Number format of its arithmetic: ``float32``, ``bfloat16`` or ``float16``.
    details
        How it came about: step, scores, versions.
    """

    network: nn.Module
    task_choice: Selection
    architecture_choice: Selection
    task: Task
    in_channels: int
    normalization: Normalization
    patch_shape: Triple
    voxel_size: Spacing = (1.0, 1.0, 1.0)
    unit: Literal["nm", "voxel"] = "voxel"
    precision: str = "float32"
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: str | Path, *, device: str = "auto") -> Model:
        """Load a model package, or the best model of a run folder.

        Parameters
        ----------
        path
            The package or the run.
        device
            Where to compute: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

        Raises
        ------
        DataError
            If there is no model, or it is damaged.
        UnknownNameError
            If the plugin that offers its architecture is not installed.
        """
        package = locate_package(path)
        description, weights = read_package(package)
        try:
            task_choice, architecture_choice = (
                Selection(description[key]["name"], _tuples(description[key]["options"]))
                for key in ("task", "architecture")
            )
            in_channels = int(description["in_channels"])
            scaling = description["normalization"]
            normalization = Normalization(tuple(scaling["centre"]), tuple(scaling["scale"]))
            z, y, x = description["patch_shape"]
            size = description["voxel_size"]
            voxel_size = (float(size[0]), float(size[1]), float(size[2]))
            unit, precision = description["unit"], description["precision"]
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(
                f"The description {package / 'model.json'} lacks or garbles {error}. Copy the model again."
            ) from error
        task = task_choice.build("tasks")
        network = _rebuild(architecture_choice, in_channels, task.out_channels)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            versions = description.get("versions", {})
            raise DataError(
                f"The weights of {package} do not fit the architecture '{architecture_choice.name}' as it is installed "
                f"(trained with {versions}): {' '.join(str(error).split())[:300]}. Install the versions it was trained with."
            ) from error
        return cls(
            network.to(choose_device(device)).eval(),
            task_choice,
            architecture_choice,
            task,
            in_channels,
            normalization,
            (z, y, x),
            voxel_size,
            unit,
            precision,
            description.get("details", {}),
        )

    def save(self, path: str | Path) -> None:
        """Write the model as a package; one that is at `path` is replaced as a whole."""
        chosen = {"task": self.task_choice, "architecture": self.architecture_choice}
        description = {
            **{key: {"name": choice.name, "options": dict(choice.options)} for key, choice in chosen.items()},
            "in_channels": self.in_channels,
            "normalization": {"centre": self.normalization.centre, "scale": self.normalization.scale},
            "patch_shape": self.patch_shape,
            "voxel_size": self.voxel_size,
            "unit": self.unit,
            "precision": self.precision,
            "versions": {
                choice.name: registries[f"{kind}s"][choice.name].plugin.version for kind, choice in chosen.items()
            },
            "details": dict(self.details),
        }
        write_package(Path(path), description, self.network.state_dict())

    def __call__(
        self, volume: Volume | str | Path | Any, *, block_shape: Triple | None = None, halo: Triple | None = None
    ) -> Volume:
        """Return the prediction for a volume, lazily: blocks are computed when they are asked for.

        Parameters
        ----------
        volume
            The image, or anything that `segkit.open_volume` takes.
        block_shape
            Voxels (z, y, x) that are computed at once; None chooses by memory and by the network's own stride.
        halo
            Voxels (z, y, x) of context read around a block; None takes what the network needs, up to a quarter of the
            patches it was trained on.

        Returns
        -------
        Volume
            ``(K, Z, Y, X)`` float32, with the position and voxel size of the image.

        Raises
        ------
        DataError
            If the image has another number of channels than the model was trained with.
        """
        image = open_volume(volume)
        if image.channels != self.in_channels:
            raise DataError(
                f"The model takes images with {self.in_channels} channels, but {image.source} has {image.channels}. Choose the "
                "channels it was trained on, or train a model for this image."
            )
        ratios = [a / b for a, b in zip(image.voxel_size, self.voxel_size, strict=True)]
        if image.unit == self.unit == "nm" and not all(1 / 1.5 <= ratio <= 1.5 for ratio in ratios):
            warnings.warn(
                f"The model was trained at a voxel size of {self.voxel_size} nm, and {image.source} has {image.voxel_size} nm. "
                "Expect poor results; resample the image, or open a fitting level of it.",
                SegkitWarning,
                stacklevel=2,
            )
        lattice, halo = prediction_lattice(self.network, self.patch_shape, image, block_shape, halo)
        array = PredictedArray(
            self.network,
            self.task.activate,
            self.normalization,
            self.precision,
            self.task.out_channels,
            image,
            lattice,
            halo,
        )
        return image.with_array(
            array,
            "czyx",
            chunks=(self.task.out_channels, *lattice.block_shape),
            channel_names=tuple(self.task.channel_names),
            source=f"prediction of {image.source}",
            metadata={},
        )


def _rebuild(choice: Selection, in_channels: int, out_channels: int) -> nn.Module:
    """Build a network whose weights are about to be loaded: pretrained ones it may have started from are not fetched."""
    offered = {
        parameter.name for parameter in registries["architectures"][choice.name].parameters if parameter.optional
    }
    options = {**choice.options, **({"weights": None} if "weights" in offered else {})}
    network: nn.Module = Selection(choice.name, options).build("architectures", in_channels, out_channels)
    return network


def _tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}
