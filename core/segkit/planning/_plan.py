"""`plan`: a recipe from a fingerprint, every entry with its reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from segkit.analysis import Fingerprint
from segkit.contracts import Sample
from segkit.errors import DataError, UsageError
from segkit.planning._choices import Choice, Draft
from segkit.planning._examples import choose_augmentation, choose_patches, choose_split
from segkit.planning._facts import Facts
from segkit.planning._fitting import choose_schedule, fit_rate, fit_size, unmeasured
from segkit.planning._range import RangeTest
from segkit.planning._shape import choose_dimensions, choose_patch
from segkit.planning._task import choose_loss, choose_task
from segkit.planning._text import as_toml
from segkit.planning._unusual import note_unusual
from segkit.recipe import Recipe, Selection

__all__ = ["Plan", "plan"]


@dataclass(frozen=True)
class Plan:
    """A recipe and the reasons for it.

    Parameters
    ----------
    choices
        What was chosen, in the order in which it was.
    recipe
        The recipe; all that was not chosen is as it is by default.
    notes
        What whoever uses it should know, such as that the voxel size is not known.
    range_test
        The range test behind the learning rate; None where nothing was measured.
    """

    choices: tuple[Choice, ...]
    recipe: Recipe
    notes: tuple[str, ...] = ()
    range_test: RangeTest | None = None

    def to_toml(self) -> str:
        """Return the recipe as the text of a TOML file, each choice with its reason in a comment above it."""
        return as_toml(self)


def plan(
    fingerprint: Fingerprint,
    samples: Sequence[Sample],
    *,
    dataset: Selection,
    validation_dataset: Selection | None = None,
    minutes: float = 20.0,
    device: str = "auto",
    seed: int = 0,
    measure: bool = True,
    progress: Callable[[str, int, int], None] | None = None,
) -> Plan:
    """Choose every entry of a recipe that data have a say in.

    Parameters
    ----------
    fingerprint
        What images and labels are like; see `segkit.analysis.fingerprint`.
    samples
        The samples it is of.
    dataset
        The dataset they come from, which the recipe then names.
    validation_dataset
        What the training is validated on; None holds out a part of the samples.
    minutes
        How long the training may take, above 0.
    device
        Where to train: ``auto``, ``cpu``, ``cuda`` or ``mps``.
    seed
        The recipe's seed.
    measure
        Whether to measure a training step and do a range test, which takes a minute or two; otherwise width and learning rate
        are the usual ones.
    progress
        Called with what is being done, how much of it is done, and how much there is.

    Raises
    ------
    DataError
        If there are no labels, or the data cannot be trained on.
    UsageError
        If `minutes` is not above 0.
    """
    if minutes <= 0:
        raise UsageError(f"A training of {minutes:g} minutes was asked for. Give a number above 0.")
    _refuse_constant(fingerprint)
    facts, draft = Facts(fingerprint, samples, _has_gpu(device, measure), minutes), Draft()
    choose_dimensions(facts, draft)
    choose_task(facts, draft)
    choose_loss(facts, draft)
    choose_patch(facts, draft)
    choose_patches(facts, draft)
    choose_augmentation(facts, draft)
    if validation_dataset is None:
        choose_split(facts, draft)
    note_unusual(facts, draft)

    def build(draft: Draft) -> Recipe:
        tables = {**draft.tables(), "seed": seed}
        for key, selection in (("dataset", dataset), ("validation_dataset", validation_dataset)):
            if selection is not None:
                tables[key] = {"name": selection.name, **selection.options}
        if device != "auto":
            tables.setdefault("training", {})["device"] = device
        return Recipe.from_mapping(tables, Path("/"))  # every place is absolute already

    def tell(what: str, done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total)

    test: RangeTest | None = None
    seconds: float | None = None
    if measure:
        tell("Measuring a step", 0, 1)
        seconds = fit_size(facts, draft, build).seconds
        tell("Measuring a step", 1, 1)
        test = fit_rate(draft, build, lambda done, total: tell("Range test", done, total))
        seconds = seconds if test is None else test.seconds
    else:
        unmeasured(draft)
    choose_schedule(facts, draft, seconds)
    return Plan(tuple(draft.chosen.values()), build(draft), tuple(draft.notes), test)


def _has_gpu(device: str, measure: bool) -> bool:
    if device != "auto" or not measure:
        return device == "cuda"
    from segkit.model import choose_device

    return choose_device(device) == "cuda"


def _refuse_constant(fingerprint: Fingerprint) -> None:
    """Refuse what every training would refuse later."""
    constant = [number for number, channel in enumerate(fingerprint.intensity) if channel.sd == 0]
    if constant:
        raise DataError(
            f"Channel {constant[0]} of the images is {fingerprint.intensity[constant[0]].mean:g} everywhere, such as the opacity of "
            "an RGBA picture: there is nothing to learn from it. Write the images without it ('segkit convert' keeps all channels; "
            "any image editor saves grey or RGB), or check that the right files are named."
        )
