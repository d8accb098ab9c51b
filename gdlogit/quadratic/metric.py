"""The metric of the descent: a model of J around a point, and the step to the model's minimum.

    J(theta + d)  ~  J(theta) + g^T d + 1/2 d^T M d + l1 |W + D|_1 - l1 |W|_1,    M ~ Hessian, on all rows or a sample

``aim(point)`` gives the d that minimises this, and by how much it falls: an estimate of J - min J. ``updated(ds, dg)``
is the metric that a step taken has improved: the change dg of the gradient along it is M ds.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..objective import Overflow, overflow_raised
from ..penalty import L1Penalty, lacking
from .curvature import Cholesky, ConjugateGradients, Jacobi, Kronecker
from .lasso import CONSTANT, Columns, Products, minimise_formed, minimise_roughly
from .proximal import Proximal

__all__ = ["Smooth", "Sparse", "excess_of", "is_dense", "metric_at", "products_at", "rough_metric"]

DENSE_PARAMETERS = 1500  # up to so many, the Hessian is formed and factorised
FEW_PARAMETERS = 200  # with l1, as many as rows; but so many in any case, for nothing ends more sharply
ROWS_PER_FEATURE, FEW_ROWS = 10, 1000  # that a Kronecker product is made of
MEMORY = 10  # secant pairs
NEAR = 0.9  # of l1: a zero with that slope may leave zero in the next step
FINE = 1e-3  # of the slope: what a solution by products leaves, for an estimate or a proof


class Smooth(NamedTuple):
    """No l1 penalty: M factorised, with the secant pairs of L-BFGS (Nocedal and Wright 2006, section 7.2)."""

    hessian: Cholesky | ConjugateGradients
    pairs: tuple = ()

    def aim(self, point):
        """The step -M^-1 g, and half the squared Newton decrement g^T M^-1 g / 2."""
        direction = -self.solve(point.gradient)
        return direction, -0.5 * float(np.vdot(point.gradient, direction))

    def excess(self, point):
        """J - min J, as near as the Hessian knows it."""
        return self.hessian.decrement(point.gradient)

    def rough_excess(self, point):
        """The same, as the preconditioner of conjugate gradients estimates it."""
        return next(self.hessian.iterates(point.gradient)).estimate

    def solve(self, g):
        """M^-1 g: the two loops of L-BFGS, with the Hessian as its first matrix."""
        g = g.copy()
        parts = []
        for ds, dg, curvature in reversed(self.pairs):
            part = np.vdot(ds, g) / curvature
            parts.append(part)
            g -= part * dg
        step = self.hessian.solve(g)
        for (ds, dg, curvature), part in zip(self.pairs, reversed(parts), strict=True):
            step += (part - np.vdot(dg, step) / curvature) * ds
        return step

    def updated(self, ds, dg):
        """With one more pair, where it has positive curvature."""
        curvature = np.vdot(ds, dg)
        return self._replace(pairs=(*self.pairs, (ds, dg, curvature))[-MEMORY:]) if curvature > 0 else self


class Sparse(NamedTuple):
    """An l1 penalty of some strength on each parameter: M as a matrix, improved by BFGS."""

    hessian: np.ndarray
    penalty: L1Penalty

    def aim(self, point):
        """The step to the minimum of the model, and how far it falls; infinite where the minimum was not found."""
        shape = point.theta.shape
        flat = (array.ravel() for array in (point.gradient, point.theta, self.penalty.l1_strengths(shape)))

        def balanced(x):
            return self.penalty.balanced(x.reshape(shape)).ravel()

        x, fall, settled = minimise_formed(self.hessian, *flat, balanced, point.value)
        return x.reshape(shape) - point.theta, float(fall) if settled else np.inf

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.aim(point)[1]

    def updated(self, ds, dg):
        """M - M s s^T M / s^T M s + y y^T / s^T y (Nocedal and Wright 2006, equation 6.19)."""
        s, y = ds.ravel(), dg.ravel()
        Ms = self.hessian @ s
        if not (s @ Ms > 0 and s @ y > 0):
            return self
        return self._replace(hessian=self.hessian - np.outer(Ms, Ms / (s @ Ms)) + np.outer(y, y / (s @ y)))


class SparseProducts(NamedTuple):
    """An l1 penalty on more parameters: M by its products with vectors, and its diagonal."""

    product: Callable
    diagonal: np.ndarray
    penalty: L1Penalty

    def aim(self, point, rtol=FINE):
        """A step towards the minimum of the model, to where the slope is a part rtol; and how far it falls."""
        shape = point.theta.shape
        flat = (array.ravel() for array in (point.gradient, point.theta, self.penalty.l1_strengths(shape)))
        M = Products(lambda v: self.product(v.reshape(shape)).ravel(), self.diagonal.ravel())
        x, fall = minimise_roughly(M, *flat, rtol)
        return x.reshape(shape) - point.theta, float(fall)

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.aim(point)[1]


class SparseColumns:
    """The same for one score, at scores z: M by columns, of the features that are off zero or may get there.

    The columns are kept for the next aim from the same point.
    """

    def __init__(self, objective, z):
        self.objective, self.z = objective, z
        self.kept = None, None, None  # a theta, the parameters in play, and M there

    def aim(self, point, rtol=FINE):
        """A step towards the minimum of the model, to where the slope is a part rtol; and how far it falls."""
        if self.kept[0] is not point.theta:
            self.kept = point.theta, *self._columns(point)
        theta, some, M = self.kept
        strength = self.objective.penalty.l1_strengths(theta.shape)
        x, fall = minimise_roughly(M, point.gradient[some, 0], theta[some, 0], strength[some, 0], rtol)
        direction = np.zeros_like(theta)
        direction[some, 0] = x - theta[some, 0]
        return direction, float(fall)

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.aim(point)[1]

    def _columns(self, point):
        penalty, theta, slope = self.objective.penalty, point.theta[:, 0], np.abs(point.gradient[:-1, 0])
        strength = penalty.l1_strengths(theta.shape)[:-1]
        features = np.flatnonzero((theta[:-1] != 0) | (slope > NEAR * strength) | (strength == 0))
        some, penalty = np.append(features, len(slope)), penalty.restricted(features)
        return some, Columns(*self.objective.least_squares(self.z, features, CONSTANT), penalty, theta[some])


def sparse_metric(objective, z):
    """The metric with an l1 penalty and more parameters than a Hessian is formed of, at scores z."""
    if objective.has_least_squares:
        return SparseColumns(objective, z)
    c = objective.curvature(z)
    return SparseProducts(objective.hessian_product(c), rough_metric(objective, z).diagonal, objective.penalty)


def is_dense(objective):
    """Whether the Hessian is formed: not of very many parameters nor, with l1, of many and more than rows."""
    n_parameters = objective.n_parameters
    is_wide = n_parameters > max(objective.n_rows, FEW_PARAMETERS)
    return n_parameters <= DENSE_PARAMETERS and (objective.penalty.is_smooth or not is_wide)


def metric_at(objective, theta):
    """The metric at theta, of the objective's rows; it keeps the last, which the end of a fit asks for again."""
    if objective.kept[0] is not theta:
        objective.kept = theta, _metric_at(objective, theta)
    return objective.kept[1]


