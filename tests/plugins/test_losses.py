import numpy as np
import pytest
import torch

import segkit
import segkit_losses as losses
from segkit.errors import DataError, UsageError

SHAPE = (2, 3, 4, 5, 6)
ALL = {
    "bce": losses.bce(),
    "bce weighted": losses.bce(positive_weight=(2.0, 0.5, 3.0)),
    "cross_entropy": losses.cross_entropy(),
    "cross_entropy balanced": losses.cross_entropy(class_weights=(1.0, 4.0, 1.0), balance=0.5),
    "cross_entropy weighted": losses.cross_entropy(class_weights=(1.0, 4.0, 0.0)),
    "focal": losses.focal(),
    "focal balanced": losses.focal(alpha=0.25, class_weights=(1.0, 2.0, 3.0)),
    "focal shallow": losses.focal(gamma=0.5),
    "dice": losses.dice(),
    "dice per sample": losses.dice(per_sample=True),
    "dice foreground": losses.dice(background=False),
    "jaccard": losses.jaccard(),
    "tversky": losses.tversky(),
    "tversky focal": losses.tversky(exponent=0.75, per_sample=True),
    "mse": losses.mse(),
    "l1": losses.l1(),
}
everyone = pytest.mark.parametrize("loss", ALL.values(), ids=ALL.keys())
both = pytest.mark.parametrize("classes", [False, True], ids=["channels", "classes"])


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def batch(classes, shape=SHAPE, soft=False):
    logits = 2 * torch.randn(shape)
    n, k, *space = shape
    target = torch.randint(0, k, (n, *space)) if classes else (torch.rand(shape) if soft else torch.rand(shape).round())
    return logits, target, (torch.rand(n, 1, *space) > 0.3).float()


def gradient(loss, logits, target, mask):
    logits = logits.clone().requires_grad_()
    value = loss(logits, target, mask)
    assert value.shape == ()
    assert value.dtype == torch.float32
    value.backward()
    return value.detach(), logits.grad


# -- references in numpy, voxel by voxel -------------------------------------------------------------------------------


def read(logits, target, mask):
    """Return predicted and true probabilities and the mask, float64 of the same shape."""
    x = logits.double().numpy()
    if target.is_floating_point():
        p, t = 1 / (1 + np.exp(-x)), target.double().numpy()
    else:
        e = np.exp(x - x.max(1, keepdims=True))
        p = e / e.sum(1, keepdims=True)
        t = np.moveaxis(np.eye(x.shape[1])[target.numpy()], -1, 1)
    return p, t, np.broadcast_to(mask.numpy() > 0, p.shape)


def binary(p, t, positive=1.0):
    return -(positive * t * np.log(p) + (1 - t) * np.log(1 - p))


def column(weights):
    return np.asarray(weights, float).reshape(1, -1, 1, 1, 1)


@pytest.mark.parametrize("soft", [False, True])
def test_binary_cross_entropy(soft):
    logits, target, mask = batch(False, soft=soft)
    p, t, m = read(logits, target, mask)
    assert losses.bce()(logits, target, mask).item() == pytest.approx(binary(p, t)[m].mean(), rel=1e-5)
    weighted = losses.bce(positive_weight=(2.0, 0.5, 3.0))(logits, target, mask)
    assert weighted.item() == pytest.approx(binary(p, t, column((2, 0.5, 3)))[m].mean(), rel=1e-5)


def test_cross_entropy_of_classes():
    logits, target, mask = batch(True)
    p, t, m = read(logits, target, mask)
    w = np.array([1.0, 4.0, 0.5])
    each = -np.log((p * t).sum(1))[m[:, 0]]
    share = w[target.numpy()][m[:, 0]]
    assert losses.cross_entropy()(logits, target, mask).item() == pytest.approx(each.mean(), rel=1e-5)
    assert losses.bce()(logits, target, mask).item() == pytest.approx(each.mean(), rel=1e-5)
    weighted = losses.cross_entropy(class_weights=tuple(w))(logits, target, mask)
    assert weighted.item() == pytest.approx((each * share).sum() / share.sum(), rel=1e-5)
    twice = losses.cross_entropy(class_weights=tuple(2 * w))(logits, target, mask)
    assert twice.item() == pytest.approx(weighted.item(), rel=1e-5)
    reference = torch.nn.functional.cross_entropy(logits, target, torch.tensor(w).float(), reduction="none")
    factor = torch.tensor(w)[target] * mask[:, 0]
    torch.testing.assert_close(weighted, ((reference * mask[:, 0]).sum() / factor.sum()).float())


