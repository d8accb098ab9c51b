"""Approximations of the Hessian H that solve equations: each has a method ``solve(g)`` for H^-1 g.

    Cholesky                 H ~ D L L^T D,  D^2 = diag(H)                        up to a few thousand parameters
    Updated                  H0 + U^T B U, H0 factorised, U of a few rows
    ConjugateGradients       H v by a function, preconditioned by                 beyond
    Jacobi                   H ~ D^2
    Kronecker                H ~ G (x) B

All work on the equilibrated H, which has a unit diagonal, so that the units of the features do not matter. No other
diagonal scaling makes the condition number smaller by more than a factor of the size of H.

References
----------
van der Sluis, "Condition numbers and equilibration of matrices", Numerische Mathematik 14 (1969).
Hager, "Updating the inverse of a matrix", SIAM Review 31 (1989) (Woodbury's identity).
Nocedal and Wright, "Numerical Optimization" (2006), algorithm 3.3 and section 7.1 (truncated Newton).
Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
Hsia, Chiang and Lin, "Preconditioned conjugate gradient methods in truncated Newton frameworks", ACML 2018.
"""

from collections.abc import Callable
from copy import copy
from math import isinf, sqrt
from typing import NamedTuple

import numpy as np
from scipy.linalg import get_lapack_funcs, lapack

__all__ = ["Cholesky", "ConjugateGradients", "Iterate", "Jacobi", "Kronecker", "Updated", "without_shift"]

EPS, TINY = np.finfo(float).eps, float(np.finfo(float).tiny)
MOST_PRODUCTS = 500  # of H with a vector, in one solve
DIGITS = 12  # of the logarithm of an eigenvalue: the others are rounding
NO_CURVATURE = 1e-6  # relative to the largest: a softmax has no curvature where all scores move together
SOLUTION_DIGITS = 1e3  # curvature / rounding of a factor that is precise enough for a rough metric
SINGULAR = 1e3  # curvature / rounding of an entry: a smaller ratio may hide that there is no curvature
ESTIMATE_RESIDUAL = 0.01  # relative residual at which the estimate of the fall is good
BOUND_RATIO = 1.5  # bound / fall: a good bound
FAR_FROM_ENOUGH = 2.0  # estimate / enough: a step from so far away may be rough
RECENT = 64  # rows of U: with more, a new factorisation costs less
MOST_UPDATE_VARIANCE = 1e10  # x^T H0^-1 x of a row: with more, too few of H0's digits are left


class Cholesky:
    """H, factorised: ``solve(g)`` is H^-1 g, for a vector g or a matrix of such columns.

    Where features are collinear, H is singular to rounding. Then tau diag(H) is added. tau starts at the rounding of an
    entry, eps for each row, and grows until the factor exists. Only directions whose curvature is lost in rounding
    change.
    """

    def __init__(self, hessian, eps=EPS):
        self.rounding = len(hessian) * float(eps)
        self.scale = equilibration(hessian.diagonal())
        equilibrated = self.scale[:, None] * hessian * self.scale
        tau, failed = self.rounding, True
        while failed:
            np.einsum("ii->i", equilibrated)[:] = 1 + tau
            self.factor, failed = get_lapack_funcs("potrf", (equilibrated,))(equilibrated, lower=True)
            tau *= 100

    def solve(self, g):
        """H^-1 g."""
        solution, _ = get_lapack_funcs("potrs", (self.factor,))(self.factor, self._scaled(g), lower=True)
        return (self.scale[:, None] * solution).reshape(g.shape)

    def decrement(self, g):
        """Half of g^T H^-1 g = |L^-1 D^-1 g|^2, by half of a solve."""
        half, _ = get_lapack_funcs("trtrs", (self.factor,))(self.factor, self._scaled(g), lower=True)
        return 0.5 * float(np.vdot(half, half))

    def _scaled(self, g):
        """D^-1 g, in columns and in the factor's precision."""
        return (self.scale[:, None] * g.reshape(len(self.scale), -1)).astype(self.factor.dtype, copy=False)

    def rounded(self, precision):
        """The same with a factor in that precision, if three digits of a solution are left."""
        rounded, digits = copy(self), self._least_curvature / np.finfo(precision).eps
        rounded.factor = self.factor.astype(precision, copy=False) if digits >= SOLUTION_DIGITS else self.factor
        return rounded

    @property
    def is_singular(self):
        """Whether a direction has so little curvature, compared with the features that it mixes, that tau hides it."""
        return self._least_curvature <= SINGULAR * self.rounding

    @property
    def _least_curvature(self):
        """About the smallest eigenvalue of the equilibrated H."""
        return lapack.dpocon(self.factor, 1.0, uplo="L")[0]


