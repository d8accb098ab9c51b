"""Rows in memory: one block of all rows, cut into smaller blocks for the sums. A thread takes whole blocks.

Each thread must have enough to do: a pass over 2,000,000 entries ends before a second thread has started, but a
Hessian takes half as long with two threads. These are copied, and nothing else: the results of ``take`` and
``columns``; an X of few rows (256 kB); a CSR that is not in canonical form; a CSR of up to 16 MB, by column, for
``columns``; the nonzero entries of a large dense X that has hardly any; and the values of a CSR with a feature far from
0 (see ``csr``). ``layout`` has the sizes of blocks.
"""

from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, reduce
from operator import add
from threading import Lock

import numpy as np
import scipy.sparse as sp

from . import layout as _layout
from .backward_sum import BackwardSum
from .blocks import spans
from .csr import CsrBlock, canonical, compressed, row_kronecker
from .csr import joined as joined_csr
from .dense import CopiedBlock, DenseBlock
from .rows import Rows
from .threads import Cores
from .units import largest_of_features, least_and_most, measured_in, unit_of

__all__ = ["MemoryRows", "aligned", "concatenated", "rows_of"]

SAMPLE_BYTES = 40 * 2**20  # a sample may always have this size
SAMPLE_SHARE, MOST_BYTES = 0.065, 160 * 2**20  # or this share of X, up to this size: a larger sample tells little more
# A CSR is made of dense rows of so many entries where at most this share of them is not 0. Making it takes as long as
# seven products with one score: see docs/decisions/sparse.md.
MANY_ENTRIES, MOST_NONZERO = 2**23, 0.05
MIXED_BYTES = 32 * 2**20  # dense and CSR rows up to this size are joined as dense: 2,000 rows of 2,000 features


def rows_of(
    X, y, weight, intercept=True, n_scores=1, centre=None, first=0, layout=None, cores=None, offset=None, unit=1.0
):
    """Rows of arrays, in the storage of X.

    Parameters
    ----------
    X : ndarray or CSR of shape (n, p), float64 or float32. X is never written to. It is copied only if it is a CSR
        with unsorted or duplicate entries, or an array that is not aligned.
    y : ndarray of shape (n,), class codes from 0.
    weight : ndarray of shape (n,), not negative, with a positive sum.
    intercept : bool, whether each row carries a constant feature 1.
    n_scores : int, k: how many scores a row will have, for the size of a block.
    centre : ndarray of shape (p,), the point from which the features are measured, in their units; None is 0.
    first : int, the number of the first row, if these rows are a part of a table.
    layout : Layout, the sizes of blocks; None is the default.
    cores : Cores, of a fit that has begun; None is the caller's thread alone.
    offset : ndarray of shape (n, k), which is added to the scores; None is 0.
    unit : 1.0 or ndarray of shape (p,), the divisors of the features, which are divided in a copy.
    """
    storage, X = (CsrBlock, canonical(X)) if sp.issparse(X) else (DenseBlock, aligned(X))
    parts = {"constant": float(intercept), "first": first, "layout": layout or _layout.LAYOUT}
    if offset is not None:
        parts["offset"] = offset.astype(X.dtype, copy=False)
    block = storage(X=measured_in(X, unit), y=y, weight=weight, **parts)
    return MemoryRows(block if centre is None else block.about(centre), n_scores, cores, unit)


def aligned(array):
    """The array, or a copy where its numbers do not begin at multiples of their size, as after some networks.

    No BLAS takes such an array: NumPy would copy it for each product.
    """
    return array if array.flags.aligned else array.copy()


