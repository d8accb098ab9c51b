"""The metric of the features, for more parameters than a Hessian can be formed of.

    M = G (x) B + penalty,    G = mean x x^T  (p + 1, p + 1),    B = mean Hessian of the loss in the scores  (k, k)

G does not depend on theta. It takes scale and correlation off the features, and it holds everywhere: no row weighs
less because it is certain where the descent happens to be, as it does in a Hessian. B depends on theta: where most rows
have become certain, the loss has little curvature left beside that of the penalty. So B is taken anew as the loss
falls, and the same G with it.

G is dear where there are many features; its diagonal costs one pass, and stands in for G at first, and for features in
sparse rows, where G would be dense.

References
----------
Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
"""

from typing import NamedTuple

import numpy as np

from .curvature import Jacobi, Kronecker

__all__ = ["Features", "gram_price", "with_gram"]

ROWS_PER_FEATURE = 6  # that G is made of, beside its diagonal, which all rows make
FEW_ENTRIES = 2**20  # of rows that are not worth sampling
OVERHEAD = 10  # scores a row: reading an entry of X costs as much as its products with so many
THIN = 2  # times what it costs in a large product is a multiplication in a pass, or in a factorisation
MOST_FEATURES = 4000  # of which G is formed, at most: 128 MB


class Features(NamedTuple):
    """The second moments of the features and the constant: the diagonal of G, and G where it has been formed."""

    squares: np.ndarray
    gram: np.ndarray | None = None

    @classmethod
    def of(cls, objective) -> "Features":
        """The diagonal alone, for one pass."""
        return cls(objective.second_moments())

    def metric(self, coupling: np.ndarray, penalty: np.ndarray) -> Jacobi | Kronecker:
        """M, for B = ``coupling`` and the curvature of the penalty on each row of theta."""
        k = len(coupling)
        if self.gram is None:
            return Jacobi(np.outer(self.squares, coupling.diagonal()) + penalty[:, None])
        shift = np.trace(coupling) / k**2 if k > 1 else 0.0  # softmax has no curvature where all scores move together
        return Kronecker(self.gram, coupling + shift, penalty)


def with_gram(objective, features: Features, rng) -> Features:
    """The same with G, whose entries are those of some random rows, and whose diagonal is that of all rows at least.

    A sample may have missed a feature that is seldom not 0; without curvature along it a step would go anywhere.
    """
    gram = objective.second_moment(n_rows_of(objective), features.squares, rng)
    np.einsum("ii->i", gram)[:] = np.maximum(gram.diagonal(), features.squares)
    return features._replace(gram=gram)


def n_rows_of(objective) -> int:
    """How many rows G is made of."""
    p = objective.shape[0]
    return min(objective.n_rows, max(ROWS_PER_FEATURE * p, FEW_ENTRIES // p))


def gram_price(objective) -> float:
    """What G and its factor cost, in passes over the rows; infinite where G is too large."""
    p, k = objective.shape
    if p > MOST_FEATURES:
        return np.inf
    entries = min(p, objective.work / objective.n_rows)  # of a row, that are multiplied with each other
    products = n_rows_of(objective) * entries**2 + THIN * p**3 / 3
    return products / max(1.0, 2 * THIN * objective.work * (k + OVERHEAD))
