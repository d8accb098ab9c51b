"""Blocks of rows, dense or CSR, and the linear layer over them: forward X W + b, backward X^T dz, and the Gram matrix.

What a sum over rows does, it does block by block. Here, and only here, it is known how the features are kept: as they
come, measured from a centre that is taken off in the products; as a copy with the centre taken off and the constant
feature in it; or in CSR, which is never made dense. Shapes: see ``rows``.
"""

from functools import cached_property
from itertools import pairwise
from operator import matmul

import numpy as np
import scipy.sparse as sp

__all__ = ["Block", "SparseBlock", "WholeBlock", "csr_view", "first_row", "is_constant", "row_kronecker", "spans"]

GRAM_BYTES = 2**20  # of the copy of dense rows that a Gram matrix is made of, at a time: it stays in a core's own cache
GRAM_ROWS = 512  # at a time, at least: with fewer, the product is not worth its call
FIRST_ROWS = 100  # of dense rows, in which most features are seen to vary
PIECE_BYTES = 2**24  # of a temporary copy of CSR's values, at most


class Block:
    """Some rows, and the linear layer over them: forward X W + b, backward X^T dz."""

    product = staticmethod(np.dot)  # matmul keeps other threads waiting, where a product has less than 500 entries

    def __init__(self, X, y, weight, constant, centre, span):
        self.X, self.y, self.weight = X, y, weight
        self.constant = constant  # the value of the intercept's feature: 1, or 0 where there is no intercept
        self.centre = centre  # what the features are measured from
        self.span = span  # which rows these are: a slice

    def scores(self, theta):
        """The scores z of the rows at theta, in X's precision: affine in theta."""
        return self.forward(theta)  # and an offset, once rows have one

    def forward(self, theta):
        """(X - centre) W + b, in X's precision: linear in theta, so also what a direction changes in the scores."""
        W, b = theta[:-1], self.constant * theta[-1] - self.centre @ theta[:-1]
        z = self.product(self.X, W.astype(self.X.dtype, copy=False))
        z += b.astype(self.X.dtype, copy=False)
        return z

    def backward(self, dz):
        """[(X - centre)^T dz; sum dz], the gradient of theta where dz is that of z; in float64 from here on."""
        gradient = np.empty((self.X.shape[1] + 1, dz.shape[1]))
        total = dz.sum(axis=0, dtype=float)
        gradient[:-1] = self.product(self._XT, dz)
        gradient[:-1] -= self.centre[:, None] * total
        gradient[self.still] = 0
        gradient[-1] = self.constant * total
        return gradient

    def weighed(self, dz):
        """The same dz, each row multiplied by the row's weight: in place, and in dz's own precision."""
        dz *= self.weight.astype(dz.dtype, copy=False)[:, None]
        return dz

    @cached_property
    def still(self):
        """The features that are nothing but their centre here: the rounding of what they add up to is no gradient."""
        if not self.centre.any():
            return np.arange(0)
        first = first_row(self.X)
        same = np.flatnonzero((first == self.centre) & (first != 0))
        return same[is_constant(self.X[:, same])] if len(same) else same

    @cached_property
    def _XT(self):
        return self.X.T  # of a CSR, as slow to make as the product with some thousands of entries

    def gram(self, c):
        """Sum over i of s_i x_i x_i^T (x) B_i: x_i = [X_i - centre, 1]; B_i = c_i, or diag(c_i) - c_i c_i^T for k > 1.

        Shape (P, P), P = (p + 1) k: of theta flattened. The copy of X that has s_i and c_i in it is made in pieces.
        """
        (m, k), p = c.shape, self.X.shape[1] + 1
        root = np.sqrt(self.weight * c[:, 0] if k == 1 else self.weight).astype(self.X.dtype, copy=False)[:, None]
        gram = np.zeros((p * k, p * k))
        size = min(m, max(GRAM_ROWS, GRAM_BYTES // (p * k * self.X.itemsize)))
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

    def scaled(self, factor, some, out):
        """[X - centre, 1] of some rows, each row times its factor."""
        np.subtract(self.X[some], self.centre, out=out[:, :-1])
        out[:, -1] = self.constant
        out *= factor
        return out

    def squared_backward(self, dz):
        """[((X - centre)^2)^T dz; sum dz]: ``backward`` with every feature squared."""
        none, dz = np.zeros_like(self.centre), dz.astype(self.X.dtype, copy=False)  # or X would be copied for dz's type
        return Block(self._squared(), self.y, self.weight, self.constant, none, self.span).backward(dz)

    def is_finite(self):
        """Whether the sum of each row is."""
        return bool(np.isfinite(self.product(self.X, np.ones(self.X.shape[1], self.X.dtype))).all())

    def largest_row(self):
        """The largest weight_i |[X_i - centre, 1]|^2."""
        return float((self.weight * (self._squared().sum(axis=1) + self.constant)).max())

    def _squared(self):
        X = self.X - self.centre
        return np.square(X, out=X)


class WholeBlock(Block):
    """Some rows of a copy that holds all that theta multiplies, [X - centre, 1]: one product each way."""

    def __init__(self, whole, *parts):
        super().__init__(whole[:, :-1], *parts)
        self.whole = whole

    def forward(self, theta):
        """(X - centre) W + b."""
        return self.product(self.whole, theta.astype(self.whole.dtype, copy=False))

    def backward(self, dz):
        """[(X - centre)^T dz; sum dz]."""
        return self.product(self.whole.T, dz).astype(float, copy=False)

    def scaled(self, factor, some, out):
        """[X - centre, 1] of some rows, each row times its factor."""
        return np.multiply(self.whole[some], factor, out=out)


class SparseBlock(Block):
    """Some rows in CSR. Centred features have no zeros, so what ``centre`` adds is worked out, never subtracted from X.

    ``forward`` and ``backward`` are those of any X; the products that they have in common are sparse.
    """

    product = staticmethod(matmul)

    def gram(self, c):
        """As for dense rows: the sparse X^T B X, bordered and shifted by what the constant feature adds to it.

        In float64: where X is far from the centre, the shift leaves little of X^T B X.
        """
        (X, centre), (m, k) = self._from_the_centre(), c.shape
        p, weight, c = X.shape[1], self.weight[:, None, None], c.astype(float, copy=False)
        B = weight * (c[:, :, None] if k == 1 else c[:, :, None] * (np.eye(k) - c[:, None, :]))
        gram = np.empty((p + 1, k, p + 1, k))
        if k == 1:
            gram[:-1, 0, :-1, 0] = (X.T @ row_kronecker(X, B[:, 0])).toarray()
        else:
            coupled = row_kronecker(X, c)  # (m, p k)
            weighted = row_kronecker(coupled, self.weight[:, None])
            gram[:-1, :, :-1] = -(coupled.T @ weighted).toarray().reshape(p, k, p, k)
            np.einsum("jclc->jlc", gram[:-1, :, :-1])[:] += (X.T @ weighted).toarray().reshape(p, p, k)
        total = B.sum(axis=0, dtype=float)
        border = (X.T @ B.reshape(m, k * k)).reshape(p, k, k)
        half = 0.5 * centre[:, None, None].astype(float, copy=False) * total
        border -= half  # half of m m^T (x) total goes with either side
        gram[:-1, :, :-1] -= np.einsum("jcd,l->jcld", border, centre)
        gram[:-1, :, :-1] -= np.einsum("lcd,j->jcld", border, centre)
        border -= half
        gram[:-1, :, -1] = self.constant * border
        gram[-1, :, :-1] = self.constant * border.transpose(1, 0, 2)
        gram[-1, :, -1] = self.constant * total
        return gram.reshape((p + 1) * k, -1)

    def squared_backward(self, dz):
        """(X - centre)^2 = X^2 - 2 centre X + centre^2; X is squared a piece at a time."""
        X, centre = self._from_the_centre()
        centre, total = centre[:, None].astype(float, copy=False), dz.sum(axis=0, dtype=float)
        gradient = np.empty((X.shape[1] + 1, dz.shape[1]))
        gradient[:-1] = centre**2 * total - 2 * centre * (X.T @ dz)
        for rows, squared in _squares(X):
            gradient[:-1] += squared.T @ dz[rows]
        gradient[-1] = self.constant * total
        return gradient

    def is_finite(self):
        """Whether the sum of all entries is."""
        return bool(np.isfinite(self.X.data.sum()))

    def largest_row(self):
        """The largest weight_i |[X_i - centre, 1]|^2."""
        X, centre = self._from_the_centre()
        squared = X @ (-2 * centre) + centre @ centre
        for rows, squares in _squares(X):
            squared[rows] += squares.sum(axis=1)
        return float((self.weight * (squared + self.constant)).max())

    def _from_the_centre(self):
        """X with the features that have no zero here measured from their centre, and what is left of the centre.

        What a square of a feature loses to its offset is (offset / spread)^2 in precision; a feature with a zero
        among m rows has a spread, and that ratio is at most about m.
        """
        X, centre = self.X, self.centre
        shift = np.where(np.bincount(X.indices, minlength=X.shape[1]) == X.shape[0], centre, 0)
        if not shift.any():
            return X, centre
        return _csr(X.data - shift[X.indices], X.indices, X.indptr, X.shape[1]), centre - shift


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


def csr_view(X, start, stop):
    """Rows start to stop of X, sharing its values and indices: slicing copies."""
    first, last = X.indptr[start], X.indptr[stop]
    return _csr(X.data[first:last], X.indices[first:last], X.indptr[start : stop + 1] - first, X.shape[1])


def _squares(X):
    """The squares of a CSR, some rows at a time: a copy of its values, which is kept small."""
    for span in spans(X.shape[0], -(-X.data.nbytes // PIECE_BYTES)):
        rows = csr_view(X, span.start, span.stop)
        yield span, _csr(rows.data**2, rows.indices, rows.indptr, X.shape[1])


def _csr(data, indices, indptr, n_columns):
    """A CSR array of these very parts: the constructor reads them all for a check, and may copy them."""
    X = sp.csr_array((len(indptr) - 1, n_columns), dtype=data.dtype)
    X.data, X.indices, X.indptr = data, indices, indptr
    return X


def row_kronecker(X, c):
    """Row i's Kronecker product with row i of c: X (m, p) in CSR and c (m, k) make (m, p k)."""
    k = c.shape[1]
    data = X.data[:, None] * np.repeat(c, np.diff(X.indptr), axis=0)
    indices = X.indices[:, None] * k + np.arange(k, dtype=X.indices.dtype)
    return _csr(data.ravel(), indices.ravel(), X.indptr * k, X.shape[1] * k)
