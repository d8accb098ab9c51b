"""Approximations of the Hessian that can be solved with.

    Cholesky                 H ~ D L L^T D,  D^2 = diag(H)                        up to a few thousand parameters
    Updated                  H0 + U^T B U, H0 factorised, U of a few rows
    ConjugateGradients       H v by a function, preconditioned by                 beyond
    Jacobi                   H ~ D^2
    Kronecker                H ~ G (x) B

All work on the equilibrated H, so that a feature in euros and a flag count alike: no other diagonal scaling conditions
H better by more than a factor of its size.

References
----------
van der Sluis, "Condition numbers and equilibration of matrices", Numerische Mathematik 14 (1969).
Hager, "Updating the inverse of a matrix", SIAM Review 31 (1989) (Woodbury's identity).
Nocedal and Wright, "Numerical Optimization" (2006), algorithm 3.3 and section 7.1 (truncated Newton).
Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
Hsia, Chiang and Lin, "Preconditioned conjugate gradient methods in truncated Newton frameworks", ACML 2018.
"""

from collections.abc import Callable
from math import isinf, sqrt
from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

__all__ = ["Cholesky", "ConjugateGradients", "Iterate", "Jacobi", "Kronecker", "Updated"]

EPS, TINY = np.finfo(float).eps, float(np.finfo(float).tiny)
MOST_PRODUCTS = 500  # of H with a vector, at most
NO_CURVATURE = 1e-6  # of the largest: softmax has none where all scores move together
SINGULAR = 1e3  # times the rounding of an entry is a curvature too small to be sure of
ESTIMATE_RESIDUAL = 0.01  # a residual relative to that of no step
BOUND_RATIO = 1.5  # times the fall is a good bound
RECENT = 64  # rows of U: with more, to factorise anew costs less
MOST_UPDATE_VARIANCE = 1e10  # variance of a row's score: so many times the rounding are left of H0's digits


class Cholesky:
    """H, factorised: ``solve(g)`` is H^-1 g, for g with as many entries as H has rows or with such columns.

    Where features are collinear, H is singular to rounding. Then tau diag(H) is added; tau starts at the rounding of an
    entry, eps for each row, and grows until the factor exists. The directions that this touches have no curvature that
    can be seen.
    """

    def __init__(self, hessian, eps=EPS):
        self.rounding = len(hessian) * float(eps)
        self.scale = equilibration(hessian.diagonal())
        equilibrated = self.scale[:, None] * hessian * self.scale
        tau, failed = self.rounding, True
        while failed:
            np.einsum("ii->i", equilibrated)[:] = 1 + tau
            self.factor, failed = lapack.dpotrf(equilibrated, lower=True)
            tau *= 100

    def solve(self, g):
        """H^-1 g."""
        columns = g.reshape(len(self.scale), -1)
        solution, _ = lapack.dpotrs(self.factor, self.scale[:, None] * columns, lower=True)
        return (self.scale[:, None] * solution).reshape(g.shape)

    def decrement(self, g):
        """Half of g^T H^-1 g."""
        return 0.5 * float(np.vdot(g, self.solve(g)))

    @property
    def is_singular(self):
        """Whether some direction has so little curvature, beside the features that it mixes, that tau may hide it."""
        least, _ = lapack.dpocon(self.factor, 1.0, uplo="L")  # about the smallest eigenvalue of the equilibrated H
        return least <= SINGULAR * self.rounding


class Updated(NamedTuple):
    """H0 + U^T B U: a factorised H0, and the curvature of a few rows that came after, by Woodbury's identity.

    A row x of the data, with its constant feature, is the k rows x (x) I of U; B holds a (k, k) for each row, as the
    function v -> B v. With A = H0^-1 U^T, the ``answers``, of shape (p + 1, k, m k) for m rows, and their ``coupling``
    U A, of shape (m, k, m k), H^-1 g is f - A (I + B U A)^-1 B U f, where f = H0^-1 g. B may be singular.
    """

    base: Cholesky
    rows: np.ndarray
    answers: np.ndarray
    coupling: np.ndarray
    bend: Callable[[np.ndarray], np.ndarray] | None = None

    @classmethod
    def of(cls, base, shape):
        """The same as ``base``, for parameters of that shape: no row has come."""
        p, k = shape
        return cls(base, np.empty((0, p)), np.empty((p, k, 0)), np.empty((0, k, 0)))

    def has_room(self, n_rows):
        """Whether it is worth while to take so many rows more."""
        p, k, n = self.answers.shape
        return n + n_rows * k <= min(RECENT, p * k)

    def after(self, rows):
        """The same after some more rows; None where they are so new to H0 that they would lose its digits."""
        (p, k, n), m = self.answers.shape, len(self.rows)
        units = (rows.T[:, None, :, None] * np.eye(k)[:, None]).reshape(p * k, -1)
        new = self.base.solve(units).reshape(p, -1)
        answers = np.concatenate([self.answers, new.reshape(p, k, -1)], axis=2)
        coupling = np.empty((m + len(rows), k, answers.shape[2]))
        coupling[:m, :, :n] = self.coupling
        coupling[:m, :, n:] = (self.rows @ new).reshape(m, k, len(rows) * k)
        coupling[m:] = (rows @ answers.reshape(p, -1)).reshape(len(rows), k, -1)
        return (
            Updated(self.base, np.vstack([self.rows, rows]), answers, coupling)
            if coupling.max() < MOST_UPDATE_VARIANCE
            else None
        )

    def solve(self, g):
        """H^-1 g."""
        f, n = self.base.solve(g), self.answers.shape[2]
        system = self.bend(self.coupling).reshape(n, n)
        np.einsum("ii->i", system)[:] += 1
        pull = np.linalg.solve(system, self.bend((self.rows @ f)[..., None]).reshape(n))
        return f - self.answers @ pull


