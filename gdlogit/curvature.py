"""Approximations of the Hessian that can be solved with.

    Cholesky    D (L L^T) D = H + tau diag(H), D^2 = diag(H)

Equilibrated, so that a feature in euros and a flag count alike: D L L^T D is within a factor of p of the best-conditioned
scaling of H (van der Sluis 1969). Where features are collinear H is singular to rounding; tau starts at the rounding of
an entry and grows until the factor exists. The directions it touches have no curvature that double precision can see.

References
----------
van der Sluis, "Condition numbers and equilibration of matrices", Numerische Mathematik 14 (1969).
Nocedal and Wright, "Numerical Optimization" (2006), algorithm 3.3.
"""

import numpy as np
from scipy.linalg import lapack

__all__ = ["Cholesky"]


class Cholesky:
    """H, factorised: ``solve(g)`` is H^-1 g for g of any shape with as many entries as H has rows."""

    def __init__(self, hessian):
        diagonal = hessian.diagonal()
        self.scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
        equilibrated = self.scale[:, None] * hessian * self.scale
        tau = len(hessian) * np.finfo(float).eps
        failed = True
        while failed:
            np.einsum("ii->i", equilibrated)[:] = 1 + tau
            self.factor, failed = lapack.dpotrf(equilibrated, lower=True, clean=False)
            tau *= 100

    def solve(self, g):
        """H^-1 g."""
        solution, _ = lapack.dpotrs(self.factor, self.scale * g.ravel(), lower=True)
        return (self.scale * solution).reshape(g.shape)
