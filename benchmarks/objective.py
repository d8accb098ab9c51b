"""The objective J: scikit-learn's, per sample, so that it is comparable between data sets.

    J(W, b) = 1/n sum_i loss_i + 1/(C n) [ (1 - l1_ratio)/2 |W|^2 + l1_ratio |W|_1 ]
    loss_i = log sum_k exp(z_ik - z_iy),    z_i = W x_i + b

Two classes have one score z, and 0 for the other class. Sums over rows are taken in extended precision.
"""

import numpy as np
from scipy.special import logsumexp


def objective(problem, W, b):
    """J and the mean loss; inf where the coefficients are not finite."""
    n, W = len(problem.y), np.asarray(W, dtype=np.float64)
    loss = np.longdouble(0)
    with np.errstate(all="ignore"):
        for X, y in blocks(problem):
            z = with_reference(X @ W.T + b)
            z -= z[np.arange(len(y)), y][:, None]
            loss += logsumexp(z, axis=1).sum(dtype=np.longdouble)
        loss = float(loss) / n
        penalty = (1 - problem.l1_ratio) / 2 * np.sum(np.square(W)) + problem.l1_ratio * np.sum(np.abs(W))
        value = loss + float(penalty) / (problem.C * n)
    return (value, loss) if np.isfinite(value) else (np.inf, np.inf)


def with_reference(z):
    """A score for every class: of two classes the first has score 0."""
    return np.column_stack([np.zeros(len(z)), z]) if z.shape[1] == 1 else z


def blocks(problem, most_rows=50_000):
    """X and y, a block of rows at a time."""
    for start in range(0, len(problem.y), most_rows):
        rows = slice(start, start + most_rows)
        yield problem.X[rows], problem.y[rows]
