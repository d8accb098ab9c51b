"""The objective J, and the best known minimum of it, computed without gdlogit's code.

    J(W, b) = 1/n sum_i loss_i + 1/(2 C n) |W|^2,    loss_i = log sum_k exp(z_ik - z_iy),    z_i = W x_i + b

Two classes have one score z, and 0 for the other class. Sums over rows are taken in extended precision.
"""

import warnings

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.special import logsumexp, softmax

from gdlogit import GDLogisticRegression

MOST_PARAMETERS = 3000  # of a Hessian that is formed and factorised


def objective(problem, W, b):
    """J and the mean loss; inf where the coefficients are not finite."""
    loss = np.longdouble(0)
    with np.errstate(all="ignore"):
        for X, y in _blocks(problem):
            z = _scores(X, W, b)
            z -= z[np.arange(len(y)), y][:, None]
            loss += logsumexp(z, axis=1).sum(dtype=np.longdouble)
        loss = float(loss) / len(problem.y)
        value = loss + float(np.sum(np.square(W, dtype=float))) / (2 * problem.C * len(problem.y))
    return (value, loss) if np.isfinite(value) else (np.inf, np.inf)


def best_known(problem):
    """The lowest J from our fit with tol=1e-14, polished by full Newton steps; a peer may yet find a lower one."""
    problem = problem._replace(X=problem.X.astype(np.float64, copy=False))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GDLogisticRegression(C=problem.C, tol=1e-14, random_state=0).fit(problem.X, problem.y)
    best = objective(problem, model.coef_, model.intercept_)[0]
    rank = min(problem.X.shape)
    if (rank + 1) * len(model.intercept_) > MOST_PARAMETERS:
        return best
    W = model.coef_
    if rank < problem.X.shape[1]:  # W lies in the span of the rows: solve for its coordinates in that span
        basis, R = np.linalg.qr(problem.X.T)
        problem, W = problem._replace(X=R.T), W @ basis
    return min(best, _polish(problem, W, model.intercept_))


def _polish(problem, W, b, most_steps=30):
    """J after Newton steps with the full Hessian, each halved until J falls, until none makes it fall."""
    theta = np.column_stack([W, b])
    value = objective(problem, W, b)[0]
    for _ in range(most_steps):
        try:
            step = _newton_step(problem, theta)
        except LinAlgError:
            break
        trials = (theta - rate * step for rate in 0.5 ** np.arange(8))
        lower = ((objective(problem, trial[:, :-1], trial[:, -1])[0], trial) for trial in trials)
        found = next(((v, trial) for v, trial in lower if v < value), None)
        if found is None:
            break
        value, theta = found
    return value


def _newton_step(problem, theta):
    """H^-1 dJ at theta, of shape (n_outputs, n_features + 1), the intercept last."""
    k, p = theta.shape
    gradient, hessian = np.zeros((k, p)), np.zeros((k, p, k, p))
    for X, y in _blocks(problem):
        proba = softmax(_scores(X, theta[:, :-1], theta[:, -1]), axis=1)
        residual = proba.copy()
        residual[np.arange(len(y)), y] -= 1
        proba, residual = proba[:, -k:], residual[:, -k:]  # two classes: those of the second
        X = np.column_stack([X, np.ones(len(X))])
        gradient += residual.T @ X
        for i in range(k):
            for j in range(i + 1):
                curvature = proba[:, i] * ((i == j) - proba[:, j])
                hessian[i, :, j] += X.T @ (curvature[:, None] * X)
    for i in range(k):
        for j in range(i):
            hessian[j, :, i] = hessian[i, :, j].T
    gradient[:, :-1] += theta[:, :-1] / problem.C
    hessian = hessian.reshape(k * p, k * p)
    penalised = np.tile(np.arange(p) < p - 1, k)
    hessian[penalised, penalised] += 1 / problem.C
    diagonal = hessian.diagonal()
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
    factor = cho_factor(hessian * scale * scale[:, None] + 1e-13 * np.eye(k * p))  # softmax: the b have a free shift
    return (scale * cho_solve(factor, scale * gradient.ravel())).reshape(k, p)


def _scores(X, W, b):
    z = X @ W.T.astype(np.float64) + b
    return np.column_stack([np.zeros(len(z)), z]) if z.shape[1] == 1 else z


def _blocks(problem, most_rows=50_000):
    for start in range(0, len(problem.y), most_rows):
        rows = slice(start, start + most_rows)
        yield problem.X[rows], problem.y[rows]
