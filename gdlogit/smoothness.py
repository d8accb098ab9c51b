"""The largest curvature of J, from which the textbook's descents take their learning rates.

L = largest curvature of the loss in the scores x largest eigenvalue of 1/S sum_i s_i x_i x_i^T + that of the penalty
"""

from functools import partial

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from . import summands
from .data.overflow import overflow_as_here

__all__ = ["expected_smoothness", "smoothness"]


def smoothness(objective, units=1.0, tol=0.0):
    """L, which no eigenvalue of any Hessian of J exceeds: the loss's largest curvature times the rows' largest.

    It is that of coefficients which are multiplied by units (p + 1,) to give those of the features. An L that is
    larger by up to tol, relatively, takes fewer passes.
    """

    def second_moment(v):
        return units * objective.rows.sum(partial(summands.second_moment_product, (units * v)[:, None]))[0][:, 0]

    n_features, of_penalty = objective.shape[0], objective.penalty.largest_curvature
    if np.ndim(units):
        of_penalty = float((units[:, None] ** 2 * objective.penalty_curvature).max())
    operator = LinearOperator((n_features, n_features), matvec=second_moment, dtype=float)
    start = np.random.default_rng(0).standard_normal(n_features)
    moved = second_moment(start)
    if not moved.any():  # all features are 0, which ARPACK refuses
        return of_penalty
    if not np.isfinite(moved).all():  # an older NumPy does not see every overflow of BLAS
        overflow_as_here()
    (largest,) = eigsh(operator, k=1, v0=start, return_eigenvectors=False, tol=tol)
    return objective.loss.max_curvature * (1 + tol) * largest / objective.total + of_penalty


def expected_smoothness(objective, batch_size):
    """The smoothness of a random batch of rows: L for a batch of all rows, max_i L_i for a batch of one row."""
    n = objective.n_rows
    b = min(batch_size, n)
    (largest_row,) = objective.rows.fold(summands.largest_row, max)
    of_loss = objective.loss.max_curvature * largest_row * n / objective.total
    row_smoothness = of_loss + objective.penalty.largest_curvature
    interpolation = (n - b) / (b * max(n - 1, 1))
    return interpolation * row_smoothness + (1 - interpolation) * smoothness(objective)