class MemoryRows(Rows):
    """Rows in memory, of any storage: see ``rows_of``."""

    copies_features = True

    def __init__(self, block, n_scores=1, cores=None, unit=1.0):
        self.block, self.n_scores, self.cores, self.unit = block, n_scores, cores or Cores(), unit
        self.X, self.y, self.weight = block.X, block.y, block.weight
        self.n_rows, self.n_features = self.X.shape
        self.dtype, self.constant = self.X.dtype, block.constant
        self.has_offset = block.offset is not None
        self.total = float(np.sum(self.weight, dtype=float))  # at once, where an overflow is named
        self._threads_of_work = block.work / block.layout.thread_products  # a multiplication an entry of X is worth
        self._cuts = {}

    @property
    def centre(self):
        """What the features are measured from, shape (p,)."""
        return np.zeros(self.n_features, self.dtype) + self.block.origin + self.block.centre

    def __getstate__(self):
        """The arrays and numbers alone, by the names of version 0.1; unpickling makes blocks and threads anew."""
        whole = self.block.whole if isinstance(self.block, CopiedBlock) else None
        return {
            "X": self.block.given() if whole is None else None,
            "whole": whole,
            **{name: getattr(self, name) for name in ("y", "weight", "constant", "n_scores")},
            "centre": self.centre if self.block.is_moved else None,
            "first": self.block.first,
            "offset": self.block.offset,
        }

    def __setstate__(self, state):
        """Restore the rows from the arrays and numbers, or from a pickle of version 0.1."""
        if state["whole"] is None:
            names = ("X", "y", "weight", "constant", "n_scores", "centre", "first")
            block = rows_of(*(state[name] for name in names)).block
        else:
            names = ("whole", "y", "weight", "constant", "first")
            block = CopiedBlock(**{name: state[name] for name in names})
        block.offset = state.get("offset")
        self.__init__(block, state["n_scores"])

    @property
    def smallest_weight(self):
        """Of the rows that have any."""
        return float(np.min(self.weight, where=self.weight > 0, initial=np.inf))

    @cached_property
    def n_counted(self):
        """How many rows have a weight."""
        if self.weight.strides == (0,):  # one weight for all
            return self.n_rows * int(self.weight[0] > 0)
        return np.count_nonzero(self.weight)

    @property
    def largest_sample(self):
        """How many rows may be copied."""
        n_bytes = self.n_bytes + self.n_rows * self.dtype.itemsize  # a copy has the constant feature, too
        return max(SAMPLE_BYTES, min(int(SAMPLE_SHARE * self.n_bytes), MOST_BYTES)) * self.n_rows // n_bytes

    @property
    def n_bytes(self):
        """Of X."""
        return self.block.n_bytes

    @property
    def work(self):
        """How many multiplications a product with one column is worth."""
        return self.block.work

    # --- Sums -------------------------------------------------------------------------------------------------------

    def fold(self, f, combine, *each, products=None):
        """Combine the tuples f(block, ...), entry by entry, over all blocks."""

        def pair(left, right):
            return tuple(map(combine, left, right))

        def with_each(block):
            return f(block, *(array[self._span(block)] for array in each))

        of_block = with_each if each else f

        def of_blocks(blocks):
            return reduce(pair, map(of_block, blocks))

        worth = self._threads_of_work * (products or 2 * self.n_scores)
        if worth < 2 or self.cores.n_threads == 1:
            found = reduce(pair, map(of_block, self.blocks))
        else:
            n_threads = min(self.cores.n_threads, self.n_rows, int(worth))
            blocks = self._cut(-(-len(self.blocks) // n_threads) * n_threads)
            found = self.cores.fold(of_blocks, pair, [blocks[part] for part in spans(len(blocks), n_threads)])
        return tuple(self.block.gradient_of(entry) if isinstance(entry, BackwardSum) else entry for entry in found)

    def each(self, f, *each):
        """The values of f(block, ...) for each of the block's rows: an array with an entry for each row."""
        found, lock = [], Lock()

        def keep(block, *each):
            values = f(block, *each)
            with lock:
                if not found:
                    found.append(np.empty((self.n_rows, *values.shape[1:]), values.dtype))
            found[0][self._span(block)] = values
            return ()

        self.fold(keep, add, *each)
        return found[0]

    def map(self, f, *each):
        """The values of f of arrays with an entry for each row, without the rows themselves."""
        return self.each(lambda _, *each: f(*each), *each)

    def sum_known(self, f, *each):
        """Sum the tuples f(...) of arrays with an entry for each row, without the rows themselves."""
        return self.fold(lambda _, *each: f(*each), add, *each)

    @cached_property
    def blocks(self):
        """All rows in blocks of the best size: views of X, in order."""
        return self._cut(self.block.n_blocks(self.n_scores))

    def _cut(self, n_blocks):
        if n_blocks not in self._cuts:
            self._cuts[n_blocks] = self.block.cut(n_blocks)
        return self._cuts[n_blocks]

    def _span(self, block):
        """The slice of these rows that a block has."""
        start = block.first - self.block.first
        return slice(start, start + len(block))

    def is_finite(self):
        """Whether the squares of X are finite. If not, X has a nan or an infinity, or a square overflows."""
        return bool(np.isfinite(self._squares).all())

    @cached_property
    def _squares(self):
        """``Block.squares`` of all rows."""
        threads = self.threads() if self._threads_of_work >= 2 else nullcontext()
        with threads, np.errstate(over="ignore", invalid="ignore", under="ignore", divide="ignore"):
            return self.fold(_squares, add, products=1)[0]

    @cached_property
    def sizes(self):
        """The largest |x| of each feature that may need a unit, and 1 for the others; 1.0 if no feature needs one."""
        some = self.block.are_strange(self._squares, *least_and_most(self.dtype))
        if not some.any():
            return 1.0
        sizes = np.ones(self.n_features)
        sizes[some] = largest_of_features(self.X, some)
        return sizes

    # --- Other rows -------------------------------------------------------------------------------------------------

    def take(self, index):
        """A copy of the rows at ``index``, on the same threads; a copy of dense rows is centred."""
        return self._with(self.block.copied(index))

    def every(self, step):
        """Every step-th row of rows that are a copy, without a further copy."""
        return self._with(self.block[::step])

    def after(self, earlier):
        """A copy of earlier rows followed by these: CSR if both are CSR, or if dense rows would be large."""
        return concatenated([earlier, self.take(np.arange(self.n_rows))])

    def without(self, mask):
        """The same rows, with a weight of 0 where the mask holds."""
        return self._with(replace(self.block, weight=np.where(mask, 0, self.weight)))

    def reweighted(self, share):
        """The same rows, the weight of each multiplied by its share."""
        return self if (share == 1).all() else self._with(replace(self.block, weight=self.weight * share))

    def centred(self, nearer=False):
        """The same rows, their features measured from about their means, in units whose squares do not overflow."""
        if self.block.is_moved:
            return self
        rows = self.measured_in(self.own_unit)
        return rows._with(rows.block.centred(nearer)) if self.constant else rows

    @property
    def own_unit(self):
        """The divisor of each feature, by its largest |x| in these rows; 1.0 if no feature needs a divisor."""
        return 1.0 if np.ndim(self.sizes) == 0 else unit_of(self.sizes, self.dtype)

    def measured_in(self, unit):
        """The same rows with the features in these units: a copy, unless the unit is 1.0."""
        if np.ndim(unit) == 0:
            return self
        block = self.block.in_units(unit)
        return type(self)(block, self.n_scores, self.cores, self.unit * unit)

    def seen(self):
        """The rows of theta on which some score depends, None for all; and the rows with these features alone."""
        features, block = self.block.seen()
        return features if features is None else np.append(features, self.n_features), self._with(block)

    def for_scores(self, n_scores):
        """The same rows, cut into blocks that are best for ``n_scores`` scores a row."""
        return self if n_scores == self.n_scores else type(self)(self.block, n_scores, self.cores, self.unit)

    def stored(self):
        """The same rows, CSR measured from 0 where it has zeros."""
        block = self.block.stored()
        return self if block is self.block else self._with(block)

    def about(self, centre):
        """The same rows, measured from a given centre."""
        return self._with(self.block.about(centre))

    def copied_if_few(self):
        """A copy of these rows if they are dense and few; otherwise these rows."""
        few = isinstance(self.block, DenseBlock) and self.n_bytes <= self.block.layout.few_bytes
        return self.take(np.arange(self.n_rows)) if few else self

    def compressed(self):
        """The same rows as CSR if they are many and dense, and nearly all entries are 0; otherwise these rows."""
        is_large = self.X.size >= MANY_ENTRIES and self.n_rows >= self.n_features  # fewer rows may need their span
        if not isinstance(self.block, DenseBlock) or not is_large or self.block.is_moved:
            return self
        X = compressed(self.X, MOST_NONZERO)
        parts = {name: getattr(self.block, name) for name in ("y", "weight", "constant", "first", "layout", "offset")}
        return self if X is None else self._with(CsrBlock(X=X, **parts))

    def augmented(self, weight):
        """These rows, and each row once more for each class c, with the weights (n, n_classes) and a feature as mark.

        The marks are the last feature, 1 for the added rows. All rows are copied, in X's storage and not centred.
        """
        n_classes, stack = weight.shape[1], sp.hstack if sp.issparse(self.X) else np.hstack
        marks = [np.full((self.n_rows, 1), mark, self.dtype) for mark in (0, 1)]
        parts = [stack([self.X, mark]) for mark in marks]
        X = [parts[0], *[parts[1]] * n_classes]
        X = sp.vstack(X, format="csr") if sp.issparse(self.X) else np.vstack(X)
        y = np.concatenate([self.y, np.repeat(np.arange(n_classes, dtype=self.y.dtype), self.n_rows)])
        weight = np.concatenate([self.weight, (weight * self.weight[:, None]).T.ravel()])
        offset = None if self.block.offset is None else np.tile(self.block.offset, (1 + n_classes, 1))
        return rows_of(X, y, weight, bool(self.constant), self.n_scores, offset=offset)

    def with_features(self, X):
        """The same rows, with other features, as an array."""
        return MemoryRows(DenseBlock(X=X, **self.block.parts()), self.n_scores, self.cores)

    def with_columns(self, features):
        """The same rows with a copy of some features."""
        how = {"cores": self.cores, "offset": self.block.offset}
        return rows_of(self.X[:, features], self.y, self.weight, bool(self.constant), self.n_scores, **how)

    def with_measured(self, features, rough=False):
        """The same rows with a copy of some features, measured as here; dense ones in float32 where ``rough``."""
        if self.is_sparse:
            return self._with(self.block.with_some(features))
        return self.with_features(self.block.in_float32(features) if rough else self.block.measured(features))

    def in_float32(self):
        """The same rows, measured as here, in float32: a copy if they are dense and in float64."""
        if self.is_sparse or self.dtype == np.float32:
            return self
        X = self.block.in_float32(np.arange(self.n_features))
        if isinstance(self.block, CopiedBlock) and X.dtype == np.float32:
            whole = np.hstack([X, np.full((self.n_rows, 1), self.constant, X.dtype)])
            return self._with(CopiedBlock(whole=whole, **self.block.parts()))
        return self.with_features(X)

    def in_float64(self):
        """The same rows, read in float64."""
        return self if self.dtype == float else WidenedRows(self.block, self.n_scores, self.cores, self.unit)

    def _with(self, block):
        return type(self)(block, self.n_scores, self.cores, self.unit)

    # --- Further questions to rows in memory -----------------------------------------------------------------------

    @property
    def has_columns(self):
        """Whether ``columns`` can be asked for."""
        return self.block.has_columns

    def columns(self, features, root, constant):
        """Some features and then a constant one, column by column, each row times its root.

        Returns F, a CSC in X's precision with 32-bit indices or a Fortran-ordered ndarray in float64; the centre from
        which features are measured, for F's features are not centred; and the sums of squares of the centred features
        and of a constant 1. The next call may write to the same CSC.
        """
        return self.block.columns(features, root, constant)

    @property
    def is_sparse(self):
        """Whether most features of a row are 0, and cost nothing."""
        return isinstance(self.block, CsrBlock)

    def filled(self):
        """[X - centre, 1], as an array."""
        if isinstance(self.block, CopiedBlock):
            return self.block.whole
        return np.hstack([self.block.measured(), np.full((self.n_rows, 1), self.constant)])

    def filled_columns(self, features):
        """Some of the features, measured from the centre, as an array."""
        return self.block.measured(features)

    def kronecker(self, c):
        """Row i's [x_i, 1] (x) c_i, for x as it is stored and c (n, k): CSR of shape (n, (p + 1) k), in float64."""
        X, ones = sp.csr_array(self.block.sparse(), dtype=float), sp.csr_array(np.full((self.n_rows, 1), self.constant))
        return row_kronecker(sp.hstack([X, ones], format="csr"), c)

    def without_constants(self, theta):
        """A theta with the same scores and a coefficient of 0 on features that are constant here: an unset flag, say.

        These rows do not determine such coefficients, so the coefficients would be wrong on other rows.
        """
        return self.block.without_constants(theta) if self.constant else theta


def concatenated(parts):
    """The rows of several copies with one centre, joined: CSR if all are CSR, or if dense rows would be large."""
    blocks, last = [part.block for part in parts], parts[-1].block
    names = ("y", "weight") if last.offset is None else ("y", "weight", "offset")
    changed = {name: np.concatenate([getattr(block, name) for block in blocks]) for name in names}
    if all(isinstance(block, CopiedBlock) for block in blocks):
        joined = replace(last, whole=np.vstack([block.whole for block in blocks]), **changed)
    elif all(isinstance(block, CsrBlock) for block in blocks):
        joined = joined_csr(blocks, **changed)
    elif len(changed["y"]) * parts[-1].n_features * last.X.dtype.itemsize <= MIXED_BYTES:
        X = np.vstack([block.measured() for block in blocks])
        joined = DenseBlock(X=X, **last.parts() | changed)
    else:
        centre = next(part.centre for part in parts if part.is_sparse)
        Xs = [part.block.given() if part.is_sparse else sp.csr_array(part.X + centre) for part in parts]
        joined = CsrBlock(X=sp.vstack(Xs, format="csr"), **last.parts() | changed).about(centre)
    return parts[-1]._with(joined)


def _squares(block):
    return (block.squares(),)


class WidenedRows(MemoryRows):
    """Rows in float32 that are read in float64: a block is converted for the time in which it is read."""

    def __init__(self, block, n_scores=1, cores=None, unit=1.0):
        super().__init__(block, n_scores, cores, unit)
        self.dtype = np.dtype(float)

    def fold(self, f, combine, *each, products=None):
        """Combine the tuples f(block, ...) over all blocks, each in float64."""
        return super().fold(lambda block, *each: f(block.in_float64(), *each), combine, *each, products=products)

    def take(self, index):
        """A copy of the rows at ``index``, in float64."""
        return MemoryRows(self.block.copied(index).in_float64(), self.n_scores, self.cores, self.unit)
