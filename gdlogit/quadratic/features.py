"""The metric of the features, for too many parameters to form a Hessian.

    M = G (x) B + penalty,    G = mean x x^T  (p + 1, p + 1),    B = mean Hessian of the loss in the scores  (k, k)

G does not depend on theta. It removes scale and correlation of the features, everywhere: unlike a Hessian, G does not
give a row less weight because the row is certain at the current theta. B depends on theta: where most rows have become
certain, the loss has little curvature compared with the penalty. So B is made anew as the loss falls, with the same G.

G is expensive for many features. Its diagonal costs one pass, and is used at first, and for sparse rows, whose G would
be dense.

References
----------
Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
"""

from typing import NamedTuple

import numpy as np

from ..moments import mean_squares, second_moment
from .curvature import Jacobi, Kronecker
from .price import CHOLESKY, pass_price

__all__ = ["LEAST_CURVATURE", "Features", "gram_price", "with_gram"]

ROWS_PER_FEATURE = 6  # for the entries of G beside its diagonal, which all rows make
LEAST_CURVATURE = 1e-16  # of the loss in a score: less is none, as where a step has made all rows certain
FEW_ENTRIES = 2**20  # of X: so few are not worth sampling
MOST_FEATURES = 4000  # of a formed G, which then has 128 MB


class Features(NamedTuple):
    """The second moments of the features and the constant: the diagonal of G, and G where it has been formed."""

    squares: np.ndarray
    gram: np.ndarray | None = None

    @classmethod
    def of(cls, objective) -> "Features":
        """The diagonal alone, for one pass."""
        return cls(mean_squares(objective))

    def metric(
        self,
        coupling: np.ndarray,
        penalty: np.ndarray,
        last: Jacobi | Kronecker | None,
        precision: str = "float64",
    ) -> Jacobi | Kronecker:
        """M, for B = ``coupling`` and the curvature of the penalty on each row of theta; ``last`` has another B.

        ``precision`` is that of solves with M.
        """
        k = len(coupling)
        if np.trace(coupling) < LEAST_CURVATURE:
            return Jacobi(np.tile(penalty[:, None], k))
        if self.gram is None:
            return Jacobi(np.outer(self.squares, coupling.diagonal()) + penalty[:, None])
        shift = np.trace(coupling) / k**2 if k > 1 else 0.0  # softmax has no curvature where all scores move together
        known = last.factors if isinstance(last, Kronecker) else None
        return Kronecker(self.gram, coupling + shift, penalty, known, precision=precision)


def with_gram(objective, features: Features, rng) -> Features:
    """The features with G: entries from random rows, and a diagonal that is at least the diagonal of all rows.

    The sample may have missed a feature that is seldom nonzero; without curvature along it a step could go anywhere.
    """
    gram = second_moment(objective, n_rows_of(objective), features.squares, rng)
    np.einsum("ii->i", gram)[:] = np.maximum(gram.diagonal(), features.squares)
    return features._replace(gram=gram)


def n_rows_of(objective) -> int:
    """The number of rows of which G is made."""
    p = objective.shape[0]
    return min(objective.n_rows, max(ROWS_PER_FEATURE * p, FEW_ENTRIES // p))


def gram_price(objective, factor: float = CHOLESKY) -> float:
    """The price of G and its factor, in passes over the rows; infinite where G is too large.

    ``factor`` is CHOLESKY or EIGENVECTORS.
    """
    p = objective.shape[0]
    if p > MOST_FEATURES:
        return np.inf
    entries = min(p, objective.work / objective.n_rows)  # of a row, which are multiplied with each other
    products = n_rows_of(objective) * entries**2 + factor * p**3
    return products / pass_price(objective)
