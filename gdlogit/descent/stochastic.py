"""Mini-batch and stochastic gradient descent.

    theta := prox(theta - alpha dJ_B(theta)),   J_B = n / S mean over i in B of s_i loss_i + R(theta)

One iteration is an epoch: the rows in a new random order, batch after batch, and then J over all rows. Batches of one
row make stochastic descent; one batch of all rows makes batch descent. The automatic rate is alpha = 1 / (2 L_B), where
L_B is the expected smoothness of a batch: between L, for a batch of all rows, and max_i L_i, for a batch of one row.
After m epochs that did not lower J the rate is 1 / (2 L_B (1 + m)). So where only noise is left, the rate falls like
1 / epochs, as Robbins and Monro ask: the noise dies out, and the descent never stalls, because the rates have no finite
sum. An explicit learning_rate does not change.

References
----------
Robbins and Monro, "A stochastic approximation method", Annals of Mathematical Statistics 22 (1951).
Gower et al., "SGD: general analysis and improved rates", ICML 2019, equation 8 (expected smoothness).
"""

from math import isfinite, nan
from typing import NamedTuple

from ..objective import Point, tried
from ..smoothness import expected_smoothness
from .gradient import downhill, stable_rate
from .loop import Method

__all__ = ["minibatch"]


class StochasticState(NamedTuple):
    """theta; the rate of the next epoch, and the rate of the first epoch."""

    point: Point
    excess: float
    rate: float
    first_rate: float


def minibatch(learning_rate, batch_size, rng):
    """Descent along the gradient of one batch of rows at a time."""
    automatic = learning_rate == "auto"

    def start(objective, theta):
        rate = stable_rate(2 * expected_smoothness(objective, batch_size)) if automatic else learning_rate
        return StochasticState(objective.at(theta), nan, rate, rate)

    def step(objective, state):
        theta = state.point.theta
        for batch in objective.batches(batch_size, rng):
            point = tried(batch, theta)
            if not isfinite(point.value):
                break
            theta = downhill(theta, state.rate, point.gradient, objective.penalty)
        point = tried(objective, theta)
        if (theta == state.point.theta).all():  # no batch has moved theta, so no later batch will
            return state._replace(point=point, rate=0.0)
        noisy = automatic and point.value >= state.point.value
        rate = state.rate / (1 + state.rate / state.first_rate) if noisy else state.rate
        return state._replace(point=point, rate=rate)

    return Method(start, step, "sgd")