def test_balanced_cross_entropy_is_the_mean_of_the_classes_in_the_batch():
    logits, target, mask = batch(True)
    target[target == 2] = 1
    target[0, 0, 0, 0], mask[0, 0, 0, 0, 0] = 0, 1
    mask[(target == 0)[:, None]] = 0
    mask[0, 0, 0, 0, 0] = 1  # class 0 in a single known voxel, class 1 in many, class 2 in none
    terms = torch.nn.functional.cross_entropy(logits, target, reduction="none")
    known = mask[:, 0] > 0
    expected = (terms[0, 0, 0, 0] + terms[known & (target == 1)].mean()) / 2
    torch.testing.assert_close(losses.cross_entropy(balance=1.0)(logits, target, mask), expected)
    weighted = losses.cross_entropy(balance=1.0, class_weights=(3.0, 1.0, 1.0))(logits, target, mask)
    expected = (3 * terms[0, 0, 0, 0] + terms[known & (target == 1)].mean()) / 4
    torch.testing.assert_close(weighted, expected)
    count = int((known & (target == 1)).sum())
    expected = (terms[0, 0, 0, 0] + count**-0.5 * terms[known & (target == 1)].sum()) / (1 + count**0.5)
    torch.testing.assert_close(losses.cross_entropy(balance=0.5)(logits, target, mask), expected)
    wild = torch.where(known, target, torch.full_like(target, 255))  # a reserved id where nothing is known
    expected = losses.cross_entropy(balance=1.0)(logits, target, mask)
    torch.testing.assert_close(losses.cross_entropy(balance=1.0)(logits, wild, mask), expected)


def test_cross_entropy_of_channels_weighs_them():
    logits, target, mask = batch(False)
    p, t, m = read(logits, target, mask)
    w = np.broadcast_to(column((1, 4, 0)), p.shape)[m]
    value = losses.cross_entropy(class_weights=(1.0, 4.0, 0.0))(logits, target, mask)
    assert value.item() == pytest.approx((binary(p, t)[m] * w).sum() / w.sum(), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0, 5.0])
def test_focal(gamma):
    logits, target, mask = batch(False)
    p, t, m = read(logits, target, mask)
    p_t, a_t = np.where(t == 1, p, 1 - p), np.where(t == 1, 0.25, 0.75)
    expected = -a_t * (1 - p_t) ** gamma * np.log(p_t)
    value = losses.focal(gamma=gamma, alpha=0.25)(logits, target, mask)
    assert value.item() == pytest.approx(expected[m].mean(), rel=1e-5)

    logits, target, mask = batch(True)
    p, t, m = read(logits, target, mask)
    p_t = (p * t).sum(1)[m[:, 0]]
    expected = -((1 - p_t) ** gamma) * np.log(p_t)
    assert losses.focal(gamma=gamma)(logits, target, mask).item() == pytest.approx(expected.mean(), rel=1e-5)
    if gamma == 0:
        assert losses.focal(gamma=0.0)(logits, target, mask).item() == pytest.approx(
            losses.cross_entropy()(logits, target, mask).item(), rel=1e-6
        )


