"""The metric of the descent: a Hessian that can be solved with, on all rows or on a sample of them."""

import numpy as np

from ..curvature import Cholesky, ConjugateGradients, Jacobi, Kronecker

__all__ = ["excess_of", "is_dense", "metric_at", "products_at", "rough_metric"]

DENSE_PARAMETERS = 1500  # up to so many, the Hessian is formed and factorised
ROWS_PER_FEATURE, FEW_ROWS = 10, 1000  # that a Kronecker product is made of


def is_dense(objective):
    """Whether the Hessian of so many parameters is formed."""
    return objective.n_parameters <= DENSE_PARAMETERS


def metric_at(objective, theta):
    """The Hessian of J at theta, to solve with; the objective keeps the last, which the end of a fit asks for again."""
    if objective.kept[0] is not theta:
        objective.kept = theta, _metric_at(objective, theta)
    return objective.kept[1]


def _metric_at(objective, theta):
    if is_dense(objective):
        return Cholesky(without_shift(objective.hessian(theta), objective.shape))
    z = objective.scores(theta)
    return products_at(objective, objective.curvature(z), rough_metric(objective, z))


def rough_metric(objective, z):
    """What to precondition with at scores z: for several classes of not too many features both are looked at."""
    p, k = objective.shape
    if k == 1 or p > DENSE_PARAMETERS:
        return Jacobi(objective.hessian_diagonal(objective.curvature(z)))
    size = min(objective.n_rows, max(ROWS_PER_FEATURE * p, FEW_ROWS), objective.largest_sample)
    some = np.arange(size) * objective.n_rows // size
    part, c = objective.on(some), objective.loss.curvature(z[some])
    return Kronecker(part.gram(c), part.coupling(c), objective.penalty.curvature(np.empty((p, k))))


def products_at(objective, c, preconditioner):
    """The Hessian where the loss has curvature c, known by its products and a rough metric."""
    l2 = objective.penalty.l2

    def bound(r):
        """Half of r^T H^-1 r, at most, for H has at least the penalty's curvature; but for the intercept's part."""
        return float(np.vdot(r[:-1], r[:-1])) / (2 * l2) if l2 else np.inf

    return ConjugateGradients(objective.hessian_product(c), preconditioner, bound)


def excess_of(objective, point):
    """J - min J, estimated by half the squared Newton decrement."""
    centred, theta = objective.centred(point.theta)  # or a feature's offset would hide what the intercept lacks
    if centred is not objective:
        point = centred.at(theta)
    return metric_at(centred, theta).decrement(point.gradient)


def without_shift(hessian, shape):
    """Give curvature to the directions that a softmax does not see.

    A constant added to all scores changes no probability: for each feature j, the direction that adds the same to each
    theta_jc has no curvature but the penalty's. No gradient has a part along it, so curvature added there changes no
    step, and makes H definite.
    """
    p, k = shape
    if k > 1:
        blocks = hessian.reshape(p, k, p, k)
        feature = np.arange(p)
        blocks[feature, :, feature, :] += np.einsum("jcjc->j", blocks)[:, None, None] / k**2
    return hessian
