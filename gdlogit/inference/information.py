r"""The information matrix, factorised on the parameters that can be estimated.

    D I D = L L^T on the estimable parameters,  D^2 = 1 / diag(I),    V = I^-1 = A A^T,  A = D L^-T

A parameter is *aliased* if its feature is a linear function of the features before it. It has no estimate, as in R.
Parameters are taken in order, the intercept first. A parameter is left out if the parameters before it explain its
information up to rounding. In A and V an aliased parameter has zeros, so no step moves it.

References
----------
Higham, "Accuracy and Stability of Numerical Algorithms" (2002), section 10.3 (semidefinite matrices).
"""

import numpy as np
from scipy.linalg import lapack, solve_triangular

from ..quadratic.curvature import EPS, SINGULAR, equilibration

__all__ = ["Information"]


class Information:
    """I, factorised: ``estimable`` is a mask (P,), ``root`` is A (P, rank), ``log_det`` is log |I| of the estimable."""

    def __init__(self, matrix, n_last=0):
        """Factorise a matrix (P, P) in the order of its parameters, but with the last ``n_last`` of them first."""
        P = len(matrix)
        order = np.arange(-n_last, P - n_last) % P
        scale = equilibration(matrix.diagonal())
        factor, kept = independent((scale[:, None] * matrix * scale)[order[:, None], order], SINGULAR * P * EPS)
        kept = order[kept]
        self.matrix, self.rank = matrix, len(kept)
        self.estimable = np.zeros(P, dtype=bool)
        self.estimable[kept] = True
        self.root = np.zeros((P, self.rank))
        inverse, _ = lapack.dtrtri(factor, lower=True)
        self.root[kept] = scale[kept, None] * inverse.T
        self.log_det = 2 * float(np.log(factor.diagonal()).sum() - np.log(scale[kept]).sum())

    @property
    def covariance(self):
        """V (P, P), with zeros where a parameter is aliased."""
        return self.root @ self.root.T

    def solve(self, u):
        """V u, in the shape of u, which may be that of theta."""
        return (self.root @ (self.root.T @ u.ravel())).reshape(u.shape)

    def solve_columns(self, U):
        """V U, for columns U (P, n)."""
        return self.root @ (self.root.T @ U)

    def without_aliased(self, theta):
        """The theta with the same scores in which aliased parameters are 0."""
        flat = theta.ravel()
        moved = np.where(self.estimable, flat, 0.0) + self.root @ (
            self.root.T @ (self.matrix[:, ~self.estimable] @ flat[~self.estimable])
        )
        return moved.reshape(theta.shape)


def independent(matrix, tolerance):
    """The Cholesky factor of the independent columns, and their indices.

    A column is independent if the columns before it leave more than a tolerance of its diagonal entry. The diagonal is
    1, or 0 where a parameter has no information at all.
    """
    factor, failed = lapack.dpotrf(matrix, lower=True)
    if not failed and (factor.diagonal() ** 2).min(initial=1.0) > tolerance:
        return factor, np.arange(len(matrix))
    factor, kept = np.zeros_like(matrix), []
    for j in range(len(matrix)):
        n = len(kept)
        row = solve_triangular(factor[:n, :n], matrix[kept, j], lower=True, check_finite=False) if n else np.empty(0)
        unexplained = matrix[j, j] - row @ row
        if unexplained > tolerance:
            factor[n, :n], factor[n, n] = row, np.sqrt(unexplained)
            kept.append(j)
    return factor[: len(kept), : len(kept)], np.array(kept, dtype=int)
