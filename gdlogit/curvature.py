"""Approximations of the Hessian that can be solved with.

    Cholesky                 H ~ D L L^T D,  D^2 = diag(H)                        up to a few thousand parameters
    ConjugateGradients       H v by a function; solves with D^-1 H D^-1           beyond

Both work on the equilibrated H, so that a feature in euros and a flag count alike: no other diagonal scaling conditions
H better by more than a factor of its size.

References
----------
van der Sluis, "Condition numbers and equilibration of matrices", Numerische Mathematik 14 (1969).
Nocedal and Wright, "Numerical Optimization" (2006), algorithm 3.3 and section 7.1 (truncated Newton).
Hsia, Chiang and Lin, "Preconditioned conjugate gradient methods in truncated Newton frameworks", ACML 2018.
"""

import numpy as np
from scipy.linalg import lapack
from scipy.sparse.linalg import LinearOperator, cg

__all__ = ["Cholesky", "ConjugateGradients"]


class Cholesky:
    """H, factorised: ``solve(g)`` is H^-1 g for g of any shape with as many entries as H has rows.

    Where features are collinear, H is singular to rounding. Then tau diag(H) is added; tau starts at the rounding of an
    entry and grows until the factor exists. The directions that this touches have no curvature that can be seen.
    """

    def __init__(self, hessian):
        self.scale = equilibration(hessian.diagonal())
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


class ConjugateGradients:
    """H, known by the products ``product(v)`` = H v and its diagonal; ``solve(g)`` is H^-1 g to ``rtol``."""

    def __init__(self, product, diagonal, rtol, max_iter):
        self.product, self.scale = product, equilibration(diagonal)
        self.rtol, self.max_iter = rtol, max_iter

    def solve(self, g):
        """H^-1 g, to a residual of rtol in equilibrated units, or what max_iter products give."""

        def equilibrated(v):
            return (self.scale * self.product(self.scale * v.reshape(g.shape))).ravel()

        operator = LinearOperator((g.size, g.size), matvec=equilibrated, dtype=float)
        solution, _ = cg(operator, (self.scale * g).ravel(), rtol=self.rtol, maxiter=self.max_iter)
        return self.scale * solution.reshape(g.shape)


def equilibration(diagonal):
    """D^-1: what scales H to a unit diagonal; 1 where H has no curvature at all."""
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
