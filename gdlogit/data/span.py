"""Few rows of many features, in coordinates of the space that they span."""

from itertools import pairwise

import numpy as np
from scipy.linalg import qr, svd

from .dense import Dense
from .memory import MemoryRows
from .threads import ONE_BLAS_THREAD

__all__ = ["compact"]


def compact(rows, max_rows):
    """Few rows of many features, in coordinates of the space that they span; other rows as they are.

    With X = V s Q^T, its thin singular value decomposition, the scores X W are (V s) W' for W' = Q^T W, and |W| = |W'|
    in the span of the rows, where a minimum with an l2 penalty lies. s and V come from the R of a QR decomposition of
    X^T, a few columns of X at a time; Q = X^T V / s is never formed. W = Q W' loses s_1 / s_i in precision, which one
    step of iterative refinement, Q times what W lacks of W', makes good. X is measured from the rows' centre.

    Returns
    -------
    rows : Rows of shape (n, rank), for dense X in memory with n < p and n < max_rows; else the rows given
    lower, lift : functions from theta to theta', and back
    """
    n = rows.n_rows
    few_dense = n < min(rows.n_features, max_rows) and isinstance(rows, MemoryRows) and isinstance(rows.block, Dense)
    if not (few_dense and _comparable(rows.X, rows.centre)):
        return rows, lambda theta: theta, lambda theta: theta
    block = rows.block
    pieces = [slice(*ends) for ends in pairwise([*range(0, rows.n_features, 2 * n), rows.n_features])]
    with ONE_BLAS_THREAD:
        R = np.empty((0, n))
        for piece in pieces:
            R = qr(np.vstack([R, block.measured(piece).T]), mode="r", check_finite=False)[0][:n]
        _, s, Vt = svd(R, full_matrices=False, check_finite=False)
    of_centre = np.sqrt(n) * np.linalg.norm(rows.centre) * np.finfo(rows.dtype).eps  # so far rows do not add up to 0
    rank = max(1, np.count_nonzero(s > s[0] * max(block.X.shape) * np.finfo(float).eps + of_centre))
    s, V = np.maximum(s[:rank], np.finfo(float).tiny), Vt[:rank].T

    def lower(theta):
        scores = sum(block.measured(piece) @ theta[piece] for piece in pieces)
        return np.vstack([V.T @ scores / s[:, None], theta[-1]])

    def roughly_lifted(theta):
        v = V @ (theta[:-1] / s[:, None])
        return np.vstack([*(block.measured(piece).T @ v for piece in pieces), theta[-1]])

    def lift(theta):
        rough = roughly_lifted(theta)
        return rough + roughly_lifted(theta - lower(rough))

    return rows.with_features(V * s), lower, lift


def _comparable(X, centre):
    """Whether the features' scales are near enough for the small ones not to drown in an SVD's rounding."""
    scales = np.maximum(X.max(axis=0) - centre, centre - X.min(axis=0))
    return scales.max() <= 1e8 * np.min(scales, where=scales > 0, initial=np.inf)