class Updated(NamedTuple):
    """H0 + U^T B U: a factorised H0, and the curvature of a few later rows, by Woodbury's identity.

    A row x of the data, with its constant feature, makes the k rows x (x) I of U. B has a (k, k) block for each row,
    and is known as the function ``bend``, v -> B v. With f = H0^-1 g,

        H^-1 g = f - A (I + B U A)^-1 B U f.

    ``answers`` is A = H0^-1 U^T, of shape (p + 1, k, m k) for m rows, and ``coupling`` is U A, of shape (m, k, m k). B
    may be singular.
    """

    base: Cholesky
    rows: np.ndarray
    answers: np.ndarray
    coupling: np.ndarray
    bend: Callable[[np.ndarray], np.ndarray] | None = None

    @classmethod
    def of(cls, base, shape):
        """The same as ``base``, for parameters of that shape, before any later row."""
        p, k = shape
        return cls(base, np.empty((0, p)), np.empty((p, k, 0)), np.empty((0, k, 0)))

    def has_room(self, n_rows):
        """Whether ``n_rows`` more rows cost less than a new factorisation."""
        p, k, n = self.answers.shape
        return n + n_rows * k <= min(RECENT, p * k)

    def after(self, rows):
        """The same after more rows; None where H0 knows so little of the rows that the update would lose its digits."""
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
        """The vector g, each entry divided by its own curvature."""
        return g / self.diagonal

    def decrement(self, g):
        """Half of g^T H^-1 g."""
        return 0.5 * float(np.vdot(g, g / self.diagonal))


class Kronecker:
    """H ~ G (x) B + diag(penalty), as if the rows' features x x^T and their curvatures B were independent.

    G (p, p) is the mean of x x^T, B (k, k) the mean of the curvatures; the k columns share penalty (p,). In the
    coordinates of B's eigenvectors each column has an equation of its own, with the matrix gamma G + penalty for the
    eigenvalue gamma. The gammas are rounded to powers of 4, so that most columns share a Cholesky factor. Where all
    rows have the same curvature, H is G (x) B itself: ``exact`` keeps the gammas, but for their rounding.
    """

    def __init__(self, gram, coupling, penalty, known=None, *, exact=False, eps=EPS, precision="float64"):
        """``known`` has factors by gamma, of the same gram and penalty; ``eps`` is that of ``Cholesky``.

        ``precision`` is that of the rotations by B's eigenvectors, and of factors that leave enough digits in it.
        """
        gamma, vectors = np.linalg.eigh(coupling)
        self.vectors = vectors.astype(precision, copy=False)
        gamma = np.maximum(gamma, max((EPS if exact else NO_CURVATURE) * gamma[-1], TINY))
        rounded = np.exp(np.round(np.log(gamma), DIGITS)) if exact else 4.0 ** np.round(0.5 * np.log2(gamma))
        self.columns = [(rounded == g, g) for g in np.unique(rounded)]
        known = known or {}
        self.factors = {
            g: known.get(g) or Cholesky(g * gram + np.diag(penalty), eps).rounded(precision) for _, g in self.columns
        }

    def solve(self, g):
        """H^-1 g."""
        rotated = self._rotated(g)
        for columns, gamma in self.columns:
            rotated[:, columns] = self.factors[gamma].solve(rotated[:, columns])
        return (rotated @ self.vectors.T).astype(g.dtype, copy=False)

    def decrement(self, g):
        """Half of g^T H^-1 g, by half of a solve."""
        rotated = self._rotated(g)
        return sum(self.factors[gamma].decrement(rotated[:, columns]) for columns, gamma in self.columns)

    def _rotated(self, g):
        return g.astype(self.vectors.dtype, copy=False) @ self.vectors

    @property
    def is_singular(self):
        """Whether a factor of some column is, as ``Cholesky`` says."""
        return any(factor.is_singular for factor in self.factors.values())


