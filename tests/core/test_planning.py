"""Plans: what fingerprints lead to, and that the written file says the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import segkit
from segkit.analysis import ClassCount, Fingerprint, Intensity, Labels, SampleRow, Spread, fingerprint
from segkit.errors import DataError, UsageError
from segkit.planning import RULES, Plan, plan
from segkit.planning._numbers import rounded
from segkit.recipe import Recipe, Selection, load_recipe

LIGHT = Intensity("0", 20, 10, 0, 2, 10, 130, 255, 0.0, 0.0)
GREY = Intensity("0", 128, 30, 0, 60, 126, 200, 255, 0.0, 0.0)


def bound() -> Selection:
    from segkit.parameters import bind
    from segkit.registry import registries

    factory = registries["datasets"]["files"].factory
    return Selection("datasets:files", bind(factory, {"raw": "/nowhere/raw.tif", "labels": "/nowhere/labels.tif"}))


def spread(*values: float) -> Spread:
    found = Spread.of(values)
    assert found is not None
    return found


def objects(
    diameter: float, *, planar: bool, round_ones: bool = True, count: float = 20, touching: float = 0.3
) -> Labels:
    side = diameter if round_ones else 3 * diameter
    size = np.pi / 4 * diameter**2 if planar else np.pi / 6 * diameter**3
    extent = (spread(1.0 if planar else side), spread(side), spread(side))
    return Labels(
        "objects",
        ids=100,
        labelled=1.0,
        positive=0.3,
        objects=spread(*(0.5 * count, 1.5 * count) * 10),
        object_voxels=spread(size),
        object_diameter=spread(diameter),
        object_extent=extent,
        touching=touching,
    )


def made(shape: tuple[int, int, int], labels: Labels, *, names: int | list[str] = 1, **others: object) -> Fingerprint:
    listed = [f"image{n}.tif" for n in range(names)] if isinstance(names, int) else names
    rows = tuple(SampleRow(n, n, (0, 0, 0), shape, 1, 1, 0, 2, 0, 0, 1, 0.1, 5, 10, 1.0, digest=n) for n in listed)
    base = Fingerprint(
        samples=len(rows),
        voxels=len(rows) * int(np.prod(shape)),
        shape=(shape, shape, shape),
        voxel_size=None,
        channels=1,
        dtype="uint8",
        intensity=(GREY,),
        labels=labels,
        rows=rows,
    )
    return replace(base, **others)


def planned(found: Fingerprint, **options: object) -> Plan:
    volume = segkit.Volume.from_array(np.zeros((1, 4, 4), np.uint8))
    samples = [segkit.Sample(row.name, volume, volume) for row in found.rows]
    return plan(found, samples, dataset=bound(), measure=False, device="cpu", **options)  # type: ignore[arg-type]


def test_the_written_file_is_the_recipe_with_a_reason_above_every_entry(tmp_path: Path) -> None:
    made_plan = planned(made((1, 256, 256), objects(18, planar=True), names=40))
    path = tmp_path / "recipe.toml"
    path.write_text(made_plan.to_toml())
    assert load_recipe(path) == made_plan.recipe
    text = path.read_text().splitlines()
    for choice in made_plan.choices:
        assert choice.reason.endswith((".", ":")), choice
        assert " ".join(choice.reason.split()[:3]) in "\n".join(text), choice
    assert all(len(line) <= 120 for line in text)


def test_a_validation_dataset_is_kept_and_nothing_is_held_out(tmp_path: Path) -> None:
    other = replace(bound(), options={**bound().options, "raw": "/nowhere/other.tif"})
    made_plan = planned(made((1, 256, 256), objects(18, planar=True), names=40), validation_dataset=other)
    (tmp_path / "recipe.toml").write_text(made_plan.to_toml())
    assert load_recipe(tmp_path / "recipe.toml").validation_dataset == other
    assert not any(choice.key.startswith("split") for choice in made_plan.choices)


def test_every_choice_is_in_the_recipe() -> None:
    made_plan = planned(made((1, 256, 256), objects(18, planar=True), names=40))
    tables = made_plan.recipe.to_mapping()
    for choice in made_plan.choices:
        section, _, option = choice.key.partition(".")
        if section in ("loss", "augmentation"):
            assert any(table["name"].endswith(f":{option}") for table in tables[section])
        elif option != "name":
            value = tables[section][option]
            assert (tuple(value) if isinstance(value, list) else value) == (
                tuple(choice.value) if isinstance(choice.value, list) else choice.value
            )


def test_round_objects_that_touch_point_to_their_centres() -> None:
    recipe = planned(made((1, 256, 256), objects(18, planar=True), names=40)).recipe
    assert recipe.task.name == "tasks:centre_offsets"
    assert recipe.task.options["scale"] == 9
    assert recipe.task.options["in_plane_only"]
    assert recipe.architecture.options["dimensions"] == "2d"
    assert recipe.sampling.patch_shape == (1, 128, 128)
    assert recipe.split.by == "density"


def test_branched_objects_that_touch_in_a_volume_get_affinities() -> None:
    labels = replace(objects(18, planar=False, round_ones=False, touching=1.0), positive=0.99)
    recipe = planned(made((128, 192, 192), labels, voxel_size=(10.0, 10.0, 10.0))).recipe
    assert recipe.task.name == "tasks:affinities"
    assert not recipe.task.options["foreground"]
    assert recipe.architecture.options["dimensions"] == "3d"
    assert recipe.split.by == "end"
    assert recipe.split.gap == 9
    assert all(side % 8 == 0 for side in recipe.sampling.patch_shape)
    assert "augmentations:quarter_turns" in [choice.name for choice in recipe.augmentation]


def test_objects_apart_need_no_more_than_foreground() -> None:
    recipe = planned(made((1, 256, 256), objects(18, planar=True, touching=0.0), names=40)).recipe
    assert recipe.task.name == "tasks:semantic"


def test_thick_sections_are_not_pooled_along_z() -> None:
    labels = objects(20, planar=False, round_ones=False)
    found = made((60, 512, 512), labels, voxel_size=(40.0, 8.0, 8.0))
    recipe = planned(found).recipe
    assert recipe.architecture.options["anisotropy"] == 5
    z, y, x = recipe.sampling.patch_shape
    assert y == x > 3 * z
    assert recipe.task.options["offsets"] == "anisotropic"
    assert "augmentations:slices" in [choice.name for choice in recipe.augmentation]


def test_objects_too_large_for_a_volume_are_learnt_in_planes() -> None:
    found = made((165, 768, 1024), Labels("classes", 1, 1.0, 0.05, objects=spread(46.0), object_diameter=spread(74.0)))
    recipe = planned(found).recipe
    assert recipe.architecture.options["dimensions"] == "2d"
    assert recipe.sampling.patch_shape == (1, 256, 256)


def test_classes_without_background_that_are_mostly_unlabelled() -> None:
    counts = tuple(ClassCount(number, 10_000 // number**2, 8) for number in range(1, 6))
    labels = Labels("classes", 5, 0.03, 1.0, objects=spread(5.0), object_diameter=spread(2.0), classes=counts)
    names = [f"S2_{place}_{n}.tif" for place in ("16PCC", "48PZC", "51PTS") for n in range(6)]
    found = made((1, 256, 256), labels, names=names, channels=11, intensity=(GREY,) * 11)
    recipe = planned(found).recipe
    assert recipe.task.options["class_ids"] == (1, 2, 3, 4, 5)
    assert recipe.loss[0].options["balance"] == 0.5
    assert recipe.split.by == "groups"
    assert recipe.sampling.balance == "classes"
    assert recipe.sampling.foreground == 1


def test_clouds_are_compressed() -> None:
    labels = objects(9, planar=True)
    bright = replace(GREY, sd=2.0)
    options = {"names": 9, "channels": 4}
    for channel, expected in ((GREY, "zscore"), (bright, "asinh")):
        found = made((1, 128, 128), labels, intensity=(channel,) * 4, **options)
        assert planned(found).recipe.sampling.normalization == expected


def test_fluorescence_and_electrons_are_varied_in_their_own_ways() -> None:
    names = {}
    for key, channel in (("light", LIGHT), ("electrons", GREY)):
        found = made((1, 256, 256), objects(18, planar=True), names=40, intensity=(channel,))
        names[key] = {c.name.partition(":")[2]: c.options for c in planned(found).recipe.augmentation}
    assert names["light"]["intensity"]["shot"] > 0
    assert names["electrons"]["intensity"]["shot"] == 0
    assert "blur" in names["light"]
    assert "blur" not in names["electrons"]


def test_nan_is_left_out() -> None:
    broken = replace(GREY, not_finite=0.001)
    assert (
        planned(made((1, 128, 128), objects(9, planar=True), names=9, intensity=(broken,))).recipe.sampling.non_finite
        == "mask"
    )


def test_images_to_restore_keep_their_brightness() -> None:
    g = np.random.default_rng(0)
    clean = g.normal(100, 20, (1, 64, 64)).astype(np.float32)
    samples = [
        segkit.Sample("a", segkit.Volume.from_array(clean + 5), segkit.Volume.from_array(clean)) for _ in range(6)
    ]
    made_plan = plan(fingerprint(samples), samples, dataset=bound(), measure=False, device="cpu")
    assert made_plan.recipe.task.name == "tasks:regression"
    assert made_plan.recipe.task.options["centre"] == pytest.approx(clean.mean(), rel=0.01)
    assert {c.name for c in made_plan.recipe.augmentation} <= {"augmentations:flips", "augmentations:quarter_turns"}
    assert made_plan.recipe.loss[0].name == "losses:mse"


def test_what_cannot_be_planned_is_refused() -> None:
    with pytest.raises(DataError, match="have no labels"):
        planned(made((1, 64, 64), Labels("none"), names=5))
    with pytest.raises(DataError, match="everywhere"):
        planned(
            made((1, 64, 64), objects(9, planar=True), names=5, intensity=(GREY, replace(GREY, sd=0.0)), channels=2)
        )
    with pytest.raises(UsageError, match="0 minutes"):
        planned(made((1, 64, 64), objects(9, planar=True), names=5), minutes=0)


def test_what_is_unusual_is_said() -> None:
    marks = objects(1.1, planar=True, touching=0.0)
    notes = planned(made((1, 128, 128), replace(marks, object_voxels=spread(1.0)), names=20)).notes
    assert any("mark places" in note for note in notes)
    copies = made((1, 128, 128), objects(9, planar=True), names=20)
    copies = replace(copies, rows=tuple(replace(row, digest="same") for row in copies.rows))
    assert any("copies" in note for note in planned(copies).notes)
    flat = replace(objects(12, planar=False), object_extent=(spread(6.0), spread(12.0), spread(12.0)))
    assert any("thicker" in note for note in planned(made((40, 64, 64), flat)).notes)


def test_the_density_rule_fires_above_its_threshold() -> None:
    few, many = (
        planned(made((1, 256, 256), objects(9, planar=True, count=count), names=20)).notes for count in (3, 109)
    )
    assert not any("dense_objects" in note for note in few)
    assert any("dense_objects" in note for note in many)


def test_a_rule_sets_all_or_some_of_its_settings() -> None:
    rule = RULES["dense_objects"]
    base = planned(made((1, 256, 256), objects(9, planar=True, touching=0.0), names=20)).recipe
    before, after = rule.recipe(base, "before"), rule.recipe(base)
    assert (before.optimizer.learning_rate, after.optimizer.learning_rate) == (1e-3, 1e-4)
    assert (before.loss[0].name, after.loss[0].name) == ("losses:focal", "losses:dice")
    assert after.sampling.batch_size == 32
    assert after.architecture.options["dropout"] == 0.3
    one = rule.recipe(before, only=("dropout",))
    assert [d.partition(":")[0] for d in before.differences(one)] == ["architecture.dropout"]
    assert isinstance(one, Recipe)


@pytest.mark.parametrize(("number", "expected"), [(0.0349, 0.03), (1e-3, 1e-3), (9.9e-4, 5e-4), (0.2, 0.2), (3.0, 3.0)])
def test_rounded_never_goes_up(number: float, expected: float) -> None:
    assert rounded(number) == pytest.approx(expected)
