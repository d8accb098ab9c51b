"""Approximations of the Hessian that can be solved with.

    Cholesky                 H ~ D L L^T D,  D^2 = diag(H)                        up to a few thousand parameters
    ConjugateGradients       H v by a function, preconditioned by                 beyond
    Jacobi                   H ~ D^2

All work on the equilibrated H, so that a feature in euros and a flag count alike: no other diagonal scaling conditions
H better by more than a factor of its size.

References
----------
van der Sluis, "Condition numbers and equilibration of matrices", Numerische Mathematik 14 (1969).
Nocedal and Wright, "Numerical Optimization" (2006), algorithm 3.3 and section 7.1 (truncated Newton).
Hsia, Chiang and Lin, "Preconditioned conjugate gradient methods in truncated Newton frameworks", ACML 2018.
"""

from math import sqrt
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

__all__ = ["Cholesky", "ConjugateGradients", "Iterate", "Jacobi"]

PRODUCTS = 500  # of H with a vector, at most
FINE = 0.01  # a residual relative to that of no step
SHARP = 1.5  # times the fall is a good bound


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


class Jacobi:
    """The diagonal of H alone."""

    def __init__(self, diagonal):
        self.diagonal = np.where(diagonal > 0, diagonal, 1.0)

    def solve(self, g):
        """G, each entry divided by its own curvature."""
        return g / self.diagonal


class Iterate(NamedTuple):
    """A step x towards H^-1 g, and what is known there of half of g^T H^-1 g, the fall that a whole step promises.

    With the residual r = g - H x it is the ``fall`` of x, which is g^T x / 2, and half of r^T H^-1 r. Estimated with
    M for H in that second part it is ``estimate``; ``bound`` is no less than it.
    """

    x: np.ndarray
    residual: float  # in the norm of M^-1, relative to that of g
    fall: float
    estimate: float
    bound: float


class ConjugateGradients:
    """H, known by the products ``product(v)`` = H v, and preconditioned by M, a rougher metric.

    ``bound(r)`` is at least half of r^T H^-1 r. All vectors have the shape of g.
    """

    def __init__(self, product, preconditioner, bound):
        self.product, self.preconditioner, self.bound = product, preconditioner, bound
        self.solved = None, None  # the last g, and its solution

    def iterates(self, g):
        """Yield the Iterate after 0, 1, 2, ... products; x is one array, which changes."""
        x, r = np.zeros_like(g), g.copy()
        v = q = self.preconditioner.solve(r)
        start = rest = float(np.vdot(r, q))
        fall = 0.0
        yield Iterate(x, 1.0, fall, 0.5 * rest, self.bound(r))
        for _ in range(PRODUCTS):
            if rest <= 0:  # g is 0, or has been used up
                return
            Hv = self.product(v)
            length = rest / float(np.vdot(v, Hv))
            x += length * v
            r -= length * Hv
            fall += 0.5 * length * rest
            q = self.preconditioner.solve(r)
            last, rest = rest, float(np.vdot(r, q))
            v = q + (rest / last) * v
            yield Iterate(x, sqrt(rest / start), fall, fall + 0.5 * rest, fall + self.bound(r))

    def solve(self, g):
        """H^-1 g, until the bound is near the fall, or to a small residual."""
        if self.solved[0] is not g:
            for iterate in self.iterates(g):
                if iterate.residual <= FINE or iterate.bound <= SHARP * iterate.fall:
                    break
            self.solved = g, iterate.x
        return self.solved[1]


def equilibration(diagonal):
    """D^-1: what scales H to a unit diagonal; 1 where H has no curvature at all."""
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
