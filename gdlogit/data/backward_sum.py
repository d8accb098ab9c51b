"""The sum of X^T dz over blocks of rows, for features as they are stored.

The centre of the features is the same for all blocks. So its contribution to X^T dz is subtracted once, from the sum,
and not block by block: with many features and scores, it costs as much as adding up the blocks.
"""

import numpy as np

__all__ = ["BackwardSum"]


class BackwardSum:
    """X^T dz (p, k), in X's precision for one block and in float64 for more, and the ``total`` sum dz (k,).

    Of a block that stores the constant feature with the others, X is [X, 1], and the total is not needed.
    """

    def __init__(self, products: np.ndarray, total: np.ndarray | float):
        self.products, self.total = products, total

    def __add__(self, other: "BackwardSum") -> "BackwardSum":
        """The sum of both, in the place of this one."""
        self.products = self.products.astype(float, copy=False)
        self.products += other.products
        self.total = self.total + other.total
        return self

    def times_two_to(self, power: int) -> "BackwardSum":
        """The same times a power of two, in float64."""
        return BackwardSum(np.ldexp(self.products.astype(float, copy=False), power), np.ldexp(self.total, power))
