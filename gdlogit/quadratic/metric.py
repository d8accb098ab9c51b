"""The metric of the descent: a model of J around a point, and the step to the model's minimum.

    J(theta + d)  ~  J(theta) + g^T d + 1/2 d^T M d + l1 |W + D|_1 - l1 |W|_1,    M ~ Hessian, on all rows or a sample

``step_and_fall(point)`` gives the d that minimises this model, and the fall of the model, an estimate of J - min J.
``updated(ds, dg)`` is the metric improved by a step ds that was taken: M ds becomes the change dg of the gradient.
"""

from collections.abc import Callable
from functools import cached_property
from math import inf
from typing import Any, NamedTuple

import numpy as np

from ..bounds import BoxPenalty
from ..objective import Overflow, Point, overflow_raised
from ..penalty import L1Penalty, lacking
from .box import minimise_in_box
from .curvature import Cholesky, ConjugateGradients, Jacobi, Kronecker
from .few_entries import FEW_ROWS, L1Entries, entries_metric
from .lasso import (
    INTERCEPT_FEATURE,
    PROXIMAL_RESIDUAL,
    ColumnModel,
    ProductModel,
    minimise_formed,
    minimise_roughly,
)
from .proximal import Proximal
from .secant import Secant

__all__ = [
    "Limited",
    "LocalModel",
    "NewtonMetric",
    "Solved",
    "L1Metric",
    "formed_metric",
    "metric_at",
    "metric_of",
    "products_at",
    "preconditioner_at",
]

PRECONDITIONER_ROWS_PER_FEATURE, PRECONDITIONER_ROWS = 10, 1000  # a Kronecker product is made of at least so many
WORKING_SET_SLOPE = 0.9  # slope / l1: a zero with a larger ratio may leave zero in the next step
SEEN_IN_FLOAT32 = 10 * float(np.finfo(np.float32).eps)  # excess / J
FEW_ZEROS = 200  # up to this number of zeros, a working set is not cut down to the number of rows


class NewtonMetric(NamedTuple):
    """No l1 penalty: M factorised, with the secant pairs of L-BFGS."""

    hessian: Cholesky | ConjugateGradients
    pairs: tuple = ()

    def step_and_fall(self, point):
        """The step -M^-1 g, and half the squared Newton decrement g^T M^-1 g / 2."""
        direction = -self.solve(point.gradient)
        return direction, -0.5 * float(np.vdot(point.gradient, direction))

    @property
    def is_singular(self):
        """Whether rounding may hide that some direction has no curvature."""
        return self.hessian.is_singular

    def excess(self, point):
        """J - min J, as the Hessian estimates it."""
        return self.hessian.decrement(point.gradient)

    def preconditioner_excess(self, point):
        """J - min J, as the preconditioner of conjugate gradients estimates it."""
        return next(self.hessian.iterates(point.gradient)).estimate

    def solve(self, g):
        """M^-1 g."""
        return Secant(self.hessian, self.pairs).solve(g)

    def updated(self, ds, dg):
        """With one more pair, where it has positive curvature."""
        pairs = Secant(self.hessian, self.pairs).with_step(ds, dg).pairs
        return self if pairs is self.pairs else self._replace(pairs=pairs)


class Solved(NamedTuple):
    """A metric whose step from a point is known already: the step, and the excess at the point."""

    direction: np.ndarray
    fall: float
    is_singular = False

    def step_and_fall(self, point):
        """The step, and how far the model falls."""
        return self.direction, self.fall

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.fall

    preconditioner_excess = excess


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


class BoxMetric(NamedTuple):
    """A metric with bounds on the coefficients, with or without an l1 penalty: M as a matrix, improved by BFGS.

    M has no curvature where all coefficients of a feature without l2 move together: ``is_flat`` marks such rows of
    theta. A kink of l1 or a bound ends such a direction, and the model must not have any other curvature there.
    """

    hessian: np.ndarray
    penalty: BoxPenalty
    is_flat: np.ndarray

    def step_and_fall(self, point):
        """The step to the minimum of the model within the bounds, and the model's fall; infinite where not found."""
        shape = point.theta.shape
        arrays = point.gradient, point.theta, self.penalty.l1_strengths(shape), *self.penalty.box(shape)
        flat = (array.ravel() for array in arrays)
        x, fall, converged = minimise_in_box(self.hessian, *flat, self._definite, point.value)
        return x.reshape(shape) - point.theta, float(fall) if converged else np.inf

    @property
    def is_singular(self):
        """Whether rounding may hide that some direction has no curvature."""
        return Cholesky(self._definite(np.ones(len(self.hessian), dtype=bool))).is_singular

    def _definite(self, movable):
        """M for the movable parameters, with curvature along the flat directions in which all parameters move."""
        some = np.flatnonzero(movable)
        M = self.hessian[np.ix_(some, some)]
        shape = len(self.is_flat), len(self.hessian) // len(self.is_flat)
        moves = self.is_flat & movable.reshape(shape).all(axis=1)
        if shape[1] > 1 and moves.any():
            place = np.cumsum(movable).reshape(shape)[moves] - 1  # of each entry among the movable ones
            curvature = np.einsum("jcjc->j", self.hessian.reshape(*shape, *shape))[moves] / shape[1] ** 2
            M[place[:, :, None], place[:, None, :]] += curvature[:, None, None]
        return M

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]

    def updated(self, ds, dg):
        """The metric with BFGS's update, as ``L1Metric`` makes it."""
        return self._replace(hessian=L1Metric(self.hessian, self.penalty).updated(ds, dg).hessian)


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
        return metric_of(objective, objective.hessian_at(c))
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


