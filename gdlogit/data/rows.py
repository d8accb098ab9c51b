"""Rows, wherever they are stored: the interface between a fit and its data.

A fit asks its rows for the values of a few functions f over all rows. Each f is pure. It takes a block of rows (see
``blocks``) and the block's part of arrays with an entry for each row, which ``each`` has made before. f captures only a
loss, theta and arrays, and writes to nothing, so rows may run f on any thread or machine, and twice.

    sum(f, *each)             the sum of the tuples that f returns, entry by entry
    fold(f, combine, *each)   the same, combined by any associative function of two entries
    each(f, *each)            the values of f for each row; they stay where the row is, here in an ndarray
    map(f, *each)             the values of f for each row, from arrays with an entry for each row alone
    take(index)               a copy of some rows, in memory

``MemoryRows`` are arrays in memory, ``BatchRows`` are read anew for each pass. The constant feature of a row, which
carries the intercept, is implied. An offset, which is added to the scores, belongs to the data of a row, as y and the
weight do; centring does not change it. Shapes: X (n, p); y (n,), class codes; weight (n,), called s_i in formulas;
offset (n, k); theta (p + 1, k), intercept last; z and dz (m, k) for a block's m rows.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import add
from typing import Any

import numpy as np

from .overflow import held

__all__ = ["Rows", "keys_of"]


class Rows(ABC):
    """Rows of X, y and weight, and how they are measured.

    Attributes
    ----------
    n_rows, n_features : int
    n_scores : int, k: how many scores each row has.
    dtype : of X, float64 or float32.
    constant : float, 1 where each row carries a constant feature 1 for the intercept, else 0.
    centre : ndarray of shape (p,), what the features are measured from.
    unit : 1.0 or ndarray of shape (p,), powers of two: what the features are divided by, see ``units``.
    total : float, the sum of the weights.
    smallest_weight : float, of the rows that have any.
    n_counted : int, how many rows have a weight.
    largest_sample : int, how many rows ``take`` may copy.
    work : float, how many multiplications a product of all rows with one column is worth.
    cores : Cores, the threads that sums may use.
    has_columns : bool, whether ``columns`` can be asked for.
    copies_features : bool, whether ``with_columns`` and ``with_measured`` can be asked for.
    has_offset : bool, whether something is added to the rows' scores.
    reweighted(share) : of rows in memory or on a cluster: the same rows, each weight multiplied by its share.
    with_columns(features) : of rows in memory: the same rows with a copy of some features.
    augmented(weight) : of rows in memory: these rows, and each row once more for each class, with weights
        (n, n_classes) and a feature as mark.
    """

    n_rows: int
    n_features: int
    n_scores: int
    n_counted: int
    largest_sample: int
    dtype: np.dtype
    constant: float
    centre: np.ndarray
    total: float
    smallest_weight: float
    work: float
    cores: Any
    in_float64: Callable[[], "Rows"]
    reweighted: Callable[..., "Rows"]
    with_columns: Callable[..., "Rows"]
    augmented: Callable[..., "Rows"]
    has_columns = has_offset = copies_features = False
    unit: float | np.ndarray = 1.0

    @property
    def shape(self):
        """(n, p + 1): the rows, and the features with the constant one."""
        return self.n_rows, self.n_features + 1

    @abstractmethod
    def fold(self, f, combine, *each, products=None):
        """Combine the tuples f(block, ...), entry by entry, over all blocks: one pass.

        Parameters
        ----------
        f : function of a block and its part of each array, which gives a tuple.
        combine : associative function of two entries.
        *each : arrays with an entry for each of these rows, as the method ``each`` makes them.
        products : float, the multiplications of f for an entry of X; None stands for a forward and a backward product.
        """

    @abstractmethod
    def each(self, f, *each):
        """The values of f(block, ...) for each of the block's rows: an array with an entry for each row; one pass."""

    @abstractmethod
    def map(self, f, *each):
        """The values of f of arrays with an entry for each row, without the rows themselves: no pass."""

    @abstractmethod
    def sum_known(self, f, *each):
        """Sum the tuples f(...) of arrays with an entry for each row, without the rows themselves: no pass."""

    @abstractmethod
    def take(self, index):
        """A copy of the rows at ``index``, which is sorted: MemoryRows."""

    @abstractmethod
    def without(self, mask):
        """The same rows, with a weight of 0 where a mask with an entry for each row holds."""

    @abstractmethod
    def centred(self, nearer=False):
        """The same rows, their features measured from about their means, in units whose squares do not overflow.

        A feature whose mean is large next to its spread, such as a year, is nearly collinear with the constant feature.
        The Hessian then loses a factor (mean / spread)^2 of precision: in float32 all of it, if the ratio is a few
        thousand. Rows without an intercept are not centred, since the intercept has to make up for the centre. Units:
        see ``units``. ``nearer`` asks rows in memory for means that are nearer where there are many features, as a
        diagonal metric needs them.
        """

    @abstractmethod
    def for_scores(self, n_scores):
        """The same rows, cut into blocks that are best for ``n_scores`` scores a row."""

    @abstractmethod
    def stored(self):
        """The same rows, with CSR features that have zeros measured from 0, so that a matrix of margins is sparse."""

    # --- What follows -----------------------------------------------------------------------------------------------

    def sum(self, f, *each, products=None):
        """Sum the tuples f(block, ...), entry by entry, over all blocks: see ``fold``."""
        return self.fold(f, add, *each, products=products)

    def threads(self):
        """A context for the length of a fit, in which large sums run on a pool of threads."""
        return self.cores.held()

    def copied_if_few(self):
        """A copy of these rows where a copy saves more than it costs; otherwise these rows."""
        return self

    def compressed(self):
        """The same rows as CSR if they are many and dense, and nearly all entries are 0; otherwise these rows."""
        return self

    def repeated(self, values):
        """The same values, of shape (1, k), for each row."""
        return np.full((self.n_rows, values.shape[1]), values, self.dtype)

    def groups(self, shares, most):
        """The group of each row, and the shares of each group, (G, F): rows of a group have the same of shares (n, F).

        None where there would be more than ``most`` groups, or shares are no whole numbers.
        """
        if shares.dtype.kind == "f":
            return None
        _, first, group = np.unique(keys_of(shares), return_index=True, return_inverse=True)
        return (group, shares[first]) if len(first) <= most else None

    def shared_scores(self, theta):
        """The scores at theta, shape (1, k), where all rows have the same; else None."""
        return None if self.has_offset or theta[:-1].any() else self.constant * theta[-1:]

    def spread(self):
        """The root of the mean square of each feature."""
        (squares,) = self.sum(_squares)
        return np.sqrt(np.maximum(squares[:-1, 0], 0) / self.total)

    def enter(self, theta):
        """The theta of the same model for features in their units, from the centre: its intercept is b + centre W."""
        W = self.in_units(theta[:-1])
        return np.vstack([W, theta[-1] + self._at_centre(W)])

    def leave(self, theta):
        """The inverse of ``enter``."""
        W = theta[:-1]
        with np.errstate(over="ignore", under="ignore"):
            outside = np.vstack([W / self._units_of(W), theta[-1] - self._at_centre(W)])
        return held(outside, theta.dtype)

    def measured(self, value, j):
        """A value of feature j, in its unit and from its centre."""
        return value / (self.unit if np.ndim(self.unit) == 0 else self.unit[j]) - self.centre[j]

    def in_units(self, W):
        """Coefficients of the features as they come, for features in their units."""
        return W * self._units_of(W)

    def _units_of(self, W):
        return self.unit if np.ndim(self.unit) == 0 else self.unit[:, None]

    def _at_centre(self, W):
        """Centre W. Einsum calls no BLAS, so it adds up in the same order everywhere, and starts no threads."""
        return np.einsum("j,jk->k", self.centre, W)


def keys_of(shares):
    """A number for each row of shares, of whole numbers: hardly ever the same for others."""
    factors = np.random.default_rng(0).integers(2**63, size=shares.shape[1], dtype=np.uint64)
    return shares.astype(np.uint64) @ factors  # modulo 2^64


def _squares(block):
    return (block.squared_backward(block.weight[:, None]),)
