r"""The metric of the features with an l1 penalty: the model of a proximal quasi-Newton step, and its minimum.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + penalty(x),    M = sigma G (x) B + secants

G has the second moments of the features and B the mean curvature of the classes (``features``). In the eigenvectors of
G and of B, M is a diagonal sigma Lambda and a term of low rank, the compact form of BFGS:

    M = sigma Lambda - W^T K^-1 W,    W = [sigma Lambda S; Y],    K = [S^T sigma Lambda S, L; L^T, -D].

The rows of S and Y are the steps and the changes of the loss's gradient; L and D are the lower triangle and the
diagonal of S^T Y. So (M + rho)^-1 costs two products with eigenvectors, for every rho, and the correlation of features
does not matter. The minimum of q is found by ADMM, which handles the kinks of the penalty:

    x := (M + rho)^-1 (rho (z - u) - c),    z := prox(x + u, 1 / rho),    u := u + x - z.

ADMM starts at theta with u = -g / rho, so at the minimum of J it does not move. z has exact zeros.

Coordinates are scaled to a unit diagonal of G and of B, so that one rho suits all of them.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), equation 7.29 (the compact form).
Boyd et al., "Distributed optimization and statistical learning via ADMM", Found. Trends Mach. Learn. 3 (2011), sections
3.4.1 (rho), 3.4.3 (over-relaxation) and 6.4 (the lasso).
Lee, Sun and Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM J. Optim. 24 (2014).
"""

from typing import NamedTuple

import numpy as np

from ..objective import Point
from ..penalty import shrink
from .curvature import equilibration
from .features import LEAST_CURVATURE, Features

__all__ = ["Eigenbasis", "SpectralMetric"]

KEPT_PAIRS = 5  # that are kept: the newest; J falls as fast as with 10, see docs/decisions
# Of a class, relative to the largest: 1e-4 to 1e-1 take as many passes where rows become certain, 1e-6 five times.
LEAST_CLASS_CURVATURE = 1e-3
LEAST_EIGENVALUE = 1e-10  # of G (x) B, relative to the largest: less is rounding
WORKING_SET_SLOPE = 0.9  # slope / l1: a zero with a larger ratio may leave zero in the next step
LEAST_COSINE = 1e-10  # between a step and the change of the gradient: a pair with less is rounding
SPECTRAL_ITERATIONS, SPECTRAL_ROUNDS = 10, 6  # in a round; rounds
ENOUGH_FALL = 0.1  # fall of the last round / fall so far, up to which another round is not worth its price
ADMM_RELAXATION = 1.6  # Boyd et al. recommend 1.5 to 1.8
MOST_CHANGE, GOOD_RHO = 10.0, 3.0  # of rho, after a round; the least change that calls for another round
TINY = float(np.finfo(float).tiny)


class Eigenbasis(NamedTuple):
    """Eigenvectors and eigenvalues of G (x) B, both scaled to a unit diagonal; without G's, its diagonal alone.

    ``scale`` (p + 1, k) is theta / the scaled theta.
    """

    scale: np.ndarray
    values: np.ndarray
    features: np.ndarray | None
    classes: np.ndarray | None
    moments: np.ndarray  # the eigenvalues of G

    @classmethod
    def of(cls, features: Features, coupling: np.ndarray, known: "Eigenbasis | None" = None) -> "Eigenbasis":
        """The basis for B = ``coupling``; ``known`` is a basis with the same G.

        A class of which all rows are certain has next to no curvature in B, but its coefficients are as likely to move
        as those of other classes. So no class has less than a share of the largest curvature, or of the least one
        where a step has made all rows certain.
        """
        largest = max(coupling.diagonal().max(), LEAST_CURVATURE)
        coupling = coupling + LEAST_CLASS_CURVATURE * largest * np.eye(len(coupling))
        by_class = equilibration(coupling.diagonal())
        if features.gram is None:
            scale = np.outer(equilibration(features.squares), by_class)
            return cls(scale, np.ones_like(scale), None, None, np.ones(len(scale)))
        by_feature = equilibration(features.gram.diagonal())
        if known is None or known.features is None:
            moments, vectors = np.linalg.eigh(by_feature[:, None] * features.gram * by_feature)
            vectors = vectors.astype(np.float32)
        else:
            moments, vectors = known.moments, known.features
        bends, classes = np.linalg.eigh(by_class[:, None] * coupling * by_class)
        values = np.outer(moments, bends)
        values = np.maximum(values, LEAST_EIGENVALUE * values[-1, -1])
        return cls(np.outer(by_feature, by_class), values, vectors, classes, moments)

    def into(self, x):
        """A scaled theta in the eigenvectors."""
        if self.features is None:
            return x
        return (self.features.T @ x.astype(np.float32)).astype(float) @ self.classes

    def out_of(self, x):
        """The scaled theta."""
        if self.features is None:
            return x
        return (self.features @ x.astype(np.float32)).astype(float) @ self.classes.T


