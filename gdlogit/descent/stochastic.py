"""Mini-batch and stochastic gradient descent.

    theta := prox(theta - alpha dJ_B(theta)),   J_B = n / S mean over i in B of s_i loss_i + R(theta)

One iteration is an epoch: the rows in a new random order, batch after batch, and then J over all rows. Batches of one
row are stochastic descent; one batch of all rows is batch descent. The automatic rate is alpha = 1 / (2 L_B), with L_B
the expected smoothness of a batch, between L for all rows and max_i L_i for one; after m epochs that did not lower J it
is 1 / (1 + m) of that. Where only noise is left it falls like 1 / epochs, as Robbins and Monro ask: the noise dies out,
and the descent never stalls, for the rates have no finite sum. An explicit rate stays as it is.

References
----------
Robbins and Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22 (1951).
Gower et al., "SGD: general analysis and improved rates", ICML 2019, equation 8 (expected smoothness).
"""

from math import isfinite, nan
from typing import NamedTuple

from ..objective import Point, tried
from .gradient import downhill, stable_rate
from .loop import Method

__all__ = ["minibatch"]


class StochasticState(NamedTuple):
    """theta; the rate of the next epoch, and that of the first."""

    point: Point
    excess: float
    rate: float
    first: float


def minibatch(learning_rate, batch_size, rng):
    """Descent along the gradient of one batch of rows at a time."""
    automatic = learning_rate == "auto"

    def start(objective, theta):
        rate = stable_rate(2 * objective.expected_smoothness(batch_size)) if automatic else learning_rate
        return StochasticState(objective.at(theta), nan, rate, rate)

    def step(objective, state):
        theta = state.point.theta
        for part in objective.batches(batch_size, rng):
            point = tried(part, theta)
            if not isfinite(point.value):
                break
            theta = downhill(theta, state.rate, point.gradient, objective.penalty)
        point = tried(objective, theta)
        if (theta == state.point.theta).all():  # no batch has moved it, now or ever
            return state._replace(point=point, rate=0.0)
        noisy = automatic and point.value >= state.point.value
        return state._replace(point=point, rate=state.rate / (1 + state.rate / state.first) if noisy else state.rate)

    return Method(start, step, "sgd")
