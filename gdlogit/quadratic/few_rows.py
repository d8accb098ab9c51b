"""The Hessian of few rows of many features, for one score, by Woodbury's identity.

    H = X^T C X + Lambda,    C = diag(c) the rows' curvatures,    Lambda = diag(penalty),    K = X Lambda^-1 X^T  (n, n)

    H^-1 g = f - Lambda^-1 X^T C^1/2 (I + C^1/2 K C^1/2)^-1 C^1/2 X f,    f = Lambda^-1 g

K does not depend on theta. For n rows a factorisation costs n^3 / 3, and knows which rows have curvature left. The
intercept has no penalty; Lambda has the sum of the curvatures there, which costs conjugate gradients a product or two.

References
----------
Hager, "Updating the inverse of a matrix", SIAM Review 31 (1989) (Woodbury's identity).
"""

import numpy as np

from .curvature import Cholesky

__all__ = ["FewRows", "kernel_of", "kernel_price"]

OVERHEAD = 10  # reading an entry of X costs as much as multiplying it for ten scores
THIN = 2  # cost of a multiplication in a pass, or in a factorisation / cost in a large product


class FewRows:
    """H, for rows with products ``kernel`` = X Lambda^-1 X^T (intercepts apart), and with curvatures c (n, 1)."""

    def __init__(self, objective, kernel, c):
        self.objective, self.root = objective, np.sqrt(objective.weighed(c)).astype(float, copy=False)
        total = float(np.vdot(self.root, self.root)) or 1.0
        self.inverse = inverse_penalty(objective, total)
        system = self.root * (kernel + objective.has_intercept / total) * self.root.T
        np.einsum("ii->i", system)[:] += 1
        self.factor = Cholesky(system, np.finfo(objective.precision).eps)

    def solve(self, g):
        """H^-1 g, for one pass."""
        f = self.inverse * g
        u = self.root * self.factor.solve(self.root * self.objective.score_changes(f))
        return f - self.inverse * self.objective.transposed(u)


def kernel_of(objective):
    """X Lambda^-1 X^T, without the intercepts."""
    return objective.row_products(inverse_penalty(objective, np.inf))


def inverse_penalty(objective, intercept):
    """Lambda^-1, shape (p + 1, 1), for the Lambda of an intercept."""
    penalty = objective.penalty_curvature.copy()
    penalty[-1] = intercept
    return 1 / penalty


def kernel_price(objective):
    """The price of K and of a factorisation, in passes; infinite where a Hessian needs more than K."""
    n, (p, k) = objective.n_rows, objective.shape
    is_penalised = objective.penalty_curvature[:-1].min() > 0
    if k > 1 or not objective.is_in_memory or not is_penalised:
        return np.inf
    return n**2 * (p + THIN * n / 3) / (2 * THIN * objective.work * (k + OVERHEAD))
