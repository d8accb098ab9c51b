r"""Preconditioners in the span of few rows: a part of the rows' curvature, factorised.

    M = Lambda + X^T D X,    M^-1 v = Lambda^-1 (v - X^T u),    u = D (I + K D)^-1 X Lambda^-1 v,    K = X Lambda^-1 X^T

D is an approximation of the rows' curvature C, and u comes from Woodbury's identity. There are two of them.

*Alike* (``AlikeScores``). All scores of a row have the same curvature w_i: c_i of a single score; half of the trace of
C_i of a softmax. One factor of I + w^1/2 K w^1/2 serves all scores.

*Contrasts* (``Contrasts``). With a row's classes in falling order of their probabilities a_j, and q_j = sum_{i>=j} a_i,

    C_i = diag(a) - a a^T = sum_j d_j l_j l_j^T,    d_j = a_j q_{j+1} / q_j,    l_j = e_j - sum_{i>j} a_i e_i / q_{j+1}

is a sum of k - 1 contrasts: the likeliest class against all others, the second one against those that are left, ... D
has the largest contrasts of all rows, exactly. Near the minimum of separable classes most rows are certain, and few
contrasts have curvature. Then one factor of their system leaves hardly anything to conjugate gradients. In AlikeScores
a row between two classes has its curvature in the directions of all other classes, too. Far from the minimum too many
contrasts have curvature, and the scores are taken alike.

References
----------
Hager, "Updating the inverse of a matrix", SIAM Review 31 (1989) (Woodbury's identity).
Tanabe and Sagae, "An exact Cholesky decomposition and the generalized inverse of the variance-covariance matrix of the
multinomial distribution, with applications", Journal of the Royal Statistical Society B 54 (1992).
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from .curvature import Cholesky
from .price import CHOLESKY, OVERHEAD

__all__ = ["AlikeScores", "Contrasts", "contrasts_of", "preconditioner_of"]

# Sum of w_i K_ii over the rows that are left out: no eigenvalue of their part is larger, beside the penalty's 1.
LEFT_OUT_TRACE = 1.0
# Mean eigenvalue of the contrasts that are left out, beside the penalty's 1, up to which contrasts need fewer products
# than scores alike: measured on 20 solves (docs/decisions/many_parameters.md).
MOST_LEFT_OUT = 5.0
# Products of a solve / root of this mean eigenvalue; price of a product / n^2 (k + OVERHEAD): measured on these solves.
PRODUCTS_PER_ROOT, PRODUCT_PRICE = 20.0, 7.5
ROUNDING = 0.1  # of a system's entries, beside the penalty's 1, up to which the system is in float32
LEAST_PROBABILITY = 1e-150  # of the classes that are left: its square is still a number


def preconditioner_of(kernel, curvature, share):
    """The preconditioner with K = ``kernel``: of contrasts where few are left out, otherwise of scores alike.

    ``curvature`` is that of the scores, (n, k): of a softmax, the probabilities; ``share`` has the rows' weights, (n,).
    """
    n, k = curvature.shape
    if k == 1:
        return AlikeScores(kernel, share * curvature[:, 0])
    found = contrasts_of(curvature, share)
    sizes = (found.squares * kernel.diagonal()[:, None]).ravel()
    order = np.argsort(sizes)
    left_out = np.append(0.0, np.cumsum(sizes[order])[:-1]) / (n * k)
    price = CHOLESKY * np.arange(n * (k - 1), 0, -1.0) ** 3 / (PRODUCT_PRICE * n**2 * (k + OVERHEAD))
    cheapest = int(np.argmin(price + PRODUCTS_PER_ROOT * np.sqrt(left_out)))
    if left_out[cheapest] > MOST_LEFT_OUT:
        return AlikeScores(kernel, found.squares.sum(axis=1) / 2)  # half of the trace
    return Contrasts(kernel, found.matrix(np.sort(order[cheapest:])), sizes[order[-1]])


class AlikeScores:
    """The preconditioner where all scores of a row have the same curvature w (n,)."""

    def __init__(self, kernel, w):
        sizes = w * kernel.diagonal()
        self.rows = rows_with_curvature(sizes)
        self.root = np.sqrt(w[self.rows])[:, None]
        self.factor = factor_of(kernel, self.rows, self.root @ self.root.T, sizes[self.rows].max())

    def solve(self, scores):
        """The u for a v with scores X Lambda^-1 v."""
        u = np.zeros_like(scores)
        u[self.rows] = self.root * self.factor.solve(self.root * scores[self.rows])
        return u


class Contrasts:
    """The preconditioner with some contrasts: the rows of a ``matrix`` (m, n k); ``largest`` is their largest size."""

    def __init__(self, kernel, matrix, largest):
        self.matrix = matrix
        n, m = len(kernel), matrix.shape[0]
        k = matrix.shape[1] // n
        vectors = matrix.data.reshape(m, k)
        products = vectors @ vectors.T
        self.factor = factor_of(kernel, matrix.indices[::k] // k, products, largest)

    def solve(self, scores):
        """The u for a v with scores X Lambda^-1 v."""
        return (self.matrix.T @ self.factor.solve(self.matrix @ scores.ravel())).reshape(scores.shape)


def factor_of(kernel, rows, products, largest):
    """A factor of I + K[rows, rows] * products, whose ``largest`` diagonal entry says whether float32 will do."""
    dtype = np.float32 if largest * np.finfo(np.float32).eps < ROUNDING else float
    system = kernel[np.ix_(rows, rows)].astype(dtype, copy=False)
    system *= products
    np.einsum("ii->i", system)[:] += 1
    return Cholesky(system, np.finfo(dtype).eps / len(system))


def rows_with_curvature(sizes):
    """The rows, at least one, whose curvature counts beside the penalty; ``sizes`` are their w_i K_ii."""
    order = np.argsort(sizes)
    n_left_out = int(np.searchsorted(np.cumsum(sizes[order]), LEFT_OUT_TRACE))
    return np.sort(order[min(n_left_out, len(sizes) - 1) :])


class ContrastsOfRows(NamedTuple):
    """All contrasts: the order of each row's classes, a and q in this order, and the weights d (n, k - 1)."""

    order: np.ndarray
    a: np.ndarray
    q: np.ndarray
    d: np.ndarray

    @property
    def squares(self):
        """d_j |l_j|^2, (n, k - 1)."""
        tails = np.cumsum(self.a[:, ::-1] ** 2, axis=1)[:, -2::-1]  # sum_{i>j} a_i^2
        return self.d * (1 + tails / self.q[:, 1:] ** 2)

    def matrix(self, some):
        """The contrasts d_j^1/2 l_j with the numbers ``some``, as the rows of a CSR of shape (m, n k)."""
        n, k = self.a.shape
        row, j = np.divmod(some, k - 1)
        vectors = np.where(np.arange(k) > j[:, None], self.a[row] / -self.q[row, j + 1][:, None], 0.0)
        vectors[np.arange(len(some)), j] = 1.0
        vectors *= np.sqrt(self.d[row, j])[:, None]
        by_class = np.empty_like(vectors)
        np.put_along_axis(by_class, self.order[row], vectors, axis=1)
        places = row[:, None] * k + np.arange(k)
        return sp.csr_array((by_class.ravel(), places.ravel(), np.arange(len(some) + 1) * k), shape=(len(some), n * k))


def contrasts_of(probabilities, share):
    """The contrasts of all rows, each times its row's share in the total weight."""
    order = np.argsort(-probabilities, axis=1)
    a = np.take_along_axis(probabilities, order, axis=1)
    q = np.maximum(np.cumsum(a[:, ::-1], axis=1)[:, ::-1], LEAST_PROBABILITY)
    return ContrastsOfRows(order, a, q, share[:, None] * a[:, :-1] * (q[:, 1:] / q[:, :-1]))
