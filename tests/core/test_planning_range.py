"""The range test: by the trainer's own step, deterministic, and what it makes of curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segkit.cli import main
from segkit.errors import UsageError
from segkit.planning import range_test
from segkit.planning._range import judge
from segkit.recipe import Recipe, load_recipe
from segkit.training import Preparing, Step, fit, steps_at


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.from_mapping(
        {
            "task": {"name": "semantic"},
            "architecture": {"name": "unet", "dimensions": "2d", "width": 4, "depth": 1},
            "loss": [{"name": "bce"}],
            "dataset": {"name": "synthetic_beads", "shape": [32, 32], "count": 8, "fewest": 2, "most": 6},
            "sampling": {"patch_shape": [1, 32, 32], "batch_size": 2, "workers": 1},
            "training": {"steps": 6, "validate_every": 6, "device": "cpu"},
        }
    )


def test_steps_are_those_of_a_training(recipe: Recipe, tmp_path: Path) -> None:
    recipe = replace(recipe, schedule=replace(recipe.schedule, name="fixed"))
    rates = [recipe.optimizer.learning_rate] * 6
    tried = [event.loss for event in steps_at(recipe, rates) if isinstance(event, Step)]
    trained = [row["loss"] for row in fit(recipe, tmp_path / "run").state().rows.values()]
    assert tried == pytest.approx(trained, rel=1e-6)


def test_counts_are_kept_where_asked(recipe: Recipe, tmp_path: Path) -> None:
    _images(tmp_path, 4)
    dataset = {"name": "files", "raw": str(tmp_path / "images/*.tif"), "labels": str(tmp_path / "labels/*.tif")}
    stored = Recipe.from_mapping({**recipe.to_mapping(), "dataset": dataset})
    events = list(steps_at(stored, [1e-3], tmp_path))
    assert any(isinstance(event, Preparing) for event in events)
    assert list((tmp_path / "counts").iterdir())


def test_a_range_test_is_the_same_each_time_and_draws(recipe: Recipe, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    one = range_test(recipe, steps=30, lowest=1e-4, progress=lambda done, total: told.append((done, total)))
    two = range_test(recipe, steps=30, lowest=1e-4)
    assert one.losses == two.losses
    assert one.suggestion == two.suggestion
    assert told[-1] == (len(one.losses), 30)
    assert 1e-4 <= one.suggestion <= 1
    assert len(one.rates) == len(one.losses) == len(one.smoothed)
    one.draw(tmp_path / "lr_range.png")
    assert (tmp_path / "lr_range.png").read_bytes().startswith(b"\x89PNG")


def test_a_test_that_diverges_ends_early(recipe: Recipe) -> None:
    wild = replace(
        recipe,
        optimizer=replace(recipe.optimizer, name="sgd"),
        training=replace(recipe.training, clip=None),
    )
    found = range_test(wild, steps=40, lowest=1e-2, highest=1e6)
    assert found.diverged is not None
    assert len(found.losses) < 40
    assert found.suggestion <= found.diverged / 10 * (1 + 1e-9)


def test_the_suggestion_stays_a_decade_below_divergence() -> None:
    rates = np.geomspace(1e-5, 1e-1, 60)
    falling = 1 - 0.8 / (1 + np.exp(-(np.log10(rates) + 2.5) * 6))
    risen = np.where(rates > 2e-2, falling + 3 * (np.log10(rates) - np.log10(2e-2)), falling)
    found = judge(rates.tolist(), risen.tolist(), 3e-2, 0.1)
    assert found.suggestion <= 3e-3
    assert found.steepest == pytest.approx(10**-2.5, rel=0.3)


def test_a_flat_curve_is_said_to_be_a_guess() -> None:
    rates = np.geomspace(1e-5, 1, 60).tolist()
    noise = np.random.default_rng(0).normal(0, 0.01, 60)
    found = judge(rates, (0.7 + noise + 1e-3 * np.arange(60)).tolist(), None, 0.1)
    assert found.steepest is None
    assert "guess" in found.reason


def test_what_makes_no_sense_is_refused(recipe: Recipe) -> None:
    with pytest.raises(UsageError, match="10 steps or more"):
        range_test(recipe, steps=5)
    with pytest.raises(UsageError, match="first rate"):
        range_test(recipe, lowest=1, highest=0.1)
    with pytest.raises(UsageError, match="no longer finite"):
        judge([1.0, 2.0], [1.0, float("inf")], 2.0, 0.1)


def _images(folder: Path, count: int) -> None:
    import tifffile

    from segkit import datasets

    for kind in ("images", "labels"):
        (folder / kind).mkdir()
    for number, sample in enumerate(datasets["synthetic_beads"](shape=(48, 48), count=count, fewest=3, most=12)):
        assert sample.labels is not None
        tifffile.imwrite(folder / "images" / f"{number}.tif", sample.raw.read(sample.raw.box).reshape(48, 48))
        tifffile.imwrite(folder / "labels" / f"{number}.tif", sample.labels.read(sample.labels.box)[0])


def test_the_command_writes_a_recipe_that_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _images(tmp_path, 8)
    out = tmp_path / "plans" / "beads.toml"
    images, labels = str(tmp_path / "images/*.tif"), str(tmp_path / "labels/*.tif")
    with pytest.raises(SystemExit) as ended:
        main(["plan", images, "--labels", labels, "--no-measure", "--device", "cpu", "--to", str(out)])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "because" in shown
    assert "sampling.patch_shape" in shown
    recipe = load_recipe(out, {"training.steps": "2", "architecture.width": "4", "training.validate_every": "2"})
    run = fit(recipe, tmp_path / "run")
    assert run.state().finished == "completed"
    with pytest.raises(SystemExit) as ended:
        main(["plan", images, "--labels", labels, "--to", str(out)])
    assert ended.value.code == 73


def test_the_command_improves_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _images(tmp_path, 8)
    old = tmp_path / "old.toml"
    old.write_text(
        'seed = 5\n[task]\nname = "semantic"\n[architecture]\nname = "unet"\n[[loss]]\nname = "bce"\n'
        '[dataset]\nname = "files"\nraw = "images/*.tif"\nlabels = "labels/*.tif"\n'
    )
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(old), "--no-measure", "--to", str(tmp_path / "new.toml")])
    assert ended.value.code == 0
    assert "differ from the recipe before" in capsys.readouterr().out
    new = load_recipe(tmp_path / "new.toml")
    assert new.seed == 5
    assert new.dataset == load_recipe(old).dataset
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(old), "--labels", "x.tif"])
    assert ended.value.code == 2


@pytest.mark.slow
def test_the_command_measures(tmp_path: Path) -> None:
    _images(tmp_path, 8)
    out = tmp_path / "beads.toml"
    with pytest.raises(SystemExit) as ended:
        main(
            [
                *("plan", str(tmp_path / "images/*.tif"), "--labels", str(tmp_path / "labels/*.tif")),
                *("--budget", "0.2", "--device", "cpu", "--to", str(out)),
            ]
        )
    assert ended.value.code == 0
    assert (tmp_path / "lr_range.png").exists()
    text = out.read_text()
    assert "A step takes" in text
    assert "Range test of" in text