class SpectralMetric(NamedTuple):
    """M: a basis and pairs (ds, dg), the newest last; ``known`` are the pairs in the basis, ``rho`` is ADMM's / sigma.

    ``dg`` is the change of the loss's gradient.
    """

    basis: Eigenbasis
    pairs: tuple = ()
    known: tuple = ()
    rho: float = 1.0

    def with_basis(self, basis: Eigenbasis) -> "SpectralMetric":
        """The same pairs with another first metric."""
        return SpectralMetric(basis, rho=self.rho).with_steps(self.pairs)

    def with_steps(self, new) -> "SpectralMetric":
        """The metric with more pairs, those along which the loss has positive curvature."""
        basis = self.basis
        pairs, known = list(self.pairs), list(self.known)
        for ds, dg in new:
            pair = basis.into(ds / basis.scale).ravel(), basis.into(dg * basis.scale).ravel()
            if is_seen(*pair):
                pairs.append((ds, dg))
                known.append(pair)
        return self._replace(pairs=tuple(pairs[-KEPT_PAIRS:]), known=tuple(known[-KEPT_PAIRS:]))

    def step_and_fall(self, point, penalty):
        """The step to about the minimum of q, how far q falls, and the metric with a better rho."""
        strengths = penalty.l1_strengths(point.theta.shape), penalty.curvature(point.theta)
        if self.basis.features is not None:
            x, fall, rho = Model(self, point, *strengths).minimised(self.rho)
            return x * self.basis.scale - point.theta, fall, self._replace(rho=rho)
        some = (point.theta != 0) | (np.abs(point.gradient) > WORKING_SET_SLOPE * strengths[0]) | (strengths[0] == 0)
        restricted = self._restricted(some)
        part = Point(point.theta[some], point.value, point.gradient[some])
        x, fall, rho = Model(restricted, part, *(strength[some] for strength in strengths)).minimised(self.rho)
        direction = np.zeros_like(point.theta)
        direction[some] = x * restricted.basis.scale - part.theta
        return direction, fall, self._replace(rho=rho)

    def _restricted(self, some):
        """The metric of some entries of theta, a mask, where M but for its secant pairs is diagonal."""
        basis = self.basis._replace(scale=self.basis.scale[some], values=self.basis.values[some])
        flat = np.flatnonzero(some)
        known = [(s.take(flat), y.take(flat)) for s, y in self.known]
        return SpectralMetric(basis, known=tuple(pair for pair in known if is_seen(*pair)), rho=self.rho)


def is_seen(s, y):
    """Whether the loss has more curvature along a pair than rounding."""
    return s @ y > LEAST_COSINE * np.sqrt((s @ s) * (y @ y))


class Model:
    """q in scaled coordinates, of a step d from x: g^T d + 1/2 d^T M d + strength^T |x + d| + 1/2 ridge^T (x + d)^2."""

    def __init__(self, metric, point, strength, ridge):
        basis = self.basis = metric.basis
        self.strength, self.ridge, self.x = strength * basis.scale, ridge * basis.scale**2, point.theta / basis.scale
        self.sigma, self.W, self.K = compact_form(basis.values, metric.known)
        self.diagonal = self.sigma * basis.values
        self.g = point.gradient * basis.scale - self.ridge * self.x

    def fall(self, z):
        """How far q falls from x to z."""
        d = z - self.x
        in_basis = self.basis.into(d)
        quadratic = (self.diagonal * in_basis**2).sum()
        if len(self.W):
            along = self.W @ in_basis.ravel()
            quadratic -= along @ np.linalg.solve(self.K, along)
        kinks = np.vdot(self.strength, np.abs(z) - np.abs(self.x)) + 0.5 * np.vdot(self.ridge * (z + self.x), d)
        return -float(np.vdot(self.g, d) + 0.5 * quadratic + kinks)

    def minimised(self, rho):
        """About the minimum of q, the fall of q from x, and a better rho / sigma."""
        z, best, fall, rho = self.x, self.x, 0.0, rho * self.sigma
        u = -self.g / rho
        for _ in range(SPECTRAL_ROUNDS):
            z, u, better_rho = self.admm(z, u, rho)
            is_suitable = max(rho, better_rho) < GOOD_RHO * min(rho, better_rho)
            before, u, rho = fall, u * (rho / better_rho), better_rho
            new = self.fall(z)
            if new > fall:
                best, fall = z, new
            if before and is_suitable and fall - before <= ENOUGH_FALL * fall:
                break
        return best, fall, rho / self.sigma

    def admm(self, z, u, rho):
        """The z and u after a round, and a better rho."""
        into, out_of = self.basis.into, self.basis.out_of
        inverse = 1 / (self.diagonal + rho)
        W = self.W * inverse.ravel()
        inner = np.linalg.inv(self.K - W @ self.W.T)
        for _ in range(SPECTRAL_ITERATIONS):
            before = z
            pull = rho * (z - self.x - u) - self.g
            d = into(pull) * inverse
            if len(W):
                d += ((inner @ (W @ (d / inverse).ravel())) @ W).reshape(d.shape)
            x = self.x + out_of(d)
            ahead = ADMM_RELAXATION * x + (1 - ADMM_RELAXATION) * z + u
            z = shrink(ahead, self.strength / rho) / (1 + self.ridge / rho)
            u = ahead - z
        primal, dual = np.linalg.norm(x - z), rho * np.linalg.norm(z - before)
        change = np.clip(np.sqrt(primal / max(dual, TINY)), 1 / MOST_CHANGE, MOST_CHANGE)
        return z, u, float(rho * change)


def compact_form(values, pairs):
    """The sigma, W and K of M, from pairs in the eigenvectors; sigma is that of the newest pair."""
    if not pairs:
        return 1.0, np.empty((0, values.size)), np.empty((0, 0))
    W = np.stack([vector for vectors in zip(*pairs, strict=True) for vector in vectors])
    S, Y = np.split(W, 2)
    sigma = float((Y[-1] ** 2 / values.ravel()).sum() / (S[-1] @ Y[-1]))
    diagonal, SY = sigma * values.ravel(), S @ Y.T
    lower = np.tril(SY, -1)
    K = np.block([[(diagonal * S) @ S.T, lower], [lower.T, -np.diag(SY.diagonal())]])
    S *= diagonal
    return sigma, W, K