@both
@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_overlap(classes, per_sample, background):
    logits, target, mask = batch(classes, soft=True)
    p, t, m = read(logits, target, mask)
    first = 1 if classes and not background else 0
    scores = {"dice": [], "jaccard": [], "tversky": []}
    for samples in ([0], [1]) if per_sample else ([0, 1],):
        for k in range(first, 3):
            known = m[samples, k]
            a, b = p[samples, k][known], t[samples, k][known]
            both, either = (a * b).sum(), a.sum() + b.sum()
            scores["dice"].append((2 * both + 1) / (either + 1))
            scores["jaccard"].append((both + 1) / (either - both + 1))
            fp, fn = (a * (1 - b)).sum(), ((1 - a) * b).sum()
            scores["tversky"].append((both + 1) / (both + 0.3 * fp + 0.7 * fn + 1))
    for name, values in scores.items():
        loss = getattr(losses, name)(per_sample=per_sample, background=background)
        assert loss(logits, target, mask).item() == pytest.approx(1 - np.mean(values), rel=1e-5), name
    focal = losses.tversky(per_sample=per_sample, background=background, exponent=0.75)
    expected = np.mean((1 - np.array(scores["tversky"])) ** 0.75)
    assert focal(logits, target, mask).item() == pytest.approx(expected, rel=1e-5)


def test_regression_reads_outputs_as_they_are():
    logits, target, mask = batch(False, soft=True)
    known = mask.bool().expand_as(logits)
    difference = (logits - target)[known]
    torch.testing.assert_close(losses.mse()(logits, target, mask), difference.square().mean())
    torch.testing.assert_close(losses.l1()(logits, target, mask), difference.abs().mean())
    logits, target, mask = batch(True)
    p, t, m = read(logits, target, mask)
    assert losses.mse()(logits, target, mask).item() == pytest.approx(((p - t) ** 2)[m].mean(), rel=1e-5)


# -- what all of them promise ------------------------------------------------------------------------------------------


@everyone
@both
def test_what_is_not_known_has_no_influence(loss, classes):
    logits, target, mask = batch(classes)
    value, slope = gradient(loss, logits, target, mask)
    unknown = (mask == 0).expand_as(logits)
    assert torch.isfinite(value)
    assert torch.isfinite(slope).all()
    assert (slope[unknown] == 0).all()
    assert (slope[~unknown] != 0).any()

    torn = logits.clone()
    torn[unknown] = 50 * torch.randn(int(unknown.sum()))
    strange = target.clone()
    strange[unknown[:, 0] if classes else unknown] = 255 if classes else float("nan")
    again, slope = gradient(loss, torn, strange, mask)
    torch.testing.assert_close(again, value)
    assert torch.isfinite(slope).all()


@everyone
def test_channels_may_be_known_in_different_places(loss):
    """A mask for each channel is that of all where they are alike, and cuts single channels out where they are not."""
    logits, target, mask = batch(False)
    torch.testing.assert_close(loss(logits, target, mask.expand_as(logits)), loss(logits, target, mask))
    mask = (torch.rand(SHAPE) > 0.3).float()
    mask[:, 1] = 0
    value, slope = gradient(loss, logits, target, mask)
    assert torch.isfinite(value)
    assert (slope[mask == 0] == 0).all()
    assert (slope[:, 0] != 0).any()
    target[:, 1] = float("nan")
    logits[:, 1] = 77
    torch.testing.assert_close(gradient(loss, logits, target, mask)[0], value)


@pytest.mark.parametrize("name", ["bce", "dice", "mse"])
def test_a_channel_that_is_nowhere_known_is_not_there(name):
    loss = getattr(losses, name)()
    logits, target, _ = batch(False)
    mask = (torch.rand(SHAPE) > 0.3).float()
    mask[:, 1] = 0
    kept = [0, 2]
    torch.testing.assert_close(loss(logits, target, mask), loss(logits[:, kept], target[:, kept], mask[:, kept]))


@everyone
@both
def test_nothing_known_is_a_loss_of_zero_with_a_gradient_of_zero(loss, classes):
    logits, target, mask = batch(classes)
    value, slope = gradient(loss, logits, target, torch.zeros_like(mask))
    assert value == 0
    assert (slope == 0).all()


