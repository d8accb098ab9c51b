"""The metric of the descent: a Hessian that can be solved with, on all rows or on a sample of them."""

import numpy as np

from ..curvature import Cholesky

__all__ = ["excess_of", "metric_at"]


def metric_at(objective, theta):
    """The Hessian of J at theta, factorised."""
    return Cholesky(without_shift(objective.hessian(theta), objective.shape))


def excess_of(objective, point):
    """J - min J, estimated by half the squared Newton decrement."""
    return 0.5 * np.vdot(point.gradient, metric_at(objective, point.theta).solve(point.gradient))


def without_shift(hessian, shape):
    """Give curvature to the directions that a softmax does not see.

    A constant added to all scores changes no probability, so for each feature j the direction (theta_j + c, ..., theta_j + c)
    has no curvature but the penalty's. No gradient has a part along it: curvature added there changes no step, and makes
    H definite.
    """
    p, k = shape
    if k > 1:
        blocks = hessian.reshape(p, k, p, k)
        feature = np.arange(p)
        blocks[feature, :, feature, :] += np.einsum("jcjc->j", blocks)[:, None, None] / k**2
    return hessian
