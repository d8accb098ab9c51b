"""The metrics of the descent with an l1 penalty: a model of J around a point, and the step to the model's minimum.

    J(theta + d)  ~  J(theta) + g^T d + 1/2 d^T M d + l1 |W + D|_1 - l1 |W|_1

M is a matrix, or known by its products; over all parameters, or over a working set of those that may leave zero.
"""

from collections.abc import Callable
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import numpy as np

from ..objective import Point
from ..penalty import L1Penalty
from .curvature import Cholesky, without_shift
from .few_entries import FEW_ROWS, L1Entries, entries_metric
from .lasso import (
    INTERCEPT_FEATURE,
    PROXIMAL_RESIDUAL,
    ColumnModel,
    ProductModel,
    minimise_formed,
    minimise_roughly,
)

__all__ = ["L1Metric", "L1Products", "L1Restricted", "Limited", "formed_l1_metric", "l1_metric"]

WORKING_SET_SLOPE = 0.9  # slope / l1: a zero with a larger ratio may leave zero in the next step
SEEN_IN_FLOAT32 = 10 * float(np.finfo(np.float32).eps)  # excess / J
FEW_ZEROS = 200  # up to this number of zeros, a working set is not cut down to the number of rows


class L1Metric(NamedTuple):
    """A metric with an l1 penalty, whose strengths may differ: M as a matrix, improved by BFGS."""

    hessian: np.ndarray
    penalty: L1Penalty

    def step_and_fall(self, point, rtol=0.0, most_products=inf):
        """The step to the minimum of the model, and how far it falls; infinite where the minimum was not found.

        The minimum is found exactly, whatever ``rtol`` is.
        """
        shape = point.theta.shape
        flat = (array.ravel() for array in (point.gradient, point.theta, self.penalty.l1_strengths(shape)))

        def balanced(x):
            return self.penalty.balanced(x.reshape(shape)).ravel()

        x, fall, converged = minimise_formed(self.hessian, *flat, balanced, point.value)
        return x.reshape(shape) - point.theta, float(fall) if converged else np.inf

    @property
    def is_singular(self):
        """Whether rounding may hide that some direction has no curvature."""
        return Cholesky(self.hessian).is_singular

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]

    def updated(self, ds, dg):
        """M - M s s^T M / s^T M s + y y^T / s^T y (Nocedal and Wright 2006, equation 6.19)."""
        s, y = ds.ravel(), dg.ravel()
        Ms = self.hessian @ s
        if not (s @ Ms > 0 and s @ y > 0):
            return self
        return self._replace(hessian=self.hessian - np.outer(Ms, Ms / (s @ Ms)) + np.outer(y, y / (s @ y)))


class Limited(NamedTuple):
    """A metric with an l1 penalty whose solves take about ``most`` products at most."""

    metric: Any
    most: float
    is_singular = False

    def step_and_fall(self, point, rtol=PROXIMAL_RESIDUAL, most_products=inf):
        """A step towards the minimum of the model, to where the slope is a part rtol; and how far it falls."""
        return self.metric.step_and_fall(point, rtol, min(self.most, most_products))

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]


class L1Products(NamedTuple):
    """A metric with an l1 penalty, for more parameters: M by its products with vectors, and by its diagonal."""

    product: Callable
    diagonal: np.ndarray
    penalty: L1Penalty

    def step_and_fall(self, point, rtol=PROXIMAL_RESIDUAL, most_products=inf):
        """A step towards the minimum of the model, to where the slope is a part rtol; and how far it falls."""
        shape = point.theta.shape
        flat = (array.ravel() for array in (point.gradient, point.theta, self.penalty.l1_strengths(shape)))

        def product(v):
            return self.product(v.reshape(shape)).ravel()

        def balanced(x):
            return self.penalty.balanced(x.reshape(shape)).ravel()

        largest_fall = point.value if rtol else inf  # a proof needs the minimum, or what comes near it
        M = ProductModel(
            product, self.diagonal.ravel(), balanced if shape[1] > 1 else None, most_products, largest_fall
        )
        x, fall = minimise_roughly(M, *flat, rtol)
        return x.reshape(shape) - point.theta, float(fall)

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]


