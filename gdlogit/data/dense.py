"""Blocks of rows whose features are an ndarray: as they come, measured from a centre, or copied. See ``blocks``."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .backward_sum import BackwardSum
from .blocks import Block, Centred, fill_own, spans, without_subnormals
from .products import product
from .units import measured_in

__all__ = ["CentredBlock", "CopiedBlock", "Dense", "DenseBlock"]

FEW_COLUMNS = 8  # a product X W with so few columns, and a copy of it, are faster than W^T X^T
MANY_FEATURES, FEW_SHARE = 1000, 16  # features / features with a coefficient, where to copy these costs less
LEAST_IN_FLOAT32, MOST_IN_FLOAT32 = 1e-15, 1e15  # of a feature's largest |x|: squares are normal numbers in float32


class Dense(Block):
    """Rows whose features are an ndarray."""

    product = staticmethod(product)
    has_columns = True

    @property
    def n_bytes(self):
        """Of X."""
        return self.X.nbytes

    def __getitem__(self, some):
        """Some of the rows, in the same storage, by a slice, which gives views, or by their numbers."""
        if isinstance(some, slice):
            return super().__getitem__(some)
        return replace(self, X=_gathered(self.X, some), **self._of(some))

    def forward_by_column(self, theta):
        """``forward``, stored by column: as a product of transposed matrices, unless the columns are few."""
        if theta.shape[1] <= FEW_COLUMNS:
            return super().forward_by_column(theta)
        X, W = self._with_coefficients(theta[:-1])
        z = np.dot(np.ascontiguousarray(W.T, X.dtype), X.T)
        z += self._intercept(theta).astype(z.dtype, copy=False)[:, None]
        return z.T

    def _transposed(self, dz):
        """X^T dz."""
        if dz.flags.f_contiguous and dz.shape[1] > 1:
            return np.dot(dz.T, self.X).T
        return super()._transposed(dz)

    @property
    def work(self):
        """How many multiplications a product with one column takes."""
        return self.X.size

    def _with_coefficients(self, W):
        """X and W; of many features a copy of those alone that have a coefficient, where these are few."""
        if len(W) > MANY_FEATURES:
            some = np.flatnonzero(W.any(axis=1))
            if len(some) * FEW_SHARE <= len(W):
                return self.X[:, some], W[some]
        return self.X, W

    def n_blocks(self, n_scores):
        """The best number of blocks: at most two where rows are far apart in memory and a block has little of a page.

        A feature of a block is a strip of memory in Fortran order, and each strip is a page of its own.
        """
        number, (stride, along) = super().n_blocks(n_scores), self.X.strides
        return number if stride >= along else min(number, max(2, len(self) * stride // self.layout.strip_bytes))

    def gram(self, c):
        """The sum of ``Block.gram``; the copy of X that is multiplied by s_i and c_i is made in pieces."""
        (m, k), p = c.shape, self.X.shape[1] + 1
        root = np.sqrt(self.weight * c[:, 0] if k == 1 else self.weight).astype(self.X.dtype, copy=False)[:, None]
        gram = np.zeros((p * k, p * k))
        size = min(m, max(self.layout.gram_rows, self.layout.gram_bytes // (p * k * self.X.itemsize)))
        scratch = np.empty((size, p), self.X.dtype)
        for start in range(0, m, size):
            some = slice(start, min(start + size, m))
            X = self.scaled(root[some], some, scratch[: some.stop - start])
            if k == 1:
                gram += np.dot(X.T, X)
            else:
                coupled = (X[:, :, None] * c[some, None, :]).reshape(-1, p * k)
                gram -= np.dot(coupled.T, coupled)
        if k > 1:
            fill_own(gram.reshape(p, k, p, k))
        return gram

    @abstractmethod
    def scaled(self, factor, some, out):
        """[X, 1] of some rows, each row times its factor."""

    def squared_backward(self, dz):
        """``Block.squared_backward`` in X's precision: the precision of dz would need a copy of X."""
        squared = DenseBlock(X=self._squared(), y=self.y, weight=self.weight, constant=self.constant)
        return squared.backward(dz.astype(self.X.dtype, copy=False))

    def squared_norms(self, factors):
        """The squared norm of each row, each feature's square multiplied by a factor."""
        return self.product(self._squared(), factors.astype(self.X.dtype, copy=False))

    def _squared(self):
        return np.square(self.X)

    def squares(self):
        """Of each feature."""
        return np.einsum("ij,ij->j", self.X, self.X)

    def are_strange(self, squares, least, most):
        """The features whose largest |x| may not be between the two, or is 0."""
        return ~((squares >= len(self) * least**2) & (squares <= most**2))

    def in_units(self, unit):
        """A copy of the same rows, as they come, whose features are divided by units (p,)."""
        return DenseBlock(X=measured_in(self.X, unit), **self.parts())

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

    def sparse(self):
        """The features, from wherever they are measured."""
        return self.X

    given = sparse

    def without_zeros(self):
        """Which features no storage has to spare a place for: a mask of all."""
        return np.ones(self.X.shape[1], dtype=bool)

    def seen(self):
        """All features count."""
        return None, self

    def copied(self, index):
        """A copy of the rows at ``index``, with the centre subtracted and the constant feature added."""
        whole = np.empty((len(index), self.X.shape[1] + 1), self.X.dtype)
        for some in spans(len(index), -(-whole.nbytes // self.layout.few_bytes)):
            np.subtract(_gathered(self.X, index[some]), self.centre, out=whole[some, :-1])
        whole[:, -1] = self.constant
        return CopiedBlock(whole=whole, **self.parts() | self._of(index))

    def columns(self, features, root, constant):
        """Some features and then a constant one, each row times its root: see ``MemoryRows.columns``."""
        F = np.empty((len(self), len(features) + 1), order="F")
        n_pieces = -(-F.nbytes // self.layout.block_bytes)  # so that there is no second copy of all of them
        for some in spans(len(features), n_pieces) if len(features) else ():
            F[:, some] = self.measured(features[some])
        F[:, -1] = constant * self.constant
        F *= root[:, None]
        squares = np.einsum("ij,ij->j", F[:, :-1], F[:, :-1])
        return F, np.zeros(len(features)), np.append(squares, self.constant * (root @ root))

    def measured(self, features=slice(None)):
        """Some of the features, measured from the centre."""
        return self.X[:, features]

    def in_float32(self, features):
        """The same in float32, a copy that is made in pieces; in X's precision where float32 is too narrow for it."""
        X = np.empty((len(self), len(features)), np.float32)
        for some in spans(len(features), -(-X.nbytes // self.layout.block_bytes)) if X.size else ():
            part = self.measured(features[some])
            largest = np.maximum(part.max(axis=0), -part.min(axis=0))
            if (largest > MOST_IN_FLOAT32).any() or ((largest < LEAST_IN_FLOAT32) & (largest > 0)).any():
                return self.measured(features)
            X[:, some] = part
        return X


@dataclass(kw_only=True, eq=False, repr=False)
class DenseBlock(Dense):
    """Rows of an array, as given."""

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
    """Rows of a copy with everything that theta multiplies, [X - centre, 1]: one product forward, one backward."""

    whole: np.ndarray

    @cached_property
    def X(self):
        """The features, a view."""
        return self.whole[:, :-1]

    def forward(self, theta):
        """[X, 1] theta."""
        return self.product(self.whole, theta.astype(self.whole.dtype, copy=False))

    def scores(self, theta):
        """[X, 1] theta, and the offset."""
        return self._with_offset(self.forward(theta))

    def forward_by_column(self, theta):
        """``forward``, stored by column."""
        return np.dot(np.ascontiguousarray(theta.T, self.whole.dtype), self.whole.T).T

    def backward_sum(self, dz):
        """[X, 1]^T dz."""
        dz = without_subnormals(dz)
        if dz.flags.f_contiguous and dz.shape[1] > 1:
            return BackwardSum(np.dot(dz.T, self.whole).T, 0.0)
        return BackwardSum(self.product(self.whole.T, dz), 0.0)

    def gradient_of(self, sums):
        """[X, 1]^T dz."""
        return sums.products.astype(float, copy=False)

    def scaled(self, factor, some, out):
        """[X, 1] of some rows, each row times its factor."""
        return np.multiply(self.whole[some], factor, out=out)

    def __getitem__(self, some):
        """Some of the rows, as such a copy."""
        return replace(self, whole=self.whole[some], **self._of(some))

    def copied(self, index):
        """Another copy, of the rows at ``index``."""
        return self[index]


def _gathered(X, index):
    """Rows of X. ``take`` is twice as fast as an index, but copies all of X where it is not in C order."""
    return X.take(index, axis=0) if X.flags.c_contiguous else X[index]
