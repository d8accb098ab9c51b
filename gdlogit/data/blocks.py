"""Blocks of rows, and the linear layer over them: scores X W + b, backward X^T dz, and the Gram matrix.

A sum over rows goes block by block, and a block knows how its rows are stored:

    DenseBlock, CentredBlock     an array as given; the same, measured from a centre that the products subtract
    CopiedBlock                  a copy with the centre subtracted and the constant feature added, [X - centre, 1]
    CsrBlock, CentredCsr         CSR, which is never made dense; the same, measured from a centre

Rows may have an offset, which is added to their scores. Shapes: X (m, p) for a block's m rows; y, weight (m,);
theta (p + 1, k), intercept last; z, dz and offset (m, k).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from .backward_sum import BackwardSum
from .layout import LAYOUT, Layout

__all__ = ["Block", "Centred", "fill_own", "is_constant", "spans", "without_subnormals"]

FIRST_ROWS = 100  # most features that vary do so in the first 100 rows
LEAST_FLOAT32 = 1e-30  # of a dz: its products with features of 1e-8 and more are normal numbers in float32
CENTRE_ROWS = 1000  # the mean of this many rows is near enough to the mean of all rows
# The errors of all means together: a tenth of a feature's variance, where 1 is the curvature of the constant feature.
CENTRE_ROWS_PER_FEATURE = 10


@dataclass(kw_only=True, eq=False, repr=False)
class Block(ABC):
    """Rows in any storage: a matrix ``X`` of the features, and the ``product`` of X with an array."""

    y: np.ndarray  # class codes from 0, or other labels that the loss takes
    weight: np.ndarray
    constant: float  # the value of the intercept's feature: 1, or 0 where there is no intercept
    first: int = 0  # the number of the first row, if the block is a part of more rows
    layout: Layout = LAYOUT
    offset: np.ndarray | None = None  # added to the scores, in X's precision; None is 0

    centre = 0.0  # the features are measured from it; shape (p,) in ``Centred``
    origin = 0.0  # subtracted from the features before that: see ``csr``

    # --- The linear layer -------------------------------------------------------------------------------------------

    def scores(self, theta):
        """The scores z of the rows at theta, in X's precision: affine in theta."""
        return self._with_offset(self._affine(theta[:-1], self._intercept(theta)))

    def forward(self, theta):
        """X W + b, in X's precision: linear in theta, so also the change of the scores along a direction."""
        return self._affine(theta[:-1], self._intercept(theta))

    def forward_by_column(self, theta):
        """The same, stored by column."""
        return np.asfortranarray(self.forward(theta))

    def backward(self, dz):
        """[X^T dz; sum dz], the gradient in theta where dz is the gradient in z; always float64."""
        return self.gradient_of(self.backward_sum(dz))

    def backward_sum(self, dz):
        """The same as an entry of a sum over blocks, of features as they are stored."""
        dz = without_subnormals(dz)
        return BackwardSum(self._transposed(dz), column_sums(dz))

    def gradient_of(self, sums):
        """The gradient that a ``BackwardSum`` over blocks of these rows makes."""
        gradient = np.empty((len(sums.products) + 1, sums.products.shape[1]))
        gradient[:-1], gradient[-1] = sums.products, self.constant * sums.total
        return gradient

    def weigh(self, dz):
        """Multiply each row of dz by the row's weight, in place and in dz's precision; return dz."""
        if not self._counts_once:
            dz *= self.weight[:, None]
        return dz

    @cached_property
    def _counts_once(self):
        """Whether each row counts once."""
        return bool((self.weight == 1).all())

    def by_class(self, dz, y, n_classes):
        """The weighted sum of dz's rows of each class y, shape (n_classes, k)."""
        m = len(self)
        member = sp.csr_array((self.weight, y.astype(np.int32), np.arange(m + 1)), shape=(m, n_classes))
        return member.T @ dz

    @abstractmethod
    def gram(self, c):
        """Sum over i of s_i x_i x_i^T (x) B_i, with x_i = [X_i, 1], and B_i = c_i or, for k > 1, diag(c_i) - c_i c_i^T.

        The shape is (P, P) with P = (p + 1) k, over theta flattened.
        """

    @abstractmethod
    def squared_backward(self, dz):
        """[(X^2)^T dz; sum dz]: ``backward`` with every feature squared."""

    @abstractmethod
    def squared_norms(self, factors):
        """The squared norm of each row, each feature's square multiplied by a factor (p,)."""

    def largest_row(self):
        """The largest weight_i |[X_i, 1]|^2."""
        norms = self.squared_norms(np.ones(self.X.shape[1], self.X.dtype))
        return float((self.weight * (norms + self.constant)).max())

    @abstractmethod
    def squares(self):
        """Sums of squares, an array: numbers if all x are, and if no square overflows."""

    @abstractmethod
    def are_strange(self, squares, least, most):
        """The features, a mask, whose largest |x| may not be between the two, as far as the sums of squares tell."""

    @abstractmethod
    def in_units(self, unit):
        """A copy of the same rows, as they come, whose features are divided by units (p,)."""

    def _intercept(self, theta):
        """The b of X W + b."""
        return self.constant * theta[-1]

    @abstractmethod
    def are_flags(self):
        """Which features are 0 or 1 in all rows, as X is stored."""

    def _with_offset(self, z):
        """Add the rows' offset to z, in place; return z."""
        if self.offset is not None:
            z += self.offset
        return z

    def _affine(self, W, b):
        X, W = self._with_coefficients(W)
        z = self.product(X, W.astype(X.dtype, copy=False))
        z += b.astype(X.dtype, copy=False)
        return z

    def _with_coefficients(self, W):
        """X and W, or copies without features that have no coefficient, where a product of those is faster."""
        return self.X, W

    def _transposed(self, dz):
        """X^T dz, with features as they are stored."""
        return self.product(self._XT, dz)

    @cached_property
    def _XT(self):
        return self.X.T

    def sums_by(self, dz, group, n_groups):
        """The ``backward`` of each group of rows, shape (n_groups, p + 1, k); ``group`` has each row's number."""
        sums = np.empty((n_groups, self.X.shape[1] + 1, dz.shape[1]))
        for c, column in enumerate(dz.T):
            share = sp.csr_array((column, (group, np.arange(len(group)))), shape=(n_groups, len(group)))
            products, total = share @ self.X, share.sum(axis=1)[:, None]
            sums[:, :-1, c] = (products.toarray() if sp.issparse(products) else products) - total * self.centre
            sums[:, -1:, c] = self.constant * total
        return sums

    # --- The rows ---------------------------------------------------------------------------------------------------

    def in_float64(self):
        """The same rows in float64: a copy where they are in float32."""
        if self.X.dtype == np.float64:
            return self
        names = {field.name for field in fields(self) if field.init} & {"X", "whole", "centre"}
        arrays = {name: getattr(self, name) for name in names}
        return replace(self, **{name: array.astype(np.float64) for name, array in arrays.items()})

    def __len__(self):
        """The number of rows."""
        return len(self.y)

    def __getitem__(self, some):
        """Some of the rows, in the same storage; a slice gives views."""
        return replace(self, X=self.X[some], **self._of(some))

    def _of(self, some):
        """The fields of some of the rows, without the features."""
        offset = None if self.offset is None else self.offset[some]
        return {"y": self.y[some], "weight": self.weight[some], "offset": offset, "first": 0}

    def n_blocks(self, n_scores):
        """The best number of blocks for ``n_scores`` scores a row."""
        layout, n_rows = self.layout, len(self)
        by_scores = min(n_rows * n_scores / layout.block_scores, n_rows / layout.block_rows)
        return round(max(self.n_bytes / layout.block_bytes, by_scores))

    def cut(self, n_blocks):
        """The same rows in ``n_blocks`` blocks, at least one and at most one per row: views, in order."""
        some = spans(len(self), n_blocks)
        blocks = [replace(self[span], first=self.first + span.start) for span in some] if len(some) > 1 else [self]
        if self.weight.strides != (0,):
            return blocks
        # One weight for all rows, stored once: NumPy would add up the rows one after another, with much rounding.
        weight = np.full(max(map(len, blocks)), self.weight[:1])
        return [replace(block, weight=weight[: len(block)]) for block in blocks]

    @abstractmethod
    def copied(self, index):
        """A copy of the rows at ``index``."""

    @abstractmethod
    def about(self, centre):
        """The same rows in the same storage, measured from a given centre, which may be 0."""

    @property
    def is_moved(self):
        """Whether the features are measured from a point other than 0."""
        return np.ndim(self.centre) > 0 or np.ndim(self.origin) > 0

    @abstractmethod
    def seen(self):
        """The features on which some row's score depends, None for all; and the rows with these features alone."""

    def centred(self, nearer=False):
        """The same rows, measured from about their means: the means of a sample, for any centre near the data will do.

        Rows of weight 0 do not count, and among few rows a row of weight 2 counts twice. The minimum of J does not
        depend on the centre, but the path of the descent does, and so does its end where J has no minimum, or many.
        ``nearer`` asks for the means of more rows, where there are many features.
        """
        X = self._some_counted().X
        first = first_row(X)
        # A mean of a constant feature differs from the feature by rounding, which would pass for a feature.
        is_exact = is_constant(X) & (first != 0)
        return self.about(np.where(is_exact, first, self._means(CENTRE_ROWS_PER_FEATURE if nearer else 0)))

    def _means(self, rows_per_feature):
        """The means of CENTRE_ROWS of the rows or, with many features, of so many rows for each feature.

        Some rows of a CSR would be a copy, so all rows of a CSR take the place of many.
        """
        some, n_rows = self._some_counted(), rows_per_feature * self.X.shape[1]
        if n_rows > CENTRE_ROWS:
            step = 1 if sp.issparse(self.X) else max(1, len(self) // n_rows)
            many = self if step == 1 else self[::step]
            some = many if many.weight.any() else some
        return means(some.X, some.weight)

    def _some_counted(self):
        """At most CENTRE_ROWS of the rows with a nonzero weight, evenly spread; of all rows where there are none."""
        some = self if len(self) <= CENTRE_ROWS else self[:: -(-len(self) // CENTRE_ROWS)]
        if some.weight.all():
            return some
        counted = np.flatnonzero(self.weight)
        return self[counted[:: -(-len(counted) // CENTRE_ROWS)]] if len(counted) else some

    def parts(self):
        """The fields of the block, without the features."""
        return {name: getattr(self, name) for name in ("y", "weight", "constant", "first", "layout", "offset")}

    def without_constants(self, theta):
        """A theta with the same scores and a coefficient of 0 on features that are constant here."""
        constant, theta = np.flatnonzero(is_constant(self.X)), theta.copy()
        theta[-1] += (first_row(self.X) - self.centre)[constant] @ theta[constant]
        theta[constant] = 0
        return theta


@dataclass(kw_only=True, eq=False, repr=False)
class Centred:
    """A mixin for storages whose features are measured from a centre; it comes before the storage."""

    centre: np.ndarray

    def _intercept(self, theta):
        """The b' with X W + b' = (X - centre) W + b."""
        return self.constant * theta[-1] - self.centre @ theta[:-1]

    def gradient_of(self, sums):
        """``Block.gradient_of``, less the contribution of the centre."""
        gradient = super().gradient_of(sums)
        gradient[:-1] -= self.centre[:, None] * sums.total
        gradient[:-1][self.still] = 0
        return gradient

    @cached_property
    def still(self):
        """The features that equal their centre in all rows: their gradient is 0, and its rounding must not stay."""
        first = first_row(self.X)
        same = np.flatnonzero((first == self.centre) & (first != 0))
        return same[is_constant(self.X[:, same])] if len(same) else same


def without_subnormals(dz):
    """The same with zeros for what is tiny in float32: a product with subnormal numbers takes a hundred times as long.

    The curvature of rows that are certain of their class is such a number.
    """
    if dz.dtype != np.float32:
        return dz
    tiny = np.abs(dz) < LEAST_FLOAT32
    return np.where(tiny, np.float32(0), dz) if tiny.any() else dz


def fill_own(coupled):
    """Set the entry of each class with itself, in (..., k, ..., k), to minus the sum of its entries with the others.

    A softmax's curvature diag(c) - c c^T adds up to 0 over either class, so the products c_i c_j of two classes give
    all of it. A difference c_i - c_i^2 would lose all digits where a row is certain of its class.
    """
    own = np.einsum("jclc->jcl", coupled)
    own[:] = 0
    own[:] = -coupled.sum(axis=3)


def column_sums(dz):
    """The sums of few columns, in float64: by a product, for ``sum`` adds up rows of so few entries slowly."""
    if dz.dtype != np.float64 or dz.shape[1] == 1:
        return dz.sum(axis=0, dtype=float)
    return np.dot(np.ones(len(dz)), dz)


def means(X, weight):
    """The weighted mean of each column of a dense array or a CSR, which is not copied."""
    if not weight.any() or (not sp.issparse(X) and (weight == weight[0]).all()):
        return X.mean(axis=0, dtype=float).astype(X.dtype, copy=False)
    return X.T @ (weight / weight.sum()).astype(X.dtype, copy=False)


def first_row(X):
    """The first row, dense."""
    return X[:1].toarray()[0] if sp.issparse(X) else X[0]


def is_constant(X):
    """Whether each column of a dense array or a CSR is constant."""
    first = first_row(X)
    if sp.issparse(X):
        varies = (first != 0) & (np.bincount(X.indices, minlength=X.shape[1]) < X.shape[0])
        varies[X.indices[X.data != first[X.indices]]] = True
        return ~varies
    constant = (X[:FIRST_ROWS] == first).all(axis=0)
    if constant.any():
        constant[constant] = (X[:, constant] == first[constant]).all(axis=0)
    return constant


def spans(n_rows, n_spans):
    """Slices of about the same length that divide ``n_rows`` rows: ``n_spans`` of them, if there are enough rows."""
    n_spans = min(max(1, n_spans), n_rows)
    return [slice(*span) for span in pairwise(i * n_rows // n_spans for i in range(n_spans + 1))]
