"""Blocks of rows in CSR, which is never made dense: see ``blocks``.

Features that are measured from a centre have no zeros; so what the centre adds to a product is worked out, and never
subtracted from X. A Gram matrix and a sum of squares lose (offset / spread)^2 in precision by that: they are summed in
float64, whatever X's precision is.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from operator import matmul

import numpy as np
import scipy.sparse as sp

from .blocks import Block, Centred, fill_own, spans
from .dense import DenseBlock

__all__ = ["CentredCsr", "CsrBlock", "canonical", "row_kronecker"]

WORK = 16  # multiplications of a dense X weigh as much as one of CSR: it takes 4 times as long, and the GIL less often


@dataclass(kw_only=True, eq=False, repr=False)
class CsrBlock(Block):
    """Some rows in CSR."""

    X: sp.csr_array

    product = staticmethod(matmul)

    @property
    def n_bytes(self):
        """Of X."""
        return self.X.data.nbytes + self.X.indices.nbytes + self.X.indptr.nbytes

    @property
    def work(self):
        """How many multiplications of dense rows cost as much as a product with one column."""
        return WORK * self.X.nnz

    def n_blocks(self, n_scores):
        """How many blocks are best for so many scores a row: fewer than of dense rows, for their gradient is dense."""
        most = self.X.nnz / (self.layout.sparse_entries * self.X.shape[1])
        return min(round(most), super().n_blocks(n_scores))

    def __getitem__(self, some):
        """Some of the rows, as CSR; a slice without a step shares the values and indices."""
        views = isinstance(some, slice) and some.step is None
        X = csr_view(self.X, some.start, some.stop) if views else self.X[some]
        return replace(self, X=X, **self._of(some))

    def gram(self, c):
        """X^T B X, bordered by what the constant feature adds to it."""
        moments, border, total = self._moments(c.astype(float, copy=False))
        p, k = self.X.shape[1], c.shape[1]
        gram = np.empty((p + 1, k, p + 1, k))
        gram[:-1, :, :-1] = moments
        gram[:-1, :, -1] = self.constant * border
        gram[-1, :, :-1] = self.constant * border.transpose(1, 0, 2)
        gram[-1, :, -1] = self.constant * total
        return gram.reshape((p + 1) * k, -1)

    def _moments(self, c):
        """The sums of x x^T (x) s B (p, k, p, k), of x (x) s B (p, k, k), and of s B (k, k)."""
        X, (m, k), p = self.X, c.shape, self.X.shape[1]
        weight = self.weight[:, None, None]
        if k == 1:
            B = weight * c[:, :, None]
            moments = (X.T @ row_kronecker(X, B[:, 0])).toarray().reshape(p, 1, p, 1)
        else:
            B = -weight * c[:, :, None] * c[:, None, :]
            fill_own(B.reshape(m, k, 1, k))
            coupled = row_kronecker(X, c)  # (m, p k)
            weighted = row_kronecker(coupled, self.weight[:, None])
            moments = -(coupled.T @ weighted).toarray().reshape(p, k, p, k)
            fill_own(moments)
        return moments, (X.T @ B.reshape(m, k * k)).reshape(p, k, k), B.sum(axis=0)

    def squared_backward(self, dz):
        """X is squared a piece at a time."""
        gradient = np.zeros((self.X.shape[1] + 1, dz.shape[1]))
        for rows, squared in self._squares():
            gradient[:-1] += squared.T @ dz[rows]
        gradient[-1] = self.constant * dz.sum(axis=0, dtype=float)
        return gradient

    def largest_row(self):
        """The largest weight_i |[X_i, 1]|^2."""
        return float((self.weight * (self._squared_norms() + self.constant)).max())

    def _squared_norms(self):
        return np.concatenate([squared.sum(axis=1) for _, squared in self._squares()])

    def _squares(self):
        """The squares of X, some rows at a time: a copy of its values, which is kept small."""
        for span in spans(len(self), -(-self.X.data.nbytes // self.layout.piece_bytes)):
            rows = csr_view(self.X, span.start, span.stop)
            yield span, csr_of(rows.data**2, rows.indices, rows.indptr, rows.shape[1])

    def is_finite(self):
        """Whether the sum of all entries is."""
        return bool(np.isfinite(self.X.data.sum()))

    def are_flags(self):
        """Which features are 0 or 1 in all rows."""
        flags = np.ones(self.X.shape[1], dtype=bool)
        flags[self.X.indices[(self.X.data != 0) & (self.X.data != 1)]] = False
        return flags

    def copied(self, index):
        """A copy of the rows at ``index``, in CSR, measured from where these are."""
        return self[index]

    def about(self, centre):
        """The same rows, measured from a given centre."""
        return CentredCsr(X=self.X, **self.parts(), centre=centre) if centre.any() else self.stored()

    def stored(self):
        """The same rows, measured from 0: a matrix of their margins is sparse."""
        return CsrBlock(X=self.X, **self.parts())

    def dense(self):
        """The same rows, as an array that is not measured from a centre."""
        return DenseBlock(X=self.X.toarray(), **self.parts())

    def measured(self):
        """The features as an array, measured from the centre."""
        return self.X.toarray() - self.centre

    # --- By column --------------------------------------------------------------------------------------------------

    @property
    def has_columns(self):
        """Whether ``columns`` can be asked for: indices of 32 bits must reach."""
        return self.X.nnz + len(self) < 2**31

    def columns(self, features, root, constant):
        """Some features and then a constant one, each row times its root: see ``MemoryRows.columns``."""
        n, total = len(self), root @ root
        X, centre = self._by_column[:, features], (np.zeros(self.X.shape[1]) + self.centre)[features]
        values, (indices, data) = X.data.astype(float, copy=False), self._scratch
        np.take(root, X.indices, out=data[: X.nnz], mode="clip")
        data[: X.nnz] *= values
        squares = _sums(np.square(data[: X.nnz], out=values), X.indptr)
        indices[: X.nnz] = X.indices
        end = X.nnz + n
        data[X.nnz : end], indices[X.nnz : end] = constant * self.constant * root, np.arange(n)
        parts = data[:end], indices[:end], np.append(X.indptr, end).astype(np.int32)
        F = sp.csc_array(parts, shape=(n, len(features) + 1))
        squares += centre * (centre * total - 2 * (F.T @ root)[:-1])
        return F, centre, np.append(squares, self.constant * total)

    @cached_property
    def _by_column(self):
        return self.X.tocsc()

    @cached_property
    def _scratch(self):
        """Where ``columns`` writes: new memory, a page at a time, costs more than what is done with it."""
        n_entries = self.X.nnz + len(self)
        return np.empty(n_entries, np.int32), np.empty(n_entries)


@dataclass(kw_only=True, eq=False, repr=False)
class CentredCsr(Centred, CsrBlock):
    """Some rows in CSR, measured from a centre."""

    def _moments(self, c):
        near, far = self._from_the_centre()
        moments, border, total = near._moments(c)
        half = 0.5 * far[:, None, None] * total
        border -= half  # half of m m^T (x) total goes with either side
        moments -= np.einsum("jcd,l->jcld", border, far)
        moments -= np.einsum("lcd,j->jcld", border, far)
        border -= half
        return moments, border, total

    def squared_backward(self, dz):
        """(X - centre)^2 = X^2 - 2 centre X + centre^2."""
        near, far = self._from_the_centre()
        gradient, far = near.squared_backward(dz), far[:, None]
        gradient[:-1] += far**2 * dz.sum(axis=0, dtype=float) - 2 * far * (near.X.T @ dz)
        return gradient

    def _squared_norms(self):
        near, far = self._from_the_centre()
        return near._squared_norms() + near.X @ (-2 * far) + far @ far

    def _from_the_centre(self):
        """The same rows with the features that have no zero here moved to their centre, and what is left of the centre.

        What a square of a feature loses to its offset is (offset / spread)^2 in precision; a feature with a zero
        among m rows has a spread, and that ratio is at most about m.
        """
        X, centre = self.X, self.centre
        shift = np.where(np.bincount(X.indices, minlength=X.shape[1]) == X.shape[0], centre, 0)
        if shift.any():
            X = csr_of(X.data - shift[X.indices], X.indices, X.indptr, X.shape[1])
        return replace(self.stored(), X=X), (centre - shift).astype(float, copy=False)


def canonical(X):
    """A sparse matrix as a CSR array, sorted and without duplicates: a copy only where X is not."""
    X = sp.csr_array(X)  # of a csr_matrix, whose sums are matrices
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def csr_view(X, start, stop):
    """Rows start to stop of X, sharing its values and indices: slicing copies."""
    first, last = X.indptr[start], X.indptr[stop]
    return csr_of(X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first, X.shape[1])


def csr_of(data, indices, indptr, n_columns):
    """A CSR array of these very parts: the constructor reads them all for a check, and may copy them."""
    X = sp.csr_array((len(indptr) - 1, n_columns), dtype=data.dtype)
    X.data, X.indices, X.indptr = data, indices, indptr
    return X


def row_kronecker(X, c):
    """Row i's Kronecker product with row i of c: X (m, p) in CSR and c (m, k) make (m, p k)."""
    k = c.shape[1]
    data = X.data[:, None] * np.repeat(c, np.diff(X.indptr), axis=0)
    indices = X.indices[:, None] * k + np.arange(k, dtype=X.indices.dtype)
    return csr_of(data.ravel(), indices.ravel(), X.indptr * k, X.shape[1] * k)


def _sums(values, indptr):
    """The sum of each column's values."""
    sums, some = np.zeros(len(indptr) - 1), np.flatnonzero(np.diff(indptr))
    sums[some] = np.add.reduceat(values, indptr[some]) if len(some) else 0.0
    return sums
