"""Blocks of rows, and the linear layer over them: scores X W + b, backward X^T dz, and the Gram matrix.

What a sum over rows does, it does block by block, and a block knows how its rows are stored:

    DenseBlock       X as it comes
    CentredBlock     X as it comes, measured from a centre, which is taken off in the products
    CopiedBlock      a copy with the centre taken off and the constant feature in it, [X - centre, 1]
    CsrBlock         X in CSR, which is never made dense: see ``csr``
    CentredCsr       the same, measured from a centre

Shapes: X (m, p) for a block's m rows; y, weight (m,); theta (p + 1, k), intercept last; z and dz (m, k).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from .layout import LAYOUT, Layout

__all__ = ["Block", "Centred", "CentredBlock", "CopiedBlock", "Dense", "DenseBlock", "is_constant", "spans"]

FIRST_ROWS = 100  # of dense rows, in which most features are seen to vary
CENTRE_ROWS = 1000  # whose mean is near enough to that of all


@dataclass(kw_only=True, eq=False, repr=False)
class Block(ABC):
    """Some rows, whatever their storage: it has a matrix ``X`` of the features, and products with it."""

    y: np.ndarray  # class codes from 0
    weight: np.ndarray
    constant: float  # the value of the intercept's feature: 1, or 0 where there is no intercept
    first: int = 0  # the number of the first row, where these are some of more rows
    layout: Layout = LAYOUT

    centre = 0.0  # what the features are measured from, shape (p,), but here

    # --- The linear layer -------------------------------------------------------------------------------------------

    def scores(self, theta):
        """The scores z of the rows at theta, in X's precision: affine in theta."""
        return self.forward(theta)  # and an offset, once rows have one

    def forward(self, theta):
        """X W + b, in X's precision: linear in theta, so also what a direction changes in the scores."""
        return self._affine(theta[:-1], self.constant * theta[-1])

    def backward(self, dz):
        """[X^T dz; sum dz], the gradient of theta where dz is that of z; in float64 from here on."""
        total = dz.sum(axis=0, dtype=float)
        gradient = np.empty((self.X.shape[1] + 1, dz.shape[1]))
        self._transposed(dz, total, gradient[:-1])
        gradient[-1] = self.constant * total
        return gradient

    def weighed(self, dz):
        """The same dz, each row multiplied by the row's weight: in place, and in dz's own precision."""
        dz *= self.weight.astype(dz.dtype, copy=False)[:, None]
        return dz

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
    def is_finite(self):
        """Whether the sums of X are: there is nan or infinity in X, or overflow, where they are not."""

    @abstractmethod
    def are_flags(self):
        """Which features are 0 or 1 in all rows, as X is stored."""

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
        return replace(self, X=self.X[some], y=self.y[some], weight=self.weight[some], first=0)

    def cut(self, n_blocks):
        """The same rows in so many blocks, at least one and not more than there are rows: views, in order."""
        return [replace(self[span], first=self.first + span.start) for span in spans(len(self), n_blocks)]

    @abstractmethod
    def copied(self, index):
        """A copy of the rows at ``index``."""

    @abstractmethod
    def about(self, centre):
        """The same rows of the same storage, measured from a given centre, which may be 0."""

    def centred(self):
        """The same rows, measured from about their means: those of some rows, for any centre near the data will do."""
        some = self.X[:: -(-len(self) // CENTRE_ROWS)]
        means = some.mean(axis=0, dtype=float).astype(self.X.dtype)
        return self.about(np.where(is_constant(some), first_row(some), means))  # rounding would pass for a feature

    def parts(self):
        """All but the features."""
        return {name: getattr(self, name) for name in ("y", "weight", "constant", "first", "layout")}

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

    def forward(self, theta):
        """(X - centre) W + b."""
        W = theta[:-1]
        return self._affine(W, self.constant * theta[-1] - self.centre @ W)

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


class Dense(Block):
    """Rows whose features are an ndarray."""

    product = staticmethod(np.dot)  # matmul keeps other threads waiting, where a product has less than 500 entries
    has_columns = True

    @property
    def n_bytes(self):
        """Of X."""
        return self.X.nbytes

    @property
    def work(self):
        """How many multiplications a product with one column takes."""
        return self.X.size

    def n_blocks(self, n_scores):
        """How many blocks are best for so many scores a row."""
        layout, n_rows = self.layout, len(self)
        by_scores = min(n_rows * n_scores / layout.block_scores, n_rows / layout.block_rows)
        return round(max(self.n_bytes / layout.block_bytes, by_scores))

    def gram(self, c):
        """The copy of X that has s_i and c_i in it is made in pieces."""
        (m, k), p = c.shape, self.X.shape[1] + 1
        root = np.sqrt(self.weight * c[:, 0] if k == 1 else self.weight).astype(self.X.dtype, copy=False)[:, None]
        gram = np.zeros((p * k, p * k))
        size = min(m, max(self.layout.gram_rows, self.layout.gram_bytes // (p * k * self.X.itemsize)))
        scratch = np.empty((size, p), self.X.dtype)
        for start in range(0, m, size):
            some = slice(start, min(start + size, m))
            X = self.scaled(root[some], some, scratch[: some.stop - start])
            if k == 1:
                gram += self.product(X.T, X)
            else:
                coupled = (X[:, :, None] * c[some, None, :]).reshape(-1, p * k)
                gram -= self.product(coupled.T, coupled)
                np.einsum("jclc->jlc", gram.reshape(p, k, p, k))[:] += self.product(X.T, coupled).reshape(p, p, k)
        return gram

    @abstractmethod
    def scaled(self, factor, some, out):
        """[X, 1] of some rows, each row times its factor."""

    def squared_backward(self, dz):
        """In X's precision, or X would be copied for dz's."""
        squared = DenseBlock(X=self._squared(), y=self.y, weight=self.weight, constant=self.constant)
        return squared.backward(dz.astype(self.X.dtype, copy=False))

    def largest_row(self):
        """The largest weight_i |[X_i, 1]|^2."""
        return float((self.weight * (self._squared().sum(axis=1) + self.constant)).max())

    def _squared(self):
        return np.square(self.X)

    def is_finite(self):
        """Whether the sum of each row is."""
        return bool(np.isfinite(self.product(self.X, np.ones(self.X.shape[1], self.X.dtype))).all())

    def are_flags(self):
        """Which features are 0 or 1 in all rows."""
        flags = np.ones(self.X.shape[1], dtype=bool)
        for some in spans(len(self), -(-self.X.nbytes // self.layout.few_bytes)):
            flags[flags] = ((self.X[some, flags] == 0) | (self.X[some, flags] == 1)).all(axis=0)
        return flags

    def about(self, centre):
        """The same rows, measured from a given centre."""
        parts = {"X": self.X, **self.parts()}
        return CentredBlock(**parts, centre=centre) if centre.any() else DenseBlock(**parts)

    def stored(self):
        """These rows: their margins are dense, from wherever they are measured."""
        return self

    def dense(self):
        """These rows."""
        return self

    def copied(self, index):
        """A copy of the rows at ``index``, centred once and for all, with the constant feature in it."""
        whole = np.empty((len(index), self.X.shape[1] + 1), self.X.dtype)
        for some in spans(len(index), -(-whole.nbytes // self.layout.few_bytes)):
            np.subtract(_gathered(self.X, index[some]), self.centre, out=whole[some, :-1])
        whole[:, -1] = self.constant
        changed = {"y": self.y[index], "weight": self.weight[index], "first": 0}
        return CopiedBlock(whole=whole, **self.parts() | changed)

    def columns(self, features, root, constant):
        """Some features and then a constant one, each row times its root: see ``MemoryRows.columns``."""
        columns = np.column_stack([self.measured(features), np.full(len(self), constant * self.constant)])
        F = np.asfortranarray(columns * root[:, None])
        squares = np.einsum("ij,ij->j", F[:, :-1], F[:, :-1])
        return F, np.zeros(len(features)), np.append(squares, self.constant * (root @ root))

    def measured(self, features=slice(None)):
        """Some of the features, measured from the centre."""
        return self.X[:, features]


@dataclass(kw_only=True, eq=False, repr=False)
class DenseBlock(Dense):
    """Rows of an array, as they come."""

    X: np.ndarray

    def scaled(self, factor, some, out):
        """[X, 1] of some rows, each row times its factor."""
        np.multiply(self.X[some], factor, out=out[:, :-1])
        out[:, -1:] = self.constant * factor
        return out


@dataclass(kw_only=True, eq=False, repr=False)
class CentredBlock(Centred, DenseBlock):
    """Rows of an array, measured from a centre."""

    def scaled(self, factor, some, out):
        """[X - centre, 1] of some rows, each row times its factor."""
        np.subtract(self.X[some], self.centre, out=out[:, :-1])
        out[:, -1] = self.constant
        out *= factor
        return out

    def measured(self, features=slice(None)):
        """Some of the features, measured from the centre."""
        return self.X[:, features] - self.centre[features]

    def _squared(self):
        X = self.measured()
        return np.square(X, out=X)


@dataclass(kw_only=True, eq=False, repr=False)
class CopiedBlock(Dense):
    """Rows of a copy that holds all that theta multiplies, [X - centre, 1]: one product each way."""

    whole: np.ndarray

    @property
    def X(self):
        """The features, a view."""
        return self.whole[:, :-1]

    def forward(self, theta):
        """[X, 1] theta."""
        return self.product(self.whole, theta.astype(self.whole.dtype, copy=False))

    def backward(self, dz):
        """[X, 1]^T dz."""
        return self.product(self.whole.T, dz).astype(float, copy=False)

    def scaled(self, factor, some, out):
        """[X, 1] of some rows, each row times its factor."""
        return np.multiply(self.whole[some], factor, out=out)

    def __getitem__(self, some):
        """Some of the rows, as such a copy."""
        return replace(self, whole=self.whole[some], y=self.y[some], weight=self.weight[some], first=0)

    def copied(self, index):
        """Another copy, of the rows at ``index``."""
        return self[index]


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


def _gathered(X, index):
    """Rows of X. ``take`` is twice as fast as an index, but copies all of X where it is not in C order."""
    return X.take(index, axis=0) if X.flags.c_contiguous else X[index]


def spans(n_rows, n_spans):
    """So many rows, in about so many slices of the same length."""
    n_spans = min(max(1, n_spans), n_rows)
    return [slice(*span) for span in pairwise(i * n_rows // n_spans for i in range(n_spans + 1))]
