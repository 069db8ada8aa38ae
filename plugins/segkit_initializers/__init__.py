"""Built-in initializers of weights. Random numbers come from torch: set its seed to repeat them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Lt

import segkit

if TYPE_CHECKING:
    from torch import nn

    Initializer = Callable[[nn.Module], None]


def kaiming(
    *,
    fan: Literal["in", "out"] = "in",
    slope: Annotated[float, Ge(0)] = 0.01,
    distribution: Literal["normal", "uniform"] = "normal",
) -> Initializer:
    """Weights that keep the signal's size through layers followed by a (leaky) ReLU (He 2015).

    Equations 10, 14 and 15 of https://arxiv.org/abs/1502.01852. Sets all convolutions, transposed ones included, and
    linear layers; biases become 0, norms 1 and 0.

    Parameters
    ----------
    fan
        Whether the size is kept on the way in (of features) or on the way out (of gradients).
    slope
        Slope of the activation below 0: 0 for a ReLU, 0.01 for a leaky one, 1 for none.
    distribution
        Of the weights.
    """
    from segkit_initializers._schemes import Scaled

    return Scaled((2 / (1 + slope**2)) ** 0.5, fan, distribution)


def xavier(
    *, gain: Annotated[float, Gt(0)] = 1.0, distribution: Literal["uniform", "normal"] = "uniform"
) -> Initializer:
    """Weights that keep the size of features and gradients through linear layers, or nearly linear ones (Glorot 2010).

    Equation 16 of http://proceedings.mlr.press/v9/glorot10a.html. Sets all convolutions, transposed ones included, and
    linear layers; biases become 0, norms 1 and 0.

    Parameters
    ----------
    gain
        Factor on the weights; 1 for tanh.
    distribution
        Of the weights.
    """
    from segkit_initializers._schemes import Scaled

    return Scaled(gain, "mean", distribution)


def orthogonal(*, gain: Annotated[float, Gt(0)] = 1.0) -> Initializer:
    """Weights that are (parts of) random rotations, which very deep networks profit from (Saxe 2014).

    See https://arxiv.org/abs/1312.6120. Sets all convolutions, transposed ones included, and linear layers; biases become
    0, norms 1 and 0.

    Parameters
    ----------
    gain
        Factor on the weights; 1.41 where ReLUs follow.
    """
    from segkit_initializers._schemes import Orthogonal

    return Orthogonal(gain)


def zero_last(
    *,
    foreground: Annotated[float, Gt(0), Lt(1)] | None = None,
    others: Literal["unchanged", "kaiming", "xavier", "orthogonal"] = "unchanged",
) -> Initializer:
    """A last layer of zeros: the network starts by saying the same everywhere, and learns from there.

    The last layer is the convolution or linear layer that the network registered last. Starting at the share of the
    foreground keeps rare objects from being drowned at first (section 3.3 of Lin 2017, https://arxiv.org/abs/1708.02002).

    Parameters
    ----------
    foreground
        Probability of each output channel at the start, read through a sigmoid; None for a bias of 0. Classes that exclude
        each other start alike whatever it is.
    others
        How all other layers are set, with the defaults of that initializer.
    """
    from segkit_initializers._schemes import ZeroLast

    return ZeroLast(foreground, SCHEMES[others]() if others in SCHEMES else None)


def fixup(*, slope: Annotated[float, Ge(0)] = 0.0) -> Initializer:
    """Residual networks of any depth without normalisation: branches begin at zero, and their inner layers small (Zhang 2019).

    The last layer of every residual branch and of the network become 0, the other layers of a branch of m layers in a
    network of L branches are those of He (2015) times ``L ** (-1 / (2 * m - 2))``, so that a step of the optimizer changes the
    output alike at every depth (https://arxiv.org/abs/1901.09321). Its scalar factors and biases are the architecture's:
    `deep_fc` has them. Where a normalisation ends a branch, its factors become 0 instead; other norms become 1 and 0.

    Parameters
    ----------
    slope
        Slope of the activation below 0: 0 for a ReLU, 0.01 for a leaky one.

    Raises
    ------
    UsageError
        If no module of the network has a `residual_branch`.
    """
    from segkit_initializers._residual import Fixup
    from segkit_initializers._schemes import Scaled

    return Fixup(Scaled((2 / (1 + slope**2)) ** 0.5, "in", "normal"))


def rezero(*, others: Literal["kaiming", "xavier", "orthogonal"] = "kaiming") -> Initializer:
    """Residual networks of any depth: the learnt factor of every branch begins at zero (Bachlechner 2020).

    The network begins as its first and last layer alone, and each block enters as its factor grows
    (https://arxiv.org/abs/2003.04887). A block without a factor of its own has one for each channel where a normalisation
    ends its branch, as convolutional ones do (section 5.1 of https://arxiv.org/abs/1706.02677).

    Parameters
    ----------
    others
        How the layers are set, with the defaults of that initializer.

    Raises
    ------
    UsageError
        If no module of the network has a `residual_branch`, or one that has lacks both factors.
    """
    from segkit_initializers._residual import ReZero

    return ReZero(SCHEMES[others]())


SCHEMES: dict[str, Callable[[], Initializer]] = {"kaiming": kaiming, "xavier": xavier, "orthogonal": orthogonal}


@segkit.hookimpl
def segkit_initializers() -> dict[str, Callable[..., Initializer]]:
    """Offer all of them."""
    return {
        "fixup": fixup,
        "kaiming": kaiming,
        "orthogonal": orthogonal,
        "rezero": rezero,
        "xavier": xavier,
        "zero_last": zero_last,
    }
