"""The best known minimum of J, computed without gdlogit's code, with an estimate of how far above the true one it is.

Projected Newton (Bertsekas 1982; Schmidt, Fung and Rosales 2007 for L1), from zero. Free are the intercepts, the
coefficients that are not zero, and those at zero whose slope, the subgradient of least norm, is not zero: all of them
without an L1 penalty. The step solves H step = slope on the free ones, by Cholesky up to MOST_PARAMETERS and by
conjugate gradients beyond. It is halved until J falls, a coefficient that would change its sign being set to zero; where
that fails, as among collinear features, whose H is singular, the diagonal of H is raised.

Half the decrement, slope^T H^-1 slope / 2, is the excess of J as the quadratic model sees it: it judges scales and
correlations of the features as H does, and counts zeros that violate optimality.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, diags_array, hstack, issparse
from scipy.special import softmax

from .objective import blocks, objective, with_reference

MOST_PARAMETERS = 3000  # of a Hessian that is formed and factorised
LEAST_DAMPING = 1e-13  # relative to diag H: the intercepts of softmax have a free shift


class Optimum(NamedTuple):
    """A point as low as could be found."""

    value: float
    excess: float  # estimate of value - min J
    theta: np.ndarray  # (n_outputs, n_features + 1), the intercept last


def best_known(problem):
    """The lowest J of projected Newton; a peer may yet find a lower one.

    The features of dense data with more columns than rows are replaced by their coordinates in the span of the rows,
    where W lies if the penalty is L2.
    """
    X = problem.X.astype(np.float64, copy=False)
    if not issparse(X) and problem.l1_ratio == 0 and X.shape[0] < X.shape[1]:
        X = np.linalg.qr(X.T, mode="r").T
    return minimise(problem._replace(X=X))


def minimise(problem, most_steps=200, precision=1e-15):
    """Projected Newton, until the excess is below the precision relative to J, or no step makes J fall."""
    n, p = problem.X.shape
    k = 1 if problem.n_classes == 2 else problem.n_classes
    rows = [(_with_ones(X), y) for X, y in blocks(problem)]
    penalised = np.arange(p + 1) < p
    l1, l2 = (share / problem.C * penalised for share in (problem.l1_ratio, 1 - problem.l1_ratio))
    theta, excess, damping = np.zeros((k, p + 1)), np.inf, LEAST_DAMPING
    value = objective(problem, theta[:, :-1], theta[:, -1])[0]
    for _ in range(most_steps):
        probabilities, gradient = _forward_backward(rows, theta)
        gradient += l2 * theta
        slope = np.where(
            theta == 0, np.sign(gradient) * np.maximum(np.abs(gradient) - l1, 0), gradient + l1 * np.sign(theta)
        )
        free = _free(rows, probabilities, theta, slope, l1, l2)
        step = _solve(rows, probabilities, np.where(free, slope, 0), free, l2, damping)
        excess = float(np.sum(slope * step)) / (2 * n)
        if excess <= precision * value or damping > 1e4:
            break
        orthant = np.where(theta == 0, -np.sign(slope), np.sign(theta))
        for rate in 0.5 ** np.arange(8):
            trial = theta - rate * step
            trial[(orthant * trial < 0) & (l1 > 0)] = 0
            lower = objective(problem, trial[:, :-1], trial[:, -1])[0]
            if lower < value:
                value, theta, damping = lower, trial, max(LEAST_DAMPING, damping / 10)
                break
        else:
            damping *= 100
    return Optimum(value, excess, theta)


def _free(rows, probabilities, theta, slope, l1, l2):
    """Which parameters move: of those at zero, the most promising ones, at most as many as are not zero already."""
    free = (theta != 0) | (l1 == 0)
    entering = np.flatnonzero(~free & (slope != 0))
    if entering.size > (most := max(100, free.sum())):
        diagonal = _diagonal(rows, probabilities) + l2
        gain = np.square(slope).ravel()[entering] / diagonal.ravel()[entering]
        entering = entering[np.argpartition(gain, -most)[-most:]]
    free.flat[entering] = True
    return free


def _solve(rows, probabilities, slope, free, l2, damping):
    """H^-1 slope on the free parameters, zero on the others; the diagonal of H is raised by a factor 1 + damping."""
    columns = np.flatnonzero(free.any(axis=0))
    if len(free) * len(columns) > MOST_PARAMETERS:
        return _conjugate_gradients(rows, probabilities, slope, free, l2, damping)
    chosen = np.flatnonzero(free[:, columns])
    hessian = _hessian(rows, probabilities, columns)[np.ix_(chosen, chosen)]
    hessian[np.diag_indices(len(chosen))] += np.tile(l2[columns], len(free))[chosen]
    diagonal = hessian.diagonal()
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
    factor = cho_factor(hessian * scale * scale[:, None] + damping * np.eye(len(chosen)))
    step = np.zeros(free.shape)
    step[free] = scale * cho_solve(factor, scale * slope[free])
    return step


def _conjugate_gradients(rows, probabilities, slope, free, l2, damping, reduction=1e-4, most_steps=2000):
    """H^-1 slope with the preconditioner diag H, until the residual has fallen by the reduction."""
    diagonal = np.where(free, _diagonal(rows, probabilities) + l2, 1)
    ridge = l2 + damping * diagonal
    inverse = 1 / np.where(diagonal > 0, diagonal, 1)
    step, residual = np.zeros_like(slope), slope.copy()
    direction = inverse * residual
    size = first = np.sum(residual * direction)
    for _ in range(most_steps):
        if size <= reduction**2 * first:
            break
        image = np.where(free, _hessian_product(rows, probabilities, direction) + ridge * direction, 0)
        rate = size / np.sum(direction * image)
        step += rate * direction
        residual -= rate * image
        size, before = np.sum(inverse * residual**2), size
        direction = inverse * residual + size / before * direction
    return step


def _forward_backward(rows, theta):
    """The probabilities, block by block, of each output; and the gradient of the summed loss."""
    probabilities, gradient = [], np.zeros_like(theta)
    for X, y in rows:
        proba = softmax(with_reference(X @ theta.T), axis=1)
        residual = proba.copy()
        residual[np.arange(len(y)), y] -= 1
        probabilities.append(proba[:, -len(theta) :])  # two classes: that of the second
        gradient += (X.T @ residual[:, -len(theta) :]).T
    return probabilities, gradient


def _hessian_product(rows, probabilities, direction):
    product = np.zeros_like(direction)
    for (X, _), proba in zip(rows, probabilities, strict=True):
        dz = proba * (X @ direction.T)
        product += (X.T @ (dz - proba * dz.sum(axis=1, keepdims=True))).T
    return product


def _diagonal(rows, probabilities):
    return sum(((X**2).T @ (proba * (1 - proba))).T for (X, _), proba in zip(rows, probabilities, strict=True))


def _hessian(rows, probabilities, columns):
    """The Hessian of the summed loss in the columns, of shape (n_outputs * n_columns,) twice."""
    k, m = probabilities[0].shape[1], len(columns)
    hessian = np.zeros((k, m, k, m))
    for (X, _), proba in zip(rows, probabilities, strict=True):
        X = X if m == X.shape[1] else X[:, columns]
        for i in range(k):
            for j in range(i + 1):
                product = X.T @ (diags_array(proba[:, i] * ((i == j) - proba[:, j])) @ X)
                hessian[i, :, j] += product.toarray() if issparse(product) else product
    for i in range(k):
        for j in range(i):
            hessian[j, :, i] = hessian[i, :, j].T
    return hessian.reshape(k * m, k * m)


def _with_ones(X):
    ones = np.ones((X.shape[0], 1))
    return hstack([X, csr_array(ones)], format="csr") if issparse(X) else np.hstack([X, ones])
