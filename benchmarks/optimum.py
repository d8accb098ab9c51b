"""The best known minimum of J, computed without gdlogit's code, with an estimate of how far above the true one it is.

Newton's method from zero, halving the step until J falls. An L1 penalty is smoothed, and the smoothing e is taken to
zero along the way, each minimum being the start of the next:

    |w|  ~  h(w) = r - e - e log((e + r) / 2e),    r = sqrt(w^2 + e^2),    h' = w / (e + r),    h'' = e / (r (e + r))

Up to a constant, h is the logarithmic barrier of the interior-point method of Koh, Kim and Boyd (2007) with its bounds
|w| < u minimised over: u - e log(u^2 - w^2). Its guarantee is theirs: at the minimum for e, J is within 2 e times the
strength of the penalty, for each coefficient, of min J. It needs no guess of which coefficients are zero, and does not
mind collinear features. Newton systems are solved by Cholesky up to MOST_PARAMETERS, and by conjugate gradients beyond.
The excess is that bound plus half the Newton decrement, slope^T H^-1 slope / 2.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array, diags_array, hstack, issparse
from scipy.special import softmax

from .objective import blocks, objective, with_reference

MOST_PARAMETERS = 3000  # of a Hessian that is formed and factorised
JITTER = 1e-13  # relative to diag H: the intercepts of softmax have a free shift
PRECISION = 1e-15  # relative to J


class Optimum(NamedTuple):
    """A point as low as could be found."""

    value: float
    excess: float  # estimate of value - min J
    theta: np.ndarray  # (n_outputs, n_features + 1), the intercept last; zeros are tiny numbers


def best_known(problem):
    """The lowest J of Newton's method; a peer may yet find a lower one.

    The features of dense data with more columns than rows are replaced by their coordinates in the span of the rows,
    where W lies if the penalty is L2.
    """
    X = problem.X.astype(np.float64, copy=False)
    if not issparse(X) and problem.l1_ratio == 0 and X.shape[0] < X.shape[1]:
        X = np.linalg.qr(X.T, mode="r").T
    return minimise(problem._replace(X=X))


def minimise(problem):
    """Newton's method for one smoothing after another, the last being beyond the precision."""
    n, p = problem.X.shape
    k = 1 if problem.n_classes == 2 else problem.n_classes
    rows = [(_with_ones(X), y) for X, y in blocks(problem)]
    theta = np.zeros((k, p + 1))
    value = objective(problem, theta[:, :-1], theta[:, -1])[0]
    bound = value / 10 if problem.l1_ratio else 0.0  # of what the smoothing costs
    while True:
        theta, decrement = _newton(problem, rows, theta, bound)
        value = objective(problem, theta[:, :-1], theta[:, -1])[0]
        if bound <= 10 * PRECISION * value:
            return Optimum(value, 2 * bound + decrement, theta)
        bound /= 5


def _newton(problem, rows, theta, bound, most_steps=100):
    """The minimum for the smoothing whose cost has the bound, and half the last decrement, both in units of J."""
    n, p = problem.X.shape
    penalised = np.arange(p + 1) < p
    l1, l2 = (share / (problem.C * n) * penalised for share in (problem.l1_ratio, 1 - problem.l1_ratio))
    smoothing = bound / (theta[:, :-1].size * l1[0]) if problem.l1_ratio else 1.0

    def smoothed(theta):
        r = np.hypot(theta, smoothing)
        h = r - smoothing - smoothing * np.log((smoothing + r) / (2 * smoothing))
        return objective(problem, theta[:, :-1], theta[:, -1])[1] + np.sum(l2 / 2 * theta**2 + l1 * h)

    value = smoothed(theta)
    for _ in range(most_steps):
        r = np.hypot(theta, smoothing)
        probabilities, gradient = _forward_backward(rows, theta)
        slope = gradient / n + l2 * theta + l1 * theta / (smoothing + r)
        ridge = n * (l2 + l1 * smoothing / (r * (smoothing + r)))
        step = _solve(rows, probabilities, n * slope, ridge)
        decrement = float(np.sum(slope * step)) / 2
        if decrement <= max(0.05 * bound, PRECISION * value):
            break
        trials = ((rate, theta - rate * step) for rate in 0.5 ** np.arange(20))
        lower = ((smoothed(trial), rate, trial) for rate, trial in trials)
        found = next(((v, trial) for v, rate, trial in lower if v < value - 1e-4 * rate * decrement), None)
        if found is None:
            break
        value, theta = found
    return theta, decrement


def _solve(rows, probabilities, slope, ridge):
    """(H + diag ridge)^-1 slope, H being the Hessian of the summed loss."""
    if slope.size > MOST_PARAMETERS:
        return _conjugate_gradients(rows, probabilities, slope, ridge)
    hessian = _hessian(rows, probabilities)
    on_diagonal = np.diag_indices(slope.size)
    hessian[on_diagonal] += ridge.ravel()
    scale = 1 / np.sqrt(np.where(hessian[on_diagonal] > 0, hessian[on_diagonal], 1))
    hessian *= scale
    hessian *= scale[:, None]
    hessian[on_diagonal] = 1 + JITTER
    return (scale * cho_solve(cho_factor(hessian, overwrite_a=True), scale * slope.ravel())).reshape(slope.shape)


def _conjugate_gradients(rows, probabilities, slope, ridge, reduction=1e-4, most_steps=1000):
    """The same with the preconditioner diag H, until the residual has fallen by the reduction."""
    diagonal = _diagonal(rows, probabilities) + ridge
    inverse = 1 / np.where(diagonal > 0, diagonal, 1)
    step, residual = np.zeros_like(slope), slope.copy()
    direction = inverse * residual
    size = first = np.sum(residual * direction)
    for _ in range(most_steps):
        if size <= reduction**2 * first:
            break
        image = _hessian_product(rows, probabilities, direction) + ridge * direction
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


def _hessian(rows, probabilities):
    """The Hessian of the summed loss, of shape (n_outputs * (n_features + 1),) twice."""
    k, m = probabilities[0].shape[1], rows[0][0].shape[1]
    hessian = np.zeros((k, m, k, m))
    for (X, _), proba in zip(rows, probabilities, strict=True):
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