def metric_at(objective, point):
    """The metric of all the objective's rows around a point."""
    penalty = objective.penalty
    if not penalty.is_smooth and lacking(penalty, L1Penalty):
        return proximal_metric(objective, point.theta)
    if objective.forms_hessian:
        return formed_metric(objective, point.theta)
    if not lacking(penalty, BoxPenalty):
        return Proximal(None, penalty)
    z = objective.scores(point.theta)
    if not penalty.is_smooth:
        return l1_metric(objective, point, z)
    return NewtonMetric(products_at(objective, objective.curvature(z), preconditioner_at(objective, z)))


def formed_metric(objective, theta):
    """The metric of all the objective's rows at theta, with a formed Hessian, or its factors G and B."""
    shared, curvature = objective.shared_scores(theta), objective.penalty_curvature
    if shared is None or not objective.penalty.is_smooth or (curvature != curvature[:, :1]).any():
        return metric_of(objective, objective.hessian(theta))
    gram, coupling = objective.factors_of_shared(shared)
    shift = np.trace(coupling) / len(coupling) ** 2  # as ``without_shift``
    factors = gram, coupling + shift, curvature[:, 0]
    return NewtonMetric(Kronecker(*factors, exact=True, eps=objective.hessian_rounding))


def metric_of(objective, hessian):
    """The metric that a Hessian makes."""
    penalty = objective.penalty
    if not lacking(penalty, BoxPenalty):
        return BoxMetric(hessian, penalty, objective.penalty_curvature[:, 0] == 0)
    if not penalty.is_smooth:
        without_l1 = penalty.l1_strengths(objective.shape)[:, 0] == 0
        return L1Metric(without_shift(hessian, objective.shape, without_l1), penalty)
    return NewtonMetric(Cholesky(without_shift(hessian, objective.shape, slice(None)), objective.hessian_rounding))


def proximal_metric(objective, theta):
    """The metric at theta for a penalty that has no more than a value and a prox."""
    if objective.n_parameters > objective.formed_parameters:
        return Proximal(None, objective.penalty)
    return Proximal(without_shift(objective.hessian(theta), objective.shape, slice(None)), objective.penalty)


class LocalModel:
    """J around a point: the metric of all rows there, made on first use, and the step to the model's minimum.

    ``sample`` is the objective on the random rows that the descent has copied, or None. A proof may use these rows.
    ``rough`` is the metric in which the descent has arrived, or None.
    """

    def __init__(self, objective, point, metric=None, sample=None, rough=None):
        self.objective, self.point, self.sample, self.rough = objective, point, sample, rough
        if metric is not None:
            self.metric = metric

    @classmethod
    def about_means(cls, objective, point):
        """The model with features measured from about their means, because a large mean would hide small slopes."""
        centred, theta = objective.centred(point.theta)
        return cls(objective, point) if centred is objective else cls(centred, centred.at(theta))

    def moved(self, theta):
        """The same model at another theta with the same scores."""
        return LocalModel(self.objective, self.point._replace(theta=theta), self.metric, self.sample)

    def by_products(self, objective, enough=0.0):
        """The same for some of the rows, or all, whose Hessian is known by its products.

        The rough metric preconditions a solve, which ends where the excess is at most ``enough``.
        """
        c = objective.curvature(objective.scores(self.point.theta))
        return LocalModel(objective, self.point, NewtonMetric(products_at(objective, c, self.rough, enough=enough)))

    @cached_property
    def metric(self):
        """The metric of all rows at the point."""
        return metric_at(self.objective, self.point)

    @cached_property
    def step(self):
        """The step to the minimum of the model, and how far the model falls."""
        return self.metric.step_and_fall(self.point)

    @cached_property
    def excess(self):
        """J - min J, estimated by the fall of the model; infinite where hardly a row has any curvature left."""
        try:
            with overflow_raised():
                return self.metric.excess(self.point)
        except Overflow:
            return np.inf


def preconditioner_at(objective, z):
    """The preconditioner at scores z: the Hessian's diagonal or, for several classes and few features, a Kronecker."""
    p, k = objective.shape
    if k == 1 or p > objective.formed_parameters or not objective.penalty.is_smooth:
        return Jacobi(objective.hessian_diagonal(objective.curvature(z)))
    size = min(
        objective.n_rows, max(PRECONDITIONER_ROWS_PER_FEATURE * p, PRECONDITIONER_ROWS), objective.largest_sample
    )
    rows = np.arange(size) * objective.n_rows // size
    sample, c = objective.on(rows), objective.loss.curvature(z[rows])
    return Kronecker(sample.gram(c), sample.coupling(c), objective.penalty.curvature(np.empty(p)))


def products_at(objective, c, preconditioner, **limits):
    """The Hessian where the loss has curvature c, known by its products and a rough metric.

    ``limits`` are those of ``ConjugateGradients``.
    """
    least = float(objective.penalty_curvature[:-1].min())

    def bound(r):
        """A bound on 1/2 r^T H^-1 r, because H has at least the penalty's curvature; the intercept is left out."""
        return float(np.vdot(r[:-1], r[:-1])) / (2 * least) if least else np.inf

    return ConjugateGradients(objective.hessian_product(c), preconditioner, bound, **limits)


def without_shift(hessian, shape, features):
    """Give curvature to the directions that change no probability of a softmax.

    A constant added to all scores changes no probability. So for each feature j, the direction that adds the same to
    each theta_jc has only the penalty's curvature. If the gradient is 0 along that direction, curvature added there
    changes no step, and makes H definite. Only an l1 penalty has a gradient there, and none on the intercept.
    """
    p, k = shape
    if k > 1:
        blocks = hessian.reshape(p, k, p, k)
        feature = np.arange(p)[features]
        blocks[feature, :, feature, :] += np.einsum("jcjc->j", blocks)[feature, None, None] / k**2
    return hessian
