"""The command that predicts: what a person chose, as its arguments; and the same again from an output's own plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from napari_segkit.session._project import Project
from napari_segkit.session.predictions._models import model_with_hash
from segkit.errors import DataError

__all__ = ["Prediction", "again", "options_of", "prediction_options"]


def prediction_options(
    *,
    halo: tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)], Annotated[int, Ge(0)]] | None = None,
    blend: Literal["none", "linear", "gaussian"] = "none",
    augmentation: Literal["none", "flips", "turns"] = "none",
    precision: Literal["auto", "float32", "bfloat16", "float16"] | None = None,
    dtype: Literal["float16", "float32"] = "float16",
    block: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)], Annotated[int, Ge(1)]] | None = None,
    device: str = "auto",
) -> None:
    """Choose how to predict.

    Parameters
    ----------
    halo
        Voxels of context around a block, (z, y, x); none takes what the network needs.
    blend
        How neighbouring tiles fade into each other.
    augmentation
        Average over mirror images, or also over quarter turns in the plane.
    precision
        Arithmetic of the network; auto measures the fastest, none takes that of the training.
    dtype
        What is written; half precision keeps probabilities to a twothousandth, in half the space.
    block
        Voxels computed at once, (z, y, x); none takes the fewest voxels for the network.
    device
        auto, cpu, cuda, cuda:1 or mps.
    """


@dataclass(frozen=True)
class Prediction:
    """What is predicted, with what and how.

    Parameters
    ----------
    model
        A model package.
    source
        What `segkit.open_volume` takes.
    region
        Part of it, ``"z0:100"``; empty for all.
    options
        Other options of ``segkit predict`` by their names, as far as they differ from its defaults.
    """

    model: Path
    source: str
    region: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def arguments(self, target: Path, *, overwrite: bool = False) -> list[str]:
        """Return what follows ``segkit`` on the command line."""
        words = ["predict", str(self.model), self.source, str(target)]
        if self.region:
            words += ["--region", self.region]
        for name, value in self.options.items():
            if value is not None:
                words += [f"--{name}", *(map(str, value) if isinstance(value, tuple | list) else [str(value)])]
        return words + (["--overwrite"] if overwrite else [])

    @property
    def request(self) -> dict[str, Any]:
        """The same for `Answering`."""
        return {"model": str(self.model), "source": self.source, "region": self.region, "options": dict(self.options)}


def again(output: Path, project: Project, *, overwrite: bool = False) -> list[str]:
    """Return the command that goes on with an output, from the plan that lies in it.

    Raises
    ------
    DataError
        If the plan is no prediction's, or its model is not among the runs of the project any more.
    """
    try:
        plan = json.loads((output / ".segkit" / "plan.json").read_bytes())["plan"]
        made = plan["made_from"]
        digest, source, region = str(made["model"]), str(made["image"][0]), str(made["region"])
        precision, layout = made["arithmetic"]
        options = {
            "block": made["prediction_block"],
            "halo": made["halo"],
            "blend": made["blend"],
            "augmentation": made["augmentation"],
            "precision": precision if layout == "contiguous" else "auto",
            "dtype": plan["dtype"],
        }
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{output} does not say how it was made ({error}), so it cannot be continued. Predict anew."
        ) from error
    model = model_with_hash(digest, project.runs)
    if model is None:
        raise DataError(
            f"The model that {output.name} was begun with is not among the runs of this project any more. Choose another "
            "model and predict under another name."
        )
    return Prediction(model, source, region, options).arguments(output, overwrite=overwrite)


def options_of(table: Mapping[str, Any]) -> list[str]:
    """Return a component as ``--with name -o key=value`` arguments."""
    words = ["--with", str(table["name"])]
    for name, value in table.items():
        if name != "name":
            text = (
                ",".join(map(str, value))
                if isinstance(value, tuple | list)
                else "none"
                if value is None
                else str(value)
            )
            words += ["-o", f"{name}={text}"]
    return words
