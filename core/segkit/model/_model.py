"""`Model`: a trained network, its task and its normalization, from a package on disk or fresh from training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from segkit._memory import take_large_pages
from segkit.contracts import Normalization, Task, channels_for
from segkit.errors import DataError, SegkitWarning, UsageError
from segkit.geometry import Triple
from segkit.model._arithmetic import Augmentation, Layout, Precision
from segkit.model._package import locate_package, read_package, write_package
from segkit.model._tiling import Blend, choose_batch, choose_tiling
from segkit.opening import open_volume
from segkit.recipe import Selection
from segkit.registry import registries
from segkit.volume import Spacing, Volume

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Model", "choose_device"]

take_large_pages()


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
            normalization = Normalization(
                tuple(scaling["centre"]), tuple(scaling["scale"]), bool(scaling.get("compressed", False))
            )
            z, y, x = description["patch_shape"]
            size = description["voxel_size"]
            voxel_size = (float(size[0]), float(size[1]), float(size[2]))
            unit, precision = description["unit"], description["precision"]
        except (LookupError, TypeError, ValueError) as error:
            raise DataError(
                f"The description {package / 'model.json'} lacks or garbles {error}. Copy the model again."
            ) from error
        task = task_choice.build("tasks")
        network = _rebuild(architecture_choice, channels_for(task, in_channels), task.out_channels)
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
            "normalization": asdict(self.normalization),
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
        self,
        volume: Volume | str | Path | Any,
        *,
        block_shape: Triple | None = None,
        halo: Triple | None = None,
        blend: Blend = "none",
        augmentation: Augmentation = "none",
        precision: Precision | None = None,
        layout: Layout = "contiguous",
        dtype: Literal["float32", "float16"] = "float32",
        threads: int | None = None,
    ) -> Volume:
        """Return the prediction for a volume, lazily: blocks are computed when they are asked for.

        Parameters
        ----------
        volume
            The image, or anything that `segkit.open_volume` takes.
        block_shape
            Voxels (z, y, x) that are computed at once; None chooses the blocks for which the network sees the fewest voxels
            in all, with tiles of at most 3 Mi voxels.
        halo
            Voxels (z, y, x) of context read around a block; None takes what the network says it needs, up to a quarter of
            the patches it was trained on. Where it says nothing it is that quarter.
        blend
            ``none`` cuts the prediction at the faces between blocks. ``linear`` and ``gaussian`` let neighbouring tiles fade
            into each other over twice the halo.
        augmentation
            ``flips`` averages the predictions of the image and its mirror images, ``turns`` also those of its quarter turns
            in the plane. The network is called 4 to 16 times as often.
        precision
            Number format of the network's arithmetic; None takes that of the training.
        layout
            Order of numbers in memory, which changes speed and the last bits only; see `segkit.model.choose_arithmetic`.
        dtype
            Type of the prediction. float16 holds probabilities to a twothousandth, in half the space.
        threads
            Threads of torch on a CPU, on which the last bits depend; None for as many as it has.

        Returns
        -------
        Volume
            ``(K, Z, Y, X)``, with the position, voxel size and metadata of the image, such as its georeference.

        Raises
        ------
        DataError
            If the image has another number of channels than the model was trained with.
        UsageError
            If outputs depend on direction and are to be averaged over mirror images, or tiles are to be blended that are too
            small for it.
        """
        image = open_volume(volume)
        self._check(image, augmentation)
        from segkit.model._forward import Forward, in_channels_last
        from segkit.model._predicted import PredictedArray

        tiling = choose_tiling(self.network, self.patch_shape, image, block_shape, halo, blend)
        network = self.network
        if layout == "channels_last":
            network = in_channels_last(network)
        forward = Forward(
            network,
            self.task.activate,
            precision or cast("Precision", self.precision),
            layout,
            augmentation,
            threads,
        )
        array = PredictedArray(
            image,
            tiling,
            self.normalization,
            forward,
            self.task.out_channels,
            choose_batch(tiling, forward.device.type),
            dtype,
        )
        return image.with_array(
            array,
            "czyx",
            chunks=(self.task.out_channels, *tiling.block_shape),
            channel_names=tuple(self.task.channel_names),
            source=f"prediction of {image.source}",
            metadata=_of_prediction(image.metadata),
        )

    def _check(self, image: Volume, augmentation: Augmentation) -> None:
        """Refuse an image or an augmentation that does not fit, and warn of another scale."""
        if getattr(self.task, "own_channels", 0):
            raise UsageError(
                f"A network of the task '{self.task_choice.name}' predicts nothing by itself: it reads what the task has found so "
                "far. Segment the image with the segmenter made for it, such as 'segkit segment IMAGE OUT --with flood_fill -o "
                "model=RUN'."
            )
        if image.channels != self.in_channels:
            raise DataError(
                f"The model takes images with {self.in_channels} channels, but {image.source} has {image.channels}. Choose the "
                "channels it was trained on, or train a model for this image."
            )
        if augmentation != "none" and getattr(self.task, "directional", False):
            raise UsageError(
                f"The outputs of the task '{self.task_choice.name}' belong to directions, so they cannot be averaged over mirror "
                f"images (augmentation='{augmentation}'). Use augmentation='none'."
            )
        ratios = [a / b for a, b in zip(image.voxel_size, self.voxel_size, strict=True)]
        if image.unit == self.unit == "nm" and not all(1 / 1.5 <= ratio <= 1.5 for ratio in ratios):
            warnings.warn(
                f"The model was trained at a voxel size of {self.voxel_size} nm, and {image.source} has {image.voxel_size} nm. "
                "Expect poor results; resample the image, or open a fitting level of it.",
                SegkitWarning,
                stacklevel=3,
            )


def _of_prediction(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what holds for a prediction too: not whether the image is complete, nor which of its values means nothing."""
    kept = {key: value for key, value in metadata.items() if key not in ("complete", "nodata")}
    return {
        key: {**value, "nodata": None} if isinstance(value, Mapping) and "nodata" in value else value
        for key, value in kept.items()
    }


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
