"""The loss along a line of scores.

Scores are affine in theta. So a step alpha along a direction moves the scores z of the rows to z + alpha dz, where dz
is what the direction changes. Value and slope of the loss at any alpha then cost no product with the rows.
"""

from functools import partial
from math import sqrt
from typing import NamedTuple

import numpy as np

from . import summands
from .objective import Objective, Point

__all__ = ["Line", "LossAt", "labels_and_weights"]


class LossAt(NamedTuple):
    """The mean loss, its slope along a line, its standard error, and its gradient in theta, if it has been made."""

    mean: float
    slope: float
    error: float
    gradient: np.ndarray | None


def labels_and_weights(objective):
    """The label and the weight of each row, which a ``Line`` needs."""
    return objective.rows.each(summands.label), objective.rows.each(summands.weight)


class Line(NamedTuple):
    """The scores z + alpha dz of every row: z are the ``scores`` at its start, and dz their ``change``."""

    objective: Objective
    labels: tuple[np.ndarray, np.ndarray]
    scores: np.ndarray
    change: np.ndarray

    def loss(self, rate):
        """The ``LossAt`` a rate alpha, without a pass."""
        f = partial(summands.trial, self.objective.loss, rate)
        return loss_at(self.objective.rows.sum_known(f, self.scores, self.change, *self.labels), self.objective.total)

    def loss_and_gradient(self, rate):
        """The same with the gradient of the loss in theta, in half a pass."""
        self.objective.passes += 0.5
        f = partial(summands.trial_and_gradient, self.objective.loss, rate)
        return loss_at(self.objective.rows.sum(f, self.scores, self.change), self.objective.total)

    def scores_at(self, rate):
        """The scores at a rate alpha, without a pass."""
        return self.objective.rows.map(partial(summands.moved, rate), self.scores, self.change)

    def point(self, theta, z, loss):
        """The Point at theta with scores z, from the ``LossAt`` there; in half a pass if that has no gradient."""
        if loss.gradient is None:
            return self.objective.at_scores(theta, z)
        penalty = self.objective.penalty
        return Point(theta, loss.mean + penalty.value(theta), loss.gradient + penalty.gradient(theta))


def loss_at(sums, total):
    """The ``LossAt`` of sums over the rows, whose weights have a total."""
    loss, slope, *moments = sums[:5]
    mean = float(loss) / total
    squares = np.dot(moments, [1, -2 * mean, mean**2])  # of s (L - mean)
    gradient = sums[5] / total if len(sums) > 5 else None
    return LossAt(mean, float(slope) / total, sqrt(max(squares, 0.0)) / total, gradient)
