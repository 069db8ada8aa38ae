"""What the panel says about a run, from journal records alone."""

from __future__ import annotations

from datetime import datetime

import pytest

from napari_segkit.session.trainings._run_progress import Rate, RunProgress, eta_text

CLOCK = datetime(2026, 3, 1, 15, 6)


def step(number: int, loss: float = 0.5) -> dict:
    return {"event": "step", "step": number, "loss": loss, "learning_rate": 1e-3, "seconds": 0.1}


def test_nothing_is_known_before_the_first_record() -> None:
    run = RunProgress()
    run.feed([], 0.0)
    assert run.state == "waiting"
    assert run.line(CLOCK).startswith("Preparing")
    assert run.scores() == ""


def test_a_whole_run() -> None:
    run = RunProgress()
    run.feed([{"event": "started", "step": 0, "steps": 100}, step(1, 0.9), step(2, 0.8)], 0.0)
    run.feed(
        [
            {"event": "validation", "step": 2, "loss": 0.7, "metrics": {"dice": 0.25, "voi_split": None}, "best": True},
            {"event": "checkpoint", "step": 2},
            {
                "event": "preview",
                "step": 2,
                "path": "p",
                "start": [0, 0, 0],
                "shape": [1, 8, 8],
                "request": "1",
                "seconds": 1,
            },
        ],
        1.0,
    )
    assert (run.state, run.step, run.steps) == ("running", 2, 100)
    assert list(zip(run.losses.steps, run.losses.values, strict=True)) == [(1, 0.9), (2, 0.8)]
    assert run.best == ("dice", 0.25)
    assert run.best_step == run.checkpoint_step == 2
    assert run.preview is not None
    assert "dice 0.25" in run.scores()
    assert "best at step 2" in run.scores()
    run.feed([{"event": "finished", "step": 100, "reason": "completed"}], 2.0)
    assert run.state == "finished"
    assert run.line(CLOCK).endswith("completed")


def test_a_resumed_run_forgets_what_it_computes_again() -> None:
    run = RunProgress()
    run.feed([{"event": "started", "step": 0, "steps": 100}, *(step(n) for n in range(1, 31))], 0.0)
    run.feed([{"event": "validation", "step": 25, "loss": 1.0, "metrics": {}, "best": True}], 0.0)
    run.feed([{"event": "started", "step": 20, "steps": 200}, step(21, 0.1)], 1.0)
    assert max(run.losses.steps) == 21
    assert run.losses.at(21) == 0.1
    assert len(run.losses) == 21
    assert run.validations == {}
    assert run.steps == 200


def test_a_failure_keeps_its_message() -> None:
    run = RunProgress()
    run.feed([{"event": "started", "step": 0, "steps": 10}, {"event": "failed", "message": "The loss is NaN."}], 0.0)
    assert (run.state, run.reason) == ("failed", "The loss is NaN.")


def test_unknown_events_and_undefined_losses_are_taken() -> None:
    run = RunProgress()
    run.feed([{"event": "started", "step": 0, "steps": 10}, {"event": "later_version"}, step(1) | {"loss": None}], 0.0)
    assert run.losses.at(1) != run.losses.at(1)


def test_the_rate_follows_the_last_half_minute() -> None:
    rate = Rate()
    for second in range(61):
        rate.reach(10 * second, float(second))
    assert rate.per_second == pytest.approx(10)
    for second in range(61, 181):
        rate.reach(600 + 2 * (second - 60), float(second))
    assert rate.per_second == pytest.approx(2, rel=0.2)
    assert rate.seconds_left(840 + 200) == pytest.approx(100, rel=0.2)


def test_no_time_is_named_before_enough_was_seen() -> None:
    rate = Rate()
    rate.reach(0, 0.0)
    rate.reach(3, 1.0)
    assert rate.per_second
    assert rate.seconds_left(100) is None


def test_the_line_has_count_rate_and_time() -> None:
    run = RunProgress()
    run.feed([{"event": "started", "step": 0, "steps": 5000}], 0.0)
    for second in range(1, 21):
        run.feed([step(5 * second)], float(second))
    line = run.line(CLOCK)
    assert "Step 100 of 5\N{NARROW NO-BREAK SPACE}000" in line
    assert "5 steps/s" in line
    assert "about 16 min (until 15:22)" in line


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "about 1 s (until 15:06)"), (840, "about 14 min (until 15:20)"), (9000, "about 2.5 h (until 17:36)")],
)
def test_durations_as_people_say_them(seconds: float, text: str) -> None:
    assert eta_text(seconds, CLOCK) == text
