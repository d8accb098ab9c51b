r"""The Hessian of few rows of many features by Woodbury's identity: of one score, or of each class on its own.

    H_c = X^T C_c X + Lambda,    C_c = diag(c_i) the rows' curvatures in score c,    Lambda = diag(penalty)

    H_c^-1 g = f - Lambda^-1 X^T C^1/2 (I + C^1/2 K C^1/2)^-1 C^1/2 X f,    f = Lambda^-1 g,    K = X Lambda^-1 X^T

K (n, n) does not depend on theta. For n rows a factorisation costs n^3 / 3, and knows which rows have curvature left.
Rows that are certain have none, and are left out: in several classes, most rows are soon certain not to belong to a
given class. The intercept has no penalty; Lambda has the sum of the curvatures there, which costs conjugate gradients a
product or two. The curvature between two classes is left to conjugate gradients, too.

References
----------
Hager, "Updating the inverse of a matrix", SIAM Review 31 (1989) (Woodbury's identity).
"""

from math import sqrt

import numpy as np

from .curvature import Cholesky
from .price import CHOLESKY, pass_price

__all__ = ["FewRows", "kernel_of", "kernel_price"]

# Sum of c_i K_ii over the rows that are left out: no eigenvalue of their part is larger, beside the penalty's 1.
LEFT_OUT_TRACE = 1.0
MOST_ENTRIES = 2**25  # of all factors: 256 MB, which 16 classes of 1,400 rows each take


class FewRows:
    """H, for rows with products ``kernel`` = X Lambda^-1 X^T (intercepts apart), and with curvatures ``c`` (n, k)."""

    def __init__(self, objective, kernel, c):
        self.objective = objective
        curvature = np.asarray(objective.weighed(objective.loss.bend_diagonal(c)), float)
        total = curvature.sum(axis=0)
        total[total == 0] = 1.0
        self.inverse, self.parts = inverse_penalty(objective, total), []
        for column, intercept in zip(curvature.T, objective.has_intercept / total, strict=True):
            rows = rows_with_curvature(column * kernel.diagonal(), len(total))
            root = np.sqrt(column[rows])
            system = root[:, None] * (kernel[np.ix_(rows, rows)] + intercept) * root
            np.einsum("ii->i", system)[:] += 1
            self.parts.append((rows, root, Cholesky(system, np.finfo(objective.precision).eps)))

    def solve(self, g):
        """H^-1 g, for one pass."""
        f = self.inverse * g
        z = self.objective.score_changes(f)
        u = np.zeros_like(z)
        for score, (rows, root, factor) in enumerate(self.parts):
            u[rows, score] = root * factor.solve(root * z[rows, score])
        return f - self.inverse * self.objective.transposed(u)


def rows_with_curvature(sizes, k):
    """The rows, at least one, of a score whose curvature counts beside the penalty; ``sizes`` are their c_i K_ii.

    All k scores together have at most about MOST_ENTRIES in their factors.
    """
    order = np.argsort(sizes)
    n_left_out = int(np.searchsorted(np.cumsum(sizes[order]), LEFT_OUT_TRACE))
    most = int(sqrt(MOST_ENTRIES / k))
    return np.sort(order[min(max(n_left_out, len(sizes) - most), len(sizes) - 1) :])


def kernel_of(objective):
    """X Lambda^-1 X^T, without the intercepts."""
    return objective.row_products(inverse_penalty(objective, np.inf)[:, :1])


def inverse_penalty(objective, intercept):
    """Lambda^-1, shape (p + 1, k), for the Lambda of the intercepts."""
    penalty = objective.penalty_curvature.copy()
    penalty[-1] = intercept
    return 1 / penalty


def kernel_price(objective):
    """The price of K and of the factors, in passes; infinite where a Hessian needs more than K."""
    n, (p, k) = objective.n_rows, objective.shape
    # so that neither 1 / penalty nor a product of rows with it overflows
    is_penalised = objective.penalty_curvature[:-1].min() > sqrt(np.finfo(objective.precision).tiny)
    if not objective.is_in_memory or not is_penalised:
        return np.inf
    m = min(n, sqrt(MOST_ENTRIES / k))
    return (n**2 * p + CHOLESKY * k * m**3) / pass_price(objective)