@everyone
@both
@pytest.mark.parametrize("shape", [(1, 3, 1, 1, 1), (3, 3, 1, 4, 4)])
def test_degenerate_targets_are_finite(loss, classes, shape):
    logits, target, mask = batch(classes, shape)
    for constant in (0, 1):
        flat = torch.full_like(target, constant)
        for scale in (0.0, 1.0, 1e4):  # undecided, usual, saturated
            value, slope = gradient(loss, scale * logits, flat, torch.ones_like(mask))
            assert torch.isfinite(value)
            assert torch.isfinite(slope).all()
            assert value >= 0


@everyone
@both
def test_perfect_is_better_than_wrong(loss, classes):
    _, target, mask = batch(classes)
    truth = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float() if classes else target
    as_it_is = loss in (ALL["mse"], ALL["l1"]) and not classes
    good, bad = (truth, 1 - truth) if as_it_is else (20 * truth - 10, 10 - 20 * truth)
    assert loss(good, target, mask) < 0.01
    assert loss(bad, target, mask) > 0.2


@everyone
@both
def test_the_order_of_voxels_and_samples_does_not_matter(loss, classes):
    logits, target, mask = batch(classes)
    value = loss(logits, target, mask)
    torch.testing.assert_close(loss(logits.flip(0, 2, 4), target.flip(0, -3, -1), mask.flip(0, 2, 4)), value)
    torch.testing.assert_close(loss(logits.transpose(3, 4), target.transpose(-1, -2), mask.transpose(3, 4)), value)


@everyone
@both
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(loss, classes, kind):
    logits, target, mask = batch(classes, (2, 3, 16, 16, 16))  # sums beyond what float16 can hold
    logits = logits.to(kind)
    with torch.autocast("cpu", torch.bfloat16):
        value, slope = gradient(loss, logits, target, mask)
    assert slope.dtype == kind
    torch.testing.assert_close(value, loss(logits.float(), target, mask))


def test_more_weight_on_what_is_missed_costs_more_for_missing():
    target = torch.ones(1, 1, 1, 8, 8)
    missed, mask = torch.full_like(target, -2.0), torch.ones_like(target)
    careful = losses.tversky(false_positives=0.7, false_negatives=0.3)(missed, target, mask)
    assert losses.tversky()(missed, target, mask) > careful


def test_samples_without_labels_do_not_dilute():
    logits, target, mask = batch(False)
    mask[1] = 0
    loss = losses.dice(per_sample=True)
    torch.testing.assert_close(loss(logits, target, mask), loss(logits[:1], target[:1], mask[:1]))


def test_weights_that_do_not_fit_are_refused():
    logits, target, mask = batch(True)
    with pytest.raises(UsageError, match=r"`loss.class_weights` has 2 numbers.*3 output channels"):
        losses.cross_entropy(class_weights=(1.0, 2.0))(logits, target, mask)
    with pytest.raises(UsageError, match=r"positive_weight"):
        losses.bce(positive_weight=(1.0,))(logits, target, mask)


def test_shapes_that_do_not_fit_are_refused():
    logits, target, mask = batch(False)
    with pytest.raises(DataError, match="must have the shape"):
        losses.dice()(logits, target[:, :1], mask)
    with pytest.raises(DataError, match="mask"):
        losses.bce()(logits, target, mask[:, 0])
    logits, target, mask = batch(True)
    with pytest.raises(DataError, match="mask"):  # classes that exclude each other are known together
        losses.bce()(logits, target, mask.expand_as(logits))


def test_the_registry_validates_options(isolated_plugins):
    segkit.register(losses, "losses")
    assert set(segkit.losses) == {"bce", "cross_entropy", "dice", "focal", "jaccard", "l1", "mse", "tversky"}
    for component in segkit.losses.values():
        assert all(parameter.help for parameter in component.parameters)
    with pytest.raises(UsageError, match="class_weights"):
        segkit.losses["cross_entropy"](class_weights=(1.0, -1.0))
    with pytest.raises(UsageError, match="smooth"):
        segkit.losses["dice"](smooth=0.0)
