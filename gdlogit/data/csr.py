"""Blocks of rows in CSR, which is never made dense: see ``blocks``.

Features that are measured from a centre have no zeros. So the centre is never subtracted from X; its contribution to a
product is subtracted from the product. A product loses a factor offset / spread in precision by that. A Gram matrix and
a sum of squares lose the square of that factor, so they are summed in float64, whatever X's precision is.

A feature that has no zeros anyway can be moved to its centre. Where such a feature is far from 0, X is copied and the
feature moved: it is then measured from an ``origin``, and the centre is measured from the origin, too.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from operator import matmul

import numpy as np
import scipy.sparse as sp

from .blocks import Block, Centred, fill_own, spans
from .units import measured_in

__all__ = ["CentredCsr", "CsrBlock", "canonical", "compressed", "joined", "row_kronecker"]

FAR_CENTRE = 1e3  # |centre| / spread of a feature that loses three digits of every product
SAMPLED_ROWS = 256  # of dense rows, whose share of nonzero entries says whether a CSR is worth making
ENTRIES_AT_ONCE = 2**20  # of dense rows that are searched for nonzero entries
SOME_ROWS = 10  # nearly every feature has a zero, or shows its spread, in ten rows
# Multiplications of a dense X that count as much as one of CSR, which takes 4 times as long, and the GIL less often.
WORK_PER_ENTRY = 16
SPARE_ROOM = 1.2  # kept memory / memory of the first working set that needed it


@dataclass(kw_only=True, eq=False, repr=False)
class CsrBlock(Block):
    """Some rows in CSR."""

    X: sp.csr_array
    origin: np.ndarray | float = 0.0  # type: ignore[assignment]  # what has been taken off features without a zero, shape (p,)

    product = staticmethod(matmul)

    @cached_property
    def _XT(self):
        """X^T, which shares X's arrays; kept, because it takes as long as a product with some thousands of entries."""
        return csc_of(self.X.data, self.X.indices, self.X.indptr, self.X.shape[1])

    @property
    def n_bytes(self):
        """Of X."""
        return self.X.data.nbytes + self.X.indices.nbytes + self.X.indptr.nbytes

    @property
    def work(self):
        """How many multiplications of dense rows cost as much as a product with one column."""
        return WORK_PER_ENTRY * self.X.nnz

    def n_blocks(self, n_scores):
        """How many blocks are best for ``n_scores`` scores a row: fewer than of dense rows, as a gradient is dense."""
        most = self.X.nnz / (self.layout.sparse_entries * max(1, self.X.shape[1]))
        return min(round(most), super().n_blocks(n_scores))

    def __getitem__(self, some):
        """Some of the rows, as CSR; a slice without a step shares the values and indices."""
        views = isinstance(some, slice) and some.step is None
        X = csr_view(self.X, some.start, some.stop) if views else self.X[some]
        return replace(self, X=X, **self._of(some))

    def gram(self, c):
        """X^T B X, bordered by the rows and columns of the constant feature."""
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
            moments = (self._XT @ row_kronecker(X, B[:, 0])).toarray().reshape(p, 1, p, 1)
        else:
            B = -weight * c[:, :, None] * c[:, None, :]
            fill_own(B.reshape(m, k, 1, k))
            coupled = row_kronecker(X, c)  # (m, p k)
            weighted = row_kronecker(coupled, self.weight[:, None])
            moments = -(coupled.T @ weighted).toarray().reshape(p, k, p, k)
            fill_own(moments)
        return moments, (self._XT @ B.reshape(m, k * k)).reshape(p, k, k), B.sum(axis=0)

    def squared_backward(self, dz):
        """``Block.squared_backward``; X is squared a piece at a time."""
        gradient = np.zeros((self.X.shape[1] + 1, dz.shape[1]))
        for rows, squared in self._squares():
            gradient[:-1] += squared.T @ dz[rows]
        gradient[-1] = self.constant * dz.sum(axis=0, dtype=float)
        return gradient

    def squared_norms(self, factors):
        """The squared norm of each row, each feature's square multiplied by a factor."""
        return np.concatenate([squared @ factors for _, squared in self._squares()])

    def _squares(self):
        """Yield slices of the rows and the squares of X there, few at a time, because squares are a copy."""
        for span, X in self._pieces(self.layout.piece_bytes):
            yield span, csr_of(X.data**2, X.indices, X.indptr, X.shape[1])

    def _pieces(self, n_bytes):
        """Yield slices of the rows and views of X there, each with about ``n_bytes`` of values."""
        for span in spans(len(self), -(-self.X.data.nbytes // n_bytes)):
            yield span, csr_view(self.X, span.start, span.stop)

    def squares(self):
        """Of all entries."""
        return np.array([self.X.data @ self.X.data])

    def are_strange(self, squares, least, most):
        """All features, or none where every entry that is not 0 is between the two."""
        pieces = spans(self.X.nnz, -(-self.X.data.nbytes // self.layout.block_bytes)) if self.X.nnz else []
        sizes = (np.abs(self.X.data[piece]) for piece in pieces)
        smallest = min((np.min(size, where=size > 0, initial=np.inf) for size in sizes), default=np.inf)
        return np.full(self.X.shape[1], not (squares[0] <= most**2 and smallest >= least))

    def in_units(self, unit):
        """A copy of the same rows, as they come, whose features are divided by units (p,)."""
        return CsrBlock(X=measured_in(self.X, unit), **self.parts())

    def are_flags(self):
        """Which features are 0 or 1 in all rows."""
        flags = np.ones(self.X.shape[1], dtype=bool)
        flags[self.X.indices[(self.X.data != 0) & (self.X.data != 1)]] = False
        return flags

    def copied(self, index):
        """A copy of the rows at ``index``, in CSR, measured from the same centre."""
        return self[index]

    def with_some(self, features):
        """The same rows with a copy of some features, measured from the same centre."""
        origin, centre = (where[features] if np.ndim(where) else where for where in (self.origin, self.centre))
        return CsrBlock(X=self.X[:, features], origin=origin, **self.parts())._measured_from(centre)

    def about(self, centre):
        """The same rows, measured from a given centre; a copy moves features that are far from 0 to the centre."""
        moved = self.moved(self._far(centre - self.origin))
        return moved._measured_from(centre - moved.origin)

    def stored(self):
        """The same rows, measured from 0 or from their origin, so that a matrix of their margins is sparse."""
        return self

    def sparse(self):
        """The features as CSR; features that have a zero are not measured from a centre."""
        return self.X

    def given(self):
        """The features as given, without the flags that SciPy sets, such as that entries are sorted."""
        X = self.moved(np.zeros(self.X.shape[1], self.X.dtype) - self.origin).X
        return csr_of(X.data, X.indices, X.indptr, X.shape[1])

    def without_zeros(self):
        """Which features have no zero, a mask."""
        return self._counts == len(self)

    @cached_property
    def _counts(self):
        """How many rows have each feature; NumPy copies the indices of a piece."""
        return sum(np.bincount(X.indices, minlength=X.shape[1]) for _, X in self._pieces(self.layout.piece_bytes))

    def moved(self, by):
        """The same rows, measured from the same centre, with features that have no zero moved by ``by``."""
        if not by.any():
            return self
        X = csr_of(self.X.data - by[self.X.indices], self.X.indices, self.X.indptr, self.X.shape[1])
        return replace(self, X=X, origin=self.origin + by)._measured_from(self.centre - by)

    def _measured_from(self, centre):
        """The same features, measured from a centre that is itself measured from their origin."""
        parts = {"X": self.X, "origin": self.origin, **self.parts()}
        return CentredCsr(**parts, centre=centre) if np.any(centre) else CsrBlock(**parts)

    def _far(self, centre):
        """The centre, for features without a zero whose centre is far from 0; 0 for all other features."""
        far = self[:: -(-len(self) // SOME_ROWS)]._is_far(centre)
        return np.where(far.any() and self._is_far(centre), centre, 0)

    def _is_far(self, centre):
        X = self.X
        with np.errstate(over="ignore"):
            spread = np.bincount(X.indices, np.abs(X.data - centre[X.indices]), X.shape[1]) / len(self)
            return self.without_zeros() & (spread > 0) & (np.abs(centre) > FAR_CENTRE * spread)

    def seen(self):
        """The features that some row has, and these rows with these features alone."""
        there = np.zeros(self.X.shape[1], dtype=bool)
        there[self.X.indices] = True
        features = np.flatnonzero(there)
        number = np.empty(len(there), self.X.indices.dtype)
        number[features] = np.arange(len(features))
        X = csr_of(self.X.data, number[self.X.indices], self.X.indptr, len(features))
        return features, CsrBlock(X=X, **self.parts())

    def measured(self, features=slice(None)):
        """Some of the features as an array, measured from the centre."""
        return self.X[:, features].toarray() - np.broadcast_to(self.centre, self.X.shape[1:])[features]

    # --- By column --------------------------------------------------------------------------------------------------

    @property
    def has_columns(self):
        """Whether ``columns`` works: indices of 32 bits must suffice."""
        return self.X.nnz + len(self) < 2**31

    def columns(self, features, root, constant):
        """Some features and then a constant one, each row times its root: see ``MemoryRows.columns``."""
        indptr = np.cumsum(np.append(0, self._counts[features]))
        n_entries, total, squares = indptr[-1], root @ root, np.zeros(len(features))
        end, root = n_entries + len(self), root.astype(self.X.dtype, copy=False)
        indices, data = self._room(end)
        for place, first, X in self._by_column(features, indptr):
            values, weighted = X.data, data[place]  # a view, where X is one piece
            np.take(root[first:], X.indices, out=weighted, mode="clip")
            weighted *= values
            X.indices += first
            data[place], indices[place] = weighted, X.indices
            squares += _sums(np.square(weighted, out=values), X.indptr)
        data[n_entries:end], indices[n_entries:end] = constant * self.constant * root, np.arange(len(self))
        F = csc_of(data[:end], indices[:end], np.append(indptr, end).astype(np.int32), len(self))
        centre = (np.zeros(self.X.shape[1]) + self.centre)[features]
        squares += centre * (centre * total - 2 * (F.T @ root)[:-1])
        return F, centre, np.append(squares, self.constant * total)

    def _by_column(self, features, indptr):
        """Yield pieces of X, some features of a span of rows by column, for ``columns`` to write to.

        Each comes after the places of its entries among those of all rows, whose columns begin at ``indptr``, and its
        first row. A small X is kept by column. A large X is never in memory by column: that would be a second X.
        """
        if self.X.data.nbytes <= self.layout.piece_bytes:
            yield slice(indptr[-1]), 0, self._kept_by_column[:, features]
            return
        free = indptr[:-1].copy()  # the first place of each column that has no entry yet
        for rows, X in self._pieces(self.layout.block_bytes):
            X = X[:, features].tocsc()
            sizes = np.diff(X.indptr)
            place = np.repeat(free - X.indptr[:-1], sizes)
            place += np.arange(X.nnz)
            yield place, rows.start, X
            free += sizes

    @cached_property
    def _kept_by_column(self):
        return self.X.tocsc()

    def _room(self, n_entries):
        """The arrays to which ``columns`` writes, kept: new memory would cost more than the work in it.

        They are less than twice as long as needed, because SciPy's ``F.T`` copies what is less than half of an array.
        """
        indices, data = self._kept_room
        if not n_entries <= len(data) <= 2 * n_entries:
            self._kept_room = indices = data = None
            size = min(int(SPARE_ROOM * n_entries), self.X.nnz + len(self))
            indices, data = self._kept_room = np.empty(size, np.int32), np.empty(size, self.X.dtype)
        return indices, data

    @cached_property
    def _kept_room(self):
        return np.empty(0, np.int32), np.empty(0, self.X.dtype)


@dataclass(kw_only=True, eq=False, repr=False)
class CentredCsr(Centred, CsrBlock):
    """Some rows in CSR, measured from a centre."""

    def seen(self):
        """All features count: a zero differs from the centre, too."""
        return None, self

    def _moments(self, c):
        near, far = self._from_the_centre()
        moments, border, total = near._moments(c)
        half = 0.5 * far[:, None, None] * total
        border -= half  # either side takes half of m m^T (x) total, with m the centre
        moments -= border[:, :, None] * far[:, None]  # einsum takes three times as long
        moments -= far[:, None, None, None] * border.transpose(1, 0, 2)
        border -= half
        return moments, border, total

    def squared_backward(self, dz):
        """(X - centre)^2 = X^2 - 2 centre X + centre^2."""
        near, far = self._from_the_centre()
        gradient, far = near.squared_backward(dz), far[:, None]
        gradient[:-1] += far**2 * dz.sum(axis=0, dtype=float) - 2 * far * (near._XT @ dz)
        return gradient

    def squared_norms(self, factors):
        """(X - centre)^2 = X^2 - 2 centre X + centre^2."""
        near, far = self._from_the_centre()
        return near.squared_norms(factors) + near.X @ (-2 * factors * far) + factors * far @ far

    def stored(self):
        """The same rows, with only features without a zero measured from their centre."""
        return self._measured_from(np.where(self.without_zeros(), self.centre, 0))

    def sparse(self):
        """The features as CSR; features without a zero are measured from the centre."""
        return self._from_the_centre()[0].X

    def _from_the_centre(self):
        """The rows with features that have no zero here moved to their centre, and the centre of the other features.

        A square of a feature loses a factor (offset / spread)^2 in precision. For a feature with a zero among m rows
        this factor is at most about m, because the zero gives the feature a spread.
        """
        near = self.moved(np.where(self.without_zeros(), self.centre, 0))
        return near._measured_from(np.zeros(1)), (np.zeros(self.X.shape[1]) + near.centre).astype(float, copy=False)


def joined(blocks, **changed):
    """One block of the rows of several blocks with the same centre, whatever their origins.

    ``changed`` has the fields of the joined rows, without the features.
    """
    if any(np.ndim(block.origin) for block in blocks):
        origins = np.stack([np.zeros(block.X.shape[1]) + block.origin for block in blocks])
        common = np.where((origins == origins[0]).all(axis=0), origins[0], 0).astype(blocks[0].X.dtype)
        blocks = [block.moved(common - block.origin) for block in blocks]
    return replace(blocks[-1], X=sp.vstack([block.X for block in blocks], format="csr"), **changed)


def canonical(X):
    """A sparse matrix as a CSR array, sorted and without duplicates; X is copied only if it is not so already."""
    X = sp.csr_array(X)  # X may be a csr_matrix, whose sums are matrices
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def compressed(X, most):
    """Dense rows as CSR; None where more than a share ``most`` of the entries are not 0."""
    n, p = X.shape
    some = X[:: -(-n // SAMPLED_ROWS)]
    if np.count_nonzero(some) > most * some.size:
        return None
    data, indices, counts, left = [], [], [], most * X.size
    size = max(1, ENTRIES_AT_ONCE // p)
    for start in range(0, n, size):
        part = X[start : start + size]
        places = np.flatnonzero(part != 0)  # of flags NumPy finds the places three times as fast as of numbers
        left -= len(places)
        if left < 0:
            return None
        row, column = np.divmod(places, p)
        data.append(part[row, column])
        indices.append(column.astype(np.int32))
        counts.append(np.bincount(row, minlength=len(part)))
    indptr = np.cumsum(np.concatenate([[0], *counts]))
    kind = np.int32 if indptr[-1] < 2**31 else np.int64
    return csr_of(np.concatenate(data), np.concatenate(indices).astype(kind, copy=False), indptr.astype(kind), p)


def csr_view(X, start, stop):
    """Rows start to stop of X, sharing values and indices with X; slicing would copy them."""
    first, last = X.indptr[start], X.indptr[stop]
    return csr_of(X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first, X.shape[1])


def csr_of(data, indices, indptr, n_columns):
    """A CSR array of these very arrays; the constructor would check all of them, and might copy them."""
    X = sp.csr_array((len(indptr) - 1, n_columns), dtype=data.dtype)
    X.data, X.indices, X.indptr = data, indices, indptr
    return X


def csc_of(data, indices, indptr, n_rows):
    """A CSC array of these very arrays; SciPy's constructor, and so ``X.T``, copies a small slice of a large array."""
    X = sp.csc_array((n_rows, len(indptr) - 1), dtype=data.dtype)
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