def _metric_at(objective, theta):
    if not objective.penalty.is_smooth and lacking(objective.penalty, L1Penalty):
        return proximal_metric(objective, theta)
    if is_dense(objective):
        penalty, hessian = objective.penalty, objective.hessian(theta)
        if not penalty.is_smooth:
            without_l1 = penalty.l1_strengths(objective.shape)[:, 0] == 0
            return Sparse(without_shift(hessian, objective.shape, without_l1), penalty)
        eps = np.finfo(objective.precision if penalty.is_none else float).eps  # a penalty has all its digits
        return Smooth(Cholesky(without_shift(hessian, objective.shape, slice(None)), eps))
    z = objective.scores(theta)
    if not objective.penalty.is_smooth:
        return sparse_metric(objective, z)
    c, rough = objective.curvature(z), rough_metric(objective, z)
    return Smooth(products_at(objective, c, rough))


def proximal_metric(objective, theta):
    """The metric at theta with a penalty of which only value and prox are known."""
    if objective.n_parameters > DENSE_PARAMETERS:
        return Proximal(None, objective.penalty)
    return Proximal(without_shift(objective.hessian(theta), objective.shape, slice(None)), objective.penalty)


def rough_metric(objective, z):
    """What to precondition with at scores z: for several classes of not too many features both are looked at."""
    p, k = objective.shape
    if k == 1 or p > DENSE_PARAMETERS or not objective.penalty.is_smooth:
        return Jacobi(objective.hessian_diagonal(objective.curvature(z)))
    size = min(objective.n_rows, max(ROWS_PER_FEATURE * p, FEW_ROWS), objective.largest_sample)
    some = np.arange(size) * objective.n_rows // size
    part, c = objective.on(some), objective.loss.curvature(z[some])
    return Kronecker(part.gram(c), part.coupling(c), objective.penalty.curvature(np.empty(p)))


def products_at(objective, c, preconditioner):
    """The Hessian where the loss has curvature c, known by its products and a rough metric."""
    least = objective.penalty.curvature(np.empty(objective.shape))[:-1].min()

    def bound(r):
        """Half of r^T H^-1 r, at most, for H has at least the penalty's curvature; but for the intercept's part."""
        return float(np.vdot(r[:-1], r[:-1])) / (2 * least) if least else np.inf

    return ConjugateGradients(objective.hessian_product(c), preconditioner, bound)


def excess_of(objective, point):
    """J - min J, estimated by the fall of the model with the Hessian of all rows; infinite where that has vanished."""
    centred, theta = objective.centred(point.theta)  # or a feature's offset would hide what the intercept lacks
    if centred is not objective:
        point = centred.at(theta)
    try:
        with overflow_raised():
            return metric_at(centred, theta).excess(point._replace(theta=theta))
    except Overflow:  # scores so large that hardly a row has any curvature left
        return np.inf


def without_shift(hessian, shape, features):
    """Give curvature to the directions that a softmax does not see.

    A constant added to all scores changes no probability: for each feature j, the direction that adds the same to each
    theta_jc has no curvature but the penalty's. Where no gradient has a part along it, curvature added there changes no
    step, and makes H definite. An l1 penalty has such a gradient, but not on the intercept.
    """
    p, k = shape
    if k > 1:
        blocks = hessian.reshape(p, k, p, k)
        feature = np.arange(p)[features]
        blocks[feature, :, feature, :] += np.einsum("jcjc->j", blocks)[feature, None, None] / k**2
    return hessian