class L1WorkingSet:
    """A metric with an l1 penalty, for one score, around a point with scores z: M by the columns of a working set.

    The working set has the features whose coefficient is not 0 at the point, or may leave 0 in the next step.
    """

    def __init__(self, objective, point, z):
        self.objective, self.point, self.z = objective, point, z

    def step_and_fall(self, point, rtol=PROXIMAL_RESIDUAL, most_products=inf):
        """A step towards the minimum of the model, to where the slope is a part rtol; and how far it falls."""
        working_set, M = self._columns
        M.products, M.most_products = 0, most_products
        arrays = point.gradient, point.theta, self.objective.penalty.l1_strengths(point.theta.shape)
        x, fall = minimise_roughly(M, *(array[working_set, 0] for array in arrays), rtol)
        direction = np.zeros_like(point.theta)
        direction[working_set, 0] = x - point.theta[working_set, 0]
        return direction, float(fall)

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]

    @cached_property
    def _columns(self):
        """The parameters of the working set and the intercept, and M for them."""
        theta, features = self.point.theta[:, 0], working_features(self.objective, self.point)
        working_set, penalty = np.append(features, len(theta) - 1), self.objective.penalty.restricted(features)
        columns = self.objective.least_squares(self.z, features, INTERCEPT_FEATURE)
        return working_set, ColumnModel(*columns, penalty, theta[working_set])


class L1Restricted(NamedTuple):
    """A metric with an l1 penalty for several scores and more features than rows: the metric of a working set."""

    metric: L1Entries | L1Products
    working_set: np.ndarray

    def step_and_fall(self, point, rtol=PROXIMAL_RESIDUAL, most_products=inf):
        """A step towards the minimum of the model, to where the slope is a part rtol; and how far it falls."""
        theta, gradient = point.theta[self.working_set], point.gradient[self.working_set]
        step, fall = self.metric.step_and_fall(Point(theta, point.value, gradient), rtol, most_products)
        direction = np.zeros_like(point.theta)
        direction[self.working_set] = step
        return direction, fall

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]


def working_features(objective, point):
    """The features whose coefficients are not 0, or may leave 0 in the next step.

    A minimum need not have more nonzeros than rows, so a working set has no more zeros than rows.
    """
    W, slopes = point.theta[:-1], np.abs(point.gradient[:-1]).max(axis=1)
    strength = objective.penalty.l1_strengths(point.theta.shape)[:-1, 0]
    kept, zeros = W.any(axis=1) | (strength == 0), slopes > WORKING_SET_SLOPE * strength
    most = max(objective.n_counted, FEW_ZEROS)
    if np.count_nonzero(zeros) > most:
        share = np.divide(slopes, strength, out=np.zeros_like(slopes), where=~kept)
        zeros &= share >= np.partition(share, -most)[-most]
    return np.flatnonzero(kept | zeros)


def l1_metric(objective, point, z, excess=inf):
    """The metric with an l1 penalty, for a Newton step of a descent that forms no Hessians, at a point with scores z.

    For a single step the Hessian is formed where it has few parameters and, with few rows, few directions without
    curvature. Where few entries of theta are not 0, it is formed for these. Products are rough where an ``excess`` of
    about this size can be seen in float32.
    """
    if objective.has_least_squares:
        return L1WorkingSet(objective, point, z)
    c = objective.curvature(z)
    if objective.n_parameters <= objective.formed_parameters and objective.shape[0] <= objective.n_counted:
        return formed_l1_metric(objective, objective.hessian_at(c))
    rough = excess > SEEN_IN_FLOAT32 * point.value
    if not objective.is_wide:
        return several_scores_metric(objective, c, rough and objective.n_rows <= FEW_ROWS)
    features = working_features(objective, point)
    some = objective.restricted(features, rough)
    return L1Restricted(several_scores_metric(some, c), np.append(features, len(point.theta) - 1))


def several_scores_metric(objective, c, rough=False):
    """The metric with an l1 penalty for several scores, where the loss has curvature c."""
    products = L1Products(objective.hessian_product(c, rough), objective.hessian_diagonal(c), objective.penalty)
    return entries_metric(objective, c, products)


def formed_l1_metric(objective, hessian):
    """The metric that a Hessian makes with an l1 penalty."""
    without_l1 = objective.penalty.l1_strengths(objective.shape)[:, 0] == 0
    return L1Metric(without_shift(hessian, objective.shape, without_l1), objective.penalty)