class Iterate(NamedTuple):
    """A step x towards H^-1 g, and what x says of 1/2 g^T H^-1 g, the fall that the exact step promises.

    With the residual r = g - H x, the promised fall is 1/2 g^T x + 1/2 r^T H^-1 r. The first term is ``fall``, the fall
    of x. ``estimate`` is the sum with M in the place of H in the second term; ``bound`` is an upper bound on the sum.
    """

    x: np.ndarray
    rest: np.ndarray  # g - H x
    residual: float  # the same in the norm of M^-1, relative to that of g
    fall: float
    estimate: float
    bound: float


class ConjugateGradients:
    """H, known by the products ``product(v)`` = H v, and preconditioned by M, a rougher metric.

    ``bound(r)`` is an upper bound on 1/2 r^T H^-1 r. All vectors have the shape of g. ``solve`` ends where the bound on
    the promised fall is at most ``sharp`` times the fall, or at most ``enough``; where there is no bound, at a relative
    residual of ``fine``. Far from ``enough``, ``solve`` ends at a relative residual of ``rough``.
    """

    def __init__(
        self,
        product,
        preconditioner,
        bound,
        *,
        fine=ESTIMATE_RESIDUAL,
        sharp=BOUND_RATIO,
        enough=0.0,
        rough=0.0,
        most_products=MOST_PRODUCTS,
    ):
        self.rough = rough
        self.product, self.preconditioner, self.bound = product, preconditioner, bound
        self.fine, self.sharp, self.enough, self.most_products = fine, sharp, enough, most_products

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
            if rest <= 0 or curvature <= 0:  # the residual is 0, or H has no curvature along it
                return
            length = rest / curvature
            x += length * v
            r -= length * Hv
            fall += 0.5 * length * rest
            q = self.preconditioner.solve(r)
            last, rest = rest, float(np.vdot(r, q))
            v = q + (rest / last) * v
            yield Iterate(x, r, sqrt(abs(rest) / start), fall, fall + 0.5 * rest, fall + self.bound(r))

    def solve(self, g):
        """H^-1 g, as near as ``solved`` comes."""
        iterate = self.solved(g)
        self.residual = iterate.residual
        return iterate.x

    def solved(self, g):
        """The iterate whose bound is sharp; the one of a small residual where there is no bound."""
        for iterate in self.iterates(g):
            if iterate.residual <= self.rough and iterate.estimate > FAR_FROM_ENOUGH * self.enough:
                is_good = True
            elif isinf(iterate.bound):
                is_good = iterate.residual <= self.fine
            else:
                is_good = iterate.bound <= max(self.sharp * iterate.fall, self.enough)
            if is_good:
                break
        return iterate

    def decrement(self, g):
        """1/2 g^T H^-1 g, as estimated at a small residual."""
        for iterate in self.iterates(g):
            if iterate.residual <= self.fine:
                break
        return iterate.estimate


def equilibration(diagonal):
    """D^-1, which scales H to a unit diagonal; 1 where H has no curvature at all."""
    return 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))


def without_shift(hessian, shape, features):
    """Give curvature to the directions that change no probability of a softmax.

    A constant added to all scores changes no probability. So for each feature j, the direction that adds the same to
    each theta_jc has only the penalty's curvature. If the gradient is 0 along that direction, curvature added there
    changes no step, and makes H definite. Only an l1 penalty has a gradient there, and none on the intercept.
    """
    p, k = shape
    if k > 1:
        blocks = hessian.reshape(p, k, p, k)
        feature = np.arange(p)[features]
        blocks[feature, :, feature, :] += np.einsum("jcjc->j", blocks)[feature, None, None] / k**2
    return hessian
