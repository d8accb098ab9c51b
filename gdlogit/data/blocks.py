"""Blocks of rows, and the linear layer over them: scores X W + b, backward X^T dz, and the Gram matrix.

What a sum over rows does, it does block by block, and a block knows how its rows are stored:

    DenseBlock, CentredBlock     an array as it comes; the same, measured from a centre, which the products take off
    CopiedBlock                  a copy with the centre taken off and the constant feature in it, [X - centre, 1]
    CsrBlock, CentredCsr         CSR, which is never made dense; the same, measured from a centre

Rows may have an offset, numbers that are added to their scores. Shapes: X (m, p) for a block's m rows; y, weight (m,);
theta (p + 1, k), intercept last; z, dz and offset (m, k).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from .layout import LAYOUT, Layout

__all__ = ["Block", "Centred", "fill_own", "is_constant", "spans"]

FIRST_ROWS = 100  # of dense rows, in which most features are seen to vary
CENTRE_ROWS = 1000  # whose mean is near enough to that of all


@dataclass(kw_only=True, eq=False, repr=False)
class Block(ABC):
    """Some rows, whatever their storage: a matrix ``X`` of the features, and a ``product`` of it with an array."""

    y: np.ndarray  # class codes from 0, or what else the loss takes for a label
    weight: np.ndarray
    constant: float  # the value of the intercept's feature: 1, or 0 where there is no intercept
    first: int = 0  # the number of the first row, where these are some of more rows
    layout: Layout = LAYOUT
    offset: np.ndarray | None = None  # what is added to the scores, in X's precision; None is 0

    centre = 0.0  # what the features are measured from, shape (p,), but here
    origin = 0.0  # what has been taken off them before that: see ``csr``

    # --- The linear layer -------------------------------------------------------------------------------------------

    def scores(self, theta):
        """The scores z of the rows at theta, in X's precision: affine in theta."""
        return self._with_offset(self._affine(theta[:-1], self._intercept(theta)))

    def forward(self, theta):
        """X W + b, in X's precision: linear in theta, so also what a direction changes in the scores."""
        return self._affine(theta[:-1], self._intercept(theta))

    def backward(self, dz):
        """[X^T dz; sum dz], the gradient of theta where dz is that of z; in float64 from here on."""
        total = dz.sum(axis=0, dtype=float)
        gradient = np.empty((self.X.shape[1] + 1, dz.shape[1]))
        self._transposed(dz, total, gradient[:-1])
        gradient[-1] = self.constant * total
        return gradient

    def weigh(self, dz):
        """The same dz, each row multiplied by the row's weight: in place, and in dz's own precision."""
        dz *= self.weight[:, None]
        return dz

    def by_class(self, dz, y, n_classes):
        """The weighted sum of dz's rows of each class y, shape (n_classes, k)."""
        m = len(self)
        member = sp.csr_array((self.weight, y.astype(np.int32), np.arange(m + 1)), shape=(m, n_classes))
        return member.T @ dz

    @abstractmethod
    def gram(self, c):
        """Sum over i of s_i x_i x_i^T (x) B_i: x_i = [X_i, 1]; B_i = c_i, or diag(c_i) - c_i c_i^T for k > 1.

        Shape (P, P), P = (p + 1) k: of theta flattened.
        """

    @abstractmethod
    def squared_backward(self, dz):
        """[(X^2)^T dz; sum dz]: ``backward`` with every feature squared."""

    @abstractmethod
    def largest_row(self):
        """The largest weight_i |[X_i, 1]|^2."""

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
        """The same z, with the rows' offset added in place."""
        if self.offset is not None:
            z += self.offset
        return z

    def _affine(self, W, b):
        z = self.product(self.X, W.astype(self.X.dtype, copy=False))
        z += b.astype(self.X.dtype, copy=False)
        return z

    def _transposed(self, dz, total, out):
        """X^T dz, where dz's rows add up to a total."""
        out[:] = self.product(self._XT, dz)

    @cached_property
    def _XT(self):
        return self.X.T  # of a CSR, as slow to make as the product with some thousands of entries

    def sums_by(self, dz, group, n_groups):
        """The ``backward`` of each group's rows alone, shape (n_groups, p + 1, k); group has a number for each row."""
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
        arrays = {name: array for name, array in vars(self).items() if name in ("X", "whole", "centre")}
        return replace(self, **{name: array.astype(np.float64) for name, array in arrays.items()})

    def __len__(self):
        """How many rows."""
        return len(self.y)

    def __getitem__(self, some):
        """Some of the rows, stored as these are; a slice of them as views."""
        return replace(self, X=self.X[some], **self._of(some))

    def _of(self, some):
        """All but the features of some of the rows."""
        offset = None if self.offset is None else self.offset[some]
        return {"y": self.y[some], "weight": self.weight[some], "offset": offset, "first": 0}

    def n_blocks(self, n_scores):
        """How many blocks are best for so many scores a row."""
        layout, n_rows = self.layout, len(self)
        by_scores = min(n_rows * n_scores / layout.block_scores, n_rows / layout.block_rows)
        return round(max(self.n_bytes / layout.block_bytes, by_scores))

    def cut(self, n_blocks):
        """The same rows in so many blocks, at least one and not more than there are rows: views, in order."""
        some = spans(len(self), n_blocks)
        return [replace(self[span], first=self.first + span.start) for span in some] if len(some) > 1 else [self]

    @abstractmethod
    def copied(self, index):
        """A copy of the rows at ``index``."""

    @abstractmethod
    def about(self, centre):
        """The same rows of the same storage, measured from a given centre, which may be 0."""

    @property
    def is_moved(self):
        """Whether the features are measured from elsewhere than 0."""
        return np.ndim(self.centre) > 0 or np.ndim(self.origin) > 0

    @abstractmethod
    def seen(self):
        """The features that some row has a say in, None for all; and these rows with those features alone."""

    def centred(self):
        """The same rows, measured from about their means: those of some rows, for any centre near the data will do.

        Rows of weight 0 have no part in it, and of few rows one of weight 2 counts twice: a fit does not see another
        centre, but the path that it takes, and so where it ends if J has no minimum, or many.
        """
        some = self._some_counted()
        X, weight = some.X, some.weight
        is_even = (weight == weight[0]).all()
        means = X.mean(axis=0, dtype=float) if is_even else X.T @ (weight / weight.sum())
        means = means.astype(X.dtype, copy=False)
        return self.about(np.where(is_constant(X), first_row(X), means))  # rounding would pass for a feature

    def _some_counted(self):
        """At most CENTRE_ROWS of the rows that have a weight, one of each stretch; of all rows, where none has."""
        some = self[:: -(-len(self) // CENTRE_ROWS)]
        if some.weight.all():
            return some
        counted = np.flatnonzero(self.weight)
        return self[counted[:: -(-len(counted) // CENTRE_ROWS)]] if len(counted) else some

    def parts(self):
        """All but the features."""
        return {name: getattr(self, name) for name in ("y", "weight", "constant", "first", "layout", "offset")}

    def without_constants(self, theta):
        """A theta with the same scores, in which features that are constant here have no part."""
        constant, theta = np.flatnonzero(is_constant(self.X)), theta.copy()
        theta[-1] += (first_row(self.X) - self.centre)[constant] @ theta[constant]
        theta[constant] = 0
        return theta


@dataclass(kw_only=True, eq=False, repr=False)
class Centred:
    """A storage whose features are measured from a centre: to be mixed in before the storage."""

    centre: np.ndarray

    def _intercept(self, theta):
        """The b of X W + b that is (X - centre) W + b."""
        return self.constant * theta[-1] - self.centre @ theta[:-1]

    def _transposed(self, dz, total, out):
        super()._transposed(dz, total, out)
        out -= self.centre[:, None] * total
        out[self.still] = 0

    @cached_property
    def still(self):
        """The features that are nothing but their centre here: the rounding of what they add up to is no gradient."""
        first = first_row(self.X)
        same = np.flatnonzero((first == self.centre) & (first != 0))
        return same[is_constant(self.X[:, same])] if len(same) else same


def fill_own(coupled):
    """Set the coupling of each class with itself, in (..., k, ..., k), to minus the sum of those with the others.

    A softmax's curvature diag(c) - c c^T adds up to 0 over either class, so it is all in the products c_i c_j of two.
    A difference c_i - c_i^2 would lose all digits where a row is certain of its class.
    """
    own = np.einsum("jclc->jcl", coupled)
    own[:] = 0
    own[:] = -coupled.sum(axis=3)


def first_row(X):
    """The first row, dense."""
    return X[:1].toarray()[0] if sp.issparse(X) else X[0]


def is_constant(X):
    """Whether each column is, dense or CSR."""
    first = first_row(X)
    if sp.issparse(X):
        varies = (first != 0) & (np.bincount(X.indices, minlength=X.shape[1]) < X.shape[0])
        varies[X.indices[X.data != first[X.indices]]] = True
        return ~varies
    constant = (X[:FIRST_ROWS] == first).all(axis=0)
    constant[constant] = (X[:, constant] == first[constant]).all(axis=0)
    return constant


def spans(n_rows, n_spans):
    """So many rows, in about so many slices of the same length."""
    n_spans = min(max(1, n_spans), n_rows)
    return [slice(*span) for span in pairwise(i * n_rows // n_spans for i in range(n_spans + 1))]