class Jacobi:
    """The diagonal of H alone."""

    def __init__(self, diagonal):
        self.diagonal = np.where(diagonal > 0, diagonal, 1.0)

    def solve(self, g):
        """G, each entry divided by its own curvature."""
        return g / self.diagonal


class Kronecker:
    """H ~ G (x) B + diag(penalty), as if the rows' features x x^T and their curvatures B were independent.

    G (p, p) is the mean of x x^T, B (k, k) that of the curvatures, penalty (p,) is shared by the k columns. In the
    eigenvectors of B the columns come apart: one Cholesky factor of gamma G + penalty each, for the eigenvalues gamma
    as rounded to powers of 4, so that most of them share it.
    """

    def __init__(self, gram, coupling, penalty):
        gamma, self.vectors = np.linalg.eigh(coupling)
        rounded = 4.0 ** np.round(0.5 * np.log2(np.maximum(gamma, max(NO_CURVATURE * gamma[-1], TINY))))
        self.columns = [(rounded == g, Cholesky(g * gram + np.diag(penalty))) for g in np.unique(rounded)]

    def solve(self, g):
        """H^-1 g."""
        turned = g @ self.vectors
        for some, factor in self.columns:
            turned[:, some] = factor.solve(turned[:, some])
        return turned @ self.vectors.T


class Iterate(NamedTuple):
    """A step x towards H^-1 g, and what is known there of half of g^T H^-1 g, the fall that a whole step promises.

    With the residual r = g - H x it is the ``fall`` of x, which is g^T x / 2, and half of r^T H^-1 r. Estimated with
    M for H in that second part it is ``estimate``; ``bound`` is no less than it.
    """

    x: np.ndarray
    rest: np.ndarray  # g - H x
    residual: float  # the same in the norm of M^-1, relative to that of g
    fall: float
    estimate: float
    bound: float


class ConjugateGradients:
    """H, known by the products ``product(v)`` = H v, and preconditioned by M, a rougher metric.

    ``bound(r)`` is at least half of r^T H^-1 r. All vectors have the shape of g. A solution ends at a residual that is
    ``fine``, relative to that of no step, or where its bound is ``sharp``: so many times the fall, at most.
    """

    def __init__(
        self, product, preconditioner, bound, *, fine=ESTIMATE_RESIDUAL, sharp=BOUND_RATIO, most_products=MOST_PRODUCTS
    ):
        self.product, self.preconditioner, self.bound = product, preconditioner, bound
        self.fine, self.sharp, self.most_products = fine, sharp, most_products

    def iterates(self, g):
        """Yield the Iterate after 0, 1, 2, ... products; x is one array, which changes."""
        x, r = np.zeros_like(g), g.copy()
        v = q = self.preconditioner.solve(r)
        start = rest = float(np.vdot(r, q))
        fall = 0.0
        yield Iterate(x, r, 1.0, fall, 0.5 * rest, self.bound(r))
        for _ in range(self.most_products):
            Hv = self.product(v)
            curvature = float(np.vdot(v, Hv))
            if rest <= 0 or curvature <= 0:  # g is used up, or H has nothing to say of what is left
                return
            length = rest / curvature
            x += length * v
            r -= length * Hv
            fall += 0.5 * length * rest
            q = self.preconditioner.solve(r)
            last, rest = rest, float(np.vdot(r, q))
            v = q + (rest / last) * v
            yield Iterate(x, r, sqrt(rest / start), fall, fall + 0.5 * rest, fall + self.bound(r))

    def solve(self, g):
        """H^-1 g, as near as ``solved`` comes."""
        return self.solved(g).x

    def solved(self, g):
        """The iterate whose bound is sharp; the one of a small residual where there is no bound."""
        for iterate in self.iterates(g):
            if iterate.residual <= self.fine if isinf(iterate.bound) else iterate.bound <= self.sharp * iterate.fall:
                break
        return iterate

    def decrement(self, g):
        """Half of g^T H^-1 g, as estimated at a small residual."""
        for iterate in self.iterates(g):
            if iterate.residual <= self.fine:
                break
        return iterate.estimate


def equilibration(diagonal):
    """D^-1: what scales H to a unit diagonal; 1 where H has no curvature at all."""
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
