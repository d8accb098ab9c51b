"""Few rows of many features, in coordinates of the space that they span."""

from itertools import pairwise

import numpy as np
from scipy.linalg import qr, svd

from .dense import Dense
from .memory import MemoryRows
from .threads import ONE_BLAS_THREAD

__all__ = ["compact"]


def compact(rows, max_rows, in_spreads=False):
    """Few rows of many features, in coordinates of the space that they span; other rows as they are.

    X = V s Q^T is the thin singular value decomposition of X, measured from the rows' centre. The scores X W are
    (V s) W' for W' = Q^T W, and |W| = |W'| in the span of the rows, where a minimum with an l2 penalty lies. s and V
    come from the R of a QR decomposition of X^T, a few columns of X at a time; Q = X^T V / s is never formed. W = Q W'
    loses a factor s_1 / s_i in precision. One step of iterative refinement restores it.

    Only rows with a nonzero weight span the space. With ``in_spreads``, X is in units of the features' spreads and W in
    units of their inverses. Of all W with the same scores, the span then has the W of least norm in these units.

    Returns
    -------
    rows : Rows of shape (n, rank), if X is dense, in memory, and has fewer rows of nonzero weight than p and than
        max_rows; otherwise the given rows
    lower, lift : functions from theta to theta', and back
    """
    n, p = rows.n_counted, rows.n_features
    few_dense = n < min(p, max_rows) and isinstance(rows, MemoryRows) and isinstance(rows.block, Dense)
    if not (few_dense and (in_spreads or _comparable(rows.X, rows.centre))):
        return rows, lambda theta: theta, lambda theta: theta
    pieces = [slice(*ends) for ends in pairwise([*range(0, p, 2 * n), p])]
    unit = _units(rows, pieces) if in_spreads else np.ones(p)
    counted = slice(None) if n == rows.n_rows else np.flatnonzero(rows.weight)

    def columns(piece, some=counted):
        return (rows.block.measured(piece) / unit[piece])[some]

    with ONE_BLAS_THREAD:
        R = np.empty((0, n))
        for piece in pieces:
            R = qr(np.vstack([R, columns(piece).T]), mode="r", check_finite=False)[0][:n]
        _, s, Vt = svd(R, full_matrices=False, check_finite=False)
    rounding_of_centre = np.sqrt(n) * np.linalg.norm(rows.centre / unit) * np.finfo(rows.dtype).eps
    rank = max(1, np.count_nonzero(s > s[0] * max(n, p) * np.finfo(float).eps + rounding_of_centre))
    s, V = np.maximum(s[:rank], np.finfo(float).tiny), Vt[:rank].T

    def lower(theta):
        scores = sum(rows.block.measured(piece)[counted] @ theta[piece] for piece in pieces)
        return np.vstack([V.T @ scores / s[:, None], theta[-1]])

    def roughly_lifted(theta):
        v = V @ (theta[:-1] / s[:, None])
        return np.vstack([*(columns(piece).T @ v / unit[piece, None] for piece in pieces), theta[-1]])

    def lift(theta):
        rough = roughly_lifted(theta)
        return rough + roughly_lifted(theta - lower(rough))

    features = V * s
    if n < rows.n_rows:  # the rows of weight 0 are projected to the span
        features = sum(columns(piece, slice(None)) @ (columns(piece).T @ (V / s)) for piece in pieces)
    return rows.with_features(features), lower, lift


def _units(rows, pieces):
    """The unit of each feature: its spread, or infinity where the spread is only the rounding of an offset."""
    share = rows.weight / rows.total
    spread = np.empty(rows.n_features)
    for piece in pieces:
        X = rows.block.measured(piece)
        mean = rows.constant * (share @ X)
        spread[piece] = np.sqrt(share @ np.square(X - mean))
    return np.where(spread > 10 * np.finfo(rows.dtype).eps * np.abs(rows.centre), spread, np.inf)


def _comparable(X, centre):
    """Whether the features' scales are so near to each other that an SVD's rounding spares the small features."""
    scales = np.maximum(X.max(axis=0) - centre, centre - X.min(axis=0))
    return scales.max() <= 1e8 * np.min(scales, where=scales > 0, initial=np.inf)
