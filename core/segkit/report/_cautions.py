"""What makes a comparison of runs say less than it seems to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from segkit.registry import registries
from segkit.report._findings import find_problems
from segkit.report._groups import Group, entries_of

__all__ = ["cautions_of"]

_NAMED = 6  # groups that one sentence names
_MANY = 5  # differences, from which on one of them may well be chance

# How each finding about a run reads when it is about some runs of a group.
_SAID = {
    "failed": "Failed, and counts with what it had reached",
    "unfinished": "Not finished, and counts with what it has reached",
    "not_finite": "Had losses that are not a number",
    "collapsed": "Collapsed (the network says the same everywhere, whatever the image shows)",
    "unlearnt": "No better than calling every voxel foreground",
    "overfitting": "Overfitting at the end (the best score is of the time before)",
    "not_converged": "Still getting better at the last validation, so that with more steps the order may change",
}


def cautions_of(groups: Sequence[Group]) -> Iterator[str]:
    """Yield what to keep in mind when groups are compared, the gravest first."""
    yield from _other_data(groups)
    yield from _other_losses(groups)
    yield from _about_runs(groups)
    yield from _other_versions(groups)
    yield from _chances(groups)


def _other_data(groups: Sequence[Group]) -> Iterator[str]:
    entries = [entries_of(group.recipe) for group in groups]

    def differing(*heads: str) -> list[str]:
        keys = dict.fromkeys(key for each in entries for key in each if key.startswith(heads))
        return [key for key in keys if any(each.get(key) != entries[0].get(key) for each in entries)]

    own = all("validation_dataset.name" in each for each in entries)
    validated = differing("validation_dataset.") if own else differing("validation_dataset.", "dataset.", "split.")
    prints = {group.runs[0].validation_data for group in groups}
    known = "" not in prints
    if known and len(prints) == 1:
        validated = [key for key in validated if not _only_places(key, groups)]
    trained = differing("dataset.") if own else differing("dataset.", "split.")
    if validated:
        yield (
            f"Validated on different data ({', '.join(validated)}): scores of different images cannot be set off against each "
            "other. A difference may be one of the data and not of what was changed."
        )
    elif len(prints if known else {group.runs[0].data for group in groups}) > 1 and (known or not trained):
        yield (
            "The fingerprints of the validation data differ though the recipes name the same: files were moved, or written "
            "again between the runs. Make sure that they were validated on the same images."
        )
    elif trained:
        yield f"Trained on different data ({', '.join(trained)}), validated on the same."
    elif len({group.runs[0].data for group in groups}) > 1:
        yield (
            "Trained on different data though the recipes name the same: files were moved, or written again between the runs. "
            "They were validated on the same."
        )
    if patches := differing("sampling.patch_shape", "sampling.planes", "training.validation_patches"):
        yield f"Validated on different patches ({', '.join(patches)}): small differences may come from that."


def _only_places(key: str, groups: Sequence[Group]) -> bool:
    """Return whether an entry says no more than what data there are, which fingerprints tell, and not what is made of them."""
    head, _, option = key.partition(".")
    if head == "split":
        return True
    chosen = [getattr(group.recipe, head) for group in groups]
    parameters = [registries["datasets"][choice.name].parameters for choice in chosen if choice is not None]
    return len(parameters) == len(chosen) and all(
        any(record.name == option and record.location for record in records) for records in parameters
    )


def _other_losses(groups: Sequence[Group]) -> Iterator[str]:
    losses = {repr({k: v for k, v in entries_of(g.recipe).items() if k.startswith("loss")}) for g in groups}
    if len(losses) > 1:
        yield (
            "The groups minimise different losses, whose values cannot be compared, nor can the stability computed from "
            "them. Look at the score."
        )


def _about_runs(groups: Sequence[Group]) -> Iterator[str]:
    concerned: dict[str, list[tuple[Group, list[str]]]] = {}
    for group in groups:
        found: dict[str, list[str]] = {}
        for run in group.runs:
            for finding in find_problems(run.folder):
                found.setdefault(finding.kind, []).append(run.name)
        for kind, names in found.items():
            concerned.setdefault(kind, []).append((group, names))
    for kind, said in _SAID.items():
        if kind in concerned:
            yield f"{said}: {_some(concerned[kind])}."
    without = [(group, names) for group in groups if (names := [run.name for run in group.runs if run.best is None])]
    if without:
        yield f"Without a score, and left out of the mean: {_some(without)}."
    for group in groups:
        if group.repeats:
            yield (
                f"{group.name}: left out {', '.join(group.repeats)}, because another run of this recipe has the same seed. "
                "Repeating a seed says nothing about the spread."
            )


def _some(concerned: list[tuple[Group, list[str]]]) -> str:
    """Return which runs of which groups it is about: ``unet (seed0, seed2 of 3 runs); slow``."""
    parts = [
        group.name
        if len(names) == len(group.runs)
        else f"{group.name} ({', '.join(names[:4])}{', …' if len(names) > 4 else ''} of {len(group.runs)} runs)"
        for group, names in concerned
    ]
    more = f"; and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    return f"{'; '.join(parts[:_NAMED])}{more}"


def _other_versions(groups: Sequence[Group]) -> Iterator[str]:
    found: dict[str, set[str]] = {}
    for group in groups:
        for run in group.runs:
            description: dict[str, Any] = json.loads((run.folder / "run.json").read_bytes())
            for name, version in _versions(description):
                found.setdefault(name, set()).add(version)
    changed = [f"{name} {' and '.join(sorted(versions))}" for name, versions in found.items() if len(versions) > 1]
    if changed:
        yield f"Made by different versions: {'; '.join(changed)}."


def _versions(description: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "segkit", str(description.get("segkit", ""))
    yield "torch", str(description.get("determinism", {}).get("torch", ""))
    yield from description.get("plugins", {}).items()


def _chances(groups: Sequence[Group]) -> Iterator[str]:
    looks = {group.recipe.training.steps / group.recipe.training.validate_every for group in groups}
    if len(looks) > 1 and max(looks) >= 2 * min(looks):
        yield (
            f"The best of about {max(looks):.0f} validations is compared with the best of about {min(looks):.0f}: whoever looks "
            "more often finds a better one by chance. Compare the final scores too."
        )
    if len(groups) > _MANY and any(len(group.runs) > 1 for group in groups):
        yield (
            f"{len(groups) - 1} differences with an interval of 95 % each: about one in twenty excludes 0 by chance alone, more "
            "so where the reference was chosen for its score."
        )
