"""Where the rows live: blocks of (X, y, weight), and sums over them on all cores.

A fit asks one thing of its data: sum f(block) over all rows, for a few functions f. Here, and only here, it is known
how large a block is, and which thread takes it.

- A block is small enough to stay in cache between the forward product X W and the backward product X^T dz, so a pass
  over dense data reads X from memory once.
- Threads take whole blocks, with BLAS held to one thread each: measured 1.3 to 1.5 times faster on dense data than two
  products with the whole matrix, and twice as fast on CSR, whose products BLAS does not thread. Each must have enough
  to do: a pass over 2,000,000 entries is done before a second thread has got going, a Hessian takes half as long.
- Nothing is copied but what ``take`` or ``columns`` is asked for, X of a few rows (256 kB), and a CSR that is not in
  canonical form. A row's constant feature, which carries the intercept, is implied; only dense copies hold it.

Shapes: X (n, p); y (n,), class codes; weight (n,), called s_i in formulas; theta (p + 1, k), intercept last; z and dz
(m, k) for a block's m rows.
"""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache, cached_property, reduce
from itertools import pairwise
from operator import add, and_
from threading import Lock

import joblib
import numpy as np
import scipy.sparse as sp
from scipy.linalg import qr, svd
from threadpoolctl import ThreadpoolController

from .blocks import Block, SparseBlock, WholeBlock, csr_view, first_row, is_constant, row_kronecker, spans

__all__ = ["Rows", "compact", "concatenated"]

FEW_BYTES = 2**18  # of rows that are copied at a time, or unasked
BLOCK_BYTES = 2**22  # of X a block: so much stays in cache
SPARSE_ENTRIES = 8  # of a block of CSR a feature: adding up its gradient, dense, then costs less than its products
BLOCK_SCORES = 2**14  # of all outputs a block, at most: larger arrays are slower to allocate than to compute
CENTRE_ROWS = 1000  # whose mean is near enough to that of all
THREAD_PRODUCTS = 4e6  # multiplications that a thread must have to do, or handing them over costs more than it saves
SPARSE_PRODUCTS = 16  # of a dense X weigh as much as one of a CSR: it takes 4 times as long, and the GIL less often


class Rows:
    """The rows of a data set.

    Parameters
    ----------
    X : ndarray or CSR of shape (n, p), float64 or float32; never written to, and copied only where a CSR has unsorted
        or duplicate entries.
    y : ndarray of shape (n,), class codes from 0.
    weight : ndarray of shape (n,), not negative, with a positive sum.
    intercept : bool, whether each row carries a constant feature 1.
    n_scores : int, k: how many scores a row will have, for the size of a block.
    centre : ndarray of shape (p,), what the features are measured from; None is 0.
    first : int, the number of the first row, where these are some of more rows: blocks say which rows they are.
    """

    def __init__(self, X, y, weight, intercept=True, n_scores=1, centre=None, first=0):
        self.whole = None  # [X - centre, 1], where there is a copy of that; X is a part of it then, and the centre 0
        if sp.issparse(X):
            X = sp.csr_array(X)  # of a csr_matrix, whose sums are matrices
            if not X.has_canonical_format:
                X = X.copy()
                X.sum_duplicates()
        self.X, self.y, self.weight = X, y, weight
        self.constant, self.n_scores = float(intercept), n_scores
        self.n_rows, self.n_features = X.shape
        self.first, self.dtype = first, X.dtype
        self.centre = np.zeros(self.n_features, X.dtype) if centre is None else centre
        self.total = float(np.sum(weight, dtype=float))
        self._pool, self._n_threads = None, 1
        self._cuts = {}

    @property
    def smallest_weight(self):
        """Of the rows that have any."""
        return float(np.min(self.weight, where=self.weight > 0, initial=np.inf))

    @property
    def largest_sample(self):
        """How many rows may be copied: 40 MB of them, or 6.5% of X up to 160 MB, beyond which more rows tell little."""
        n_bytes = self.n_bytes + self.n_rows * self.dtype.itemsize  # a copy has the constant feature, too
        return max(40 * 2**20, min(int(0.065 * self.n_bytes), 160 * 2**20)) * self.n_rows // n_bytes

    @property
    def n_bytes(self):
        """Of X."""
        arrays = [self.X] if isinstance(self.X, np.ndarray) else [self.X.data, self.X.indices, self.X.indptr]
        return sum(array.nbytes for array in arrays)

    @property
    def _n_entries(self):
        """Of X, those that are multiplied, in what one of a dense X costs."""
        return self.X.size if isinstance(self.X, np.ndarray) else SPARSE_PRODUCTS * self.X.nnz

    @property
    def shape(self):
        """(n, p + 1): the rows, and the features with the constant one."""
        return self.n_rows, self.n_features + 1

    @contextmanager
    def threads(self):
        """Hold the cores for the length of a fit: inside, sums with enough to do run on a pool of threads."""
        with ONE_BLAS_THREAD as n_threads, ThreadPoolExecutor(n_threads) as self._pool:
            self._n_threads = n_threads
            try:
                yield
            finally:
                self._pool, self._n_threads = None, 1

    def sum(self, f, *each, products=None):
        """Sum the tuples f(block, ...) over all blocks; f takes ``products`` an entry of X, those of a pass if None."""
        return self.fold(f, add, *each, products=products)

    def fold(self, f, combine, *each, products=None):
        """Combine the tuples f(block, ...), entry by entry, over all blocks.

        ``each`` are arrays with a row for each of these rows, as the method ``each`` makes them: f gets the block's.
        """

        def pair(left, right):
            return tuple(map(combine, left, right))

        def of_block(block):
            some = slice(block.span.start - self.first, block.span.stop - self.first)
            return f(block, *(array[some] for array in each))

        def partial(span):
            return reduce(pair, map(of_block, span))

        work = self._n_entries * (products or 2 * self.n_scores)
        n_threads = int(min(self._n_threads, self.n_rows, max(1, work // THREAD_PRODUCTS)))
        if n_threads == 1:
            return partial(self.blocks)
        blocks = self._cut(-(-len(self.blocks) // n_threads) * n_threads)
        parts = [blocks[span] for span in spans(len(blocks), n_threads)]
        try:  # NumPy's error settings are in the context, and go with the work
            others = [self._pool.submit(copy_context().run, partial, part) for part in parts[1:]]
        except RuntimeError:  # no thread is to be had: the system has no more, or Python is about to end
            return reduce(pair, map(partial, parts))
        return reduce(pair, [partial(parts[0]), *(other.result() for other in others)])

    def each(self, f, *each):
        """What f(block, ...) gives for each of the block's rows: an array with a row for each."""
        found, lock = [], Lock()

        def keep(block, *each):
            values = f(block, *each)
            with lock:
                if not found:
                    found.append(np.empty((self.n_rows, *values.shape[1:]), values.dtype))
            found[0][block.span.start - self.first : block.span.stop - self.first] = values
            return ()

        self.fold(keep, add, *each)
        return found[0]

    def map(self, f, *each):
        """What f makes of ``each`` row's numbers alone."""
        return self.each(lambda _, *each: f(*each), *each)

    def repeated(self, values):
        """The same values, of shape (1, k), for each row."""
        return np.full((self.n_rows, values.shape[1]), values, self.dtype)

    def shared_scores(self, theta):
        """The scores at theta, shape (1, k), where all rows have the same; else None."""
        return None if theta[:-1].any() else self.constant * theta[-1:]

    @cached_property
    def blocks(self):
        """Blocks of about BLOCK_BYTES or BLOCK_SCORES, whichever is less; views of X, in order."""
        wanted = max(self.n_bytes / BLOCK_BYTES, self.n_rows * self.n_scores / BLOCK_SCORES)
        if not isinstance(self.X, np.ndarray):
            wanted = min(wanted, self.X.nnz / (SPARSE_ENTRIES * self.n_features))
        return self._cut(round(wanted))

    def _cut(self, n_blocks):
        """So many blocks of the rows, at least one and not more than there are rows."""
        if n_blocks not in self._cuts:
            self._cuts[n_blocks] = [self._block(span) for span in spans(self.n_rows, n_blocks)]
        return self._cuts[n_blocks]

    def _block(self, span):
        numbers = slice(self.first + span.start, self.first + span.stop)
        parts = self.y[span], self.weight[span], self.constant, self.centre, numbers
        if self.whole is not None:
            return WholeBlock(self.whole[span], *parts)
        if isinstance(self.X, np.ndarray):
            return Block(self.X[span], *parts)
        return SparseBlock(csr_view(self.X, span.start, span.stop), *parts)

    def is_finite(self):
        """Whether the sums of X are, on all cores: there is nan or infinity in X, or overflow, where they are not."""
        with self.threads(), np.errstate(over="ignore", invalid="ignore"):
            return self.fold(_is_finite, and_, products=1)[0]

    def take(self, index):
        """A copy of the rows at ``index``, on the same threads; dense ones are centred once and for all."""
        y, weight = self.y[index], self.weight[index]
        if not isinstance(self.X, np.ndarray):
            return self._with(self.X[index], y, weight, self.centre)
        if self.whole is not None:
            return self._with_whole(self.whole[index], y, weight)
        whole = np.empty((len(index), self.n_features + 1), self.dtype)
        for some in spans(len(index), -(-whole.nbytes // FEW_BYTES)):
            np.subtract(_gathered(self.X, index[some]), self.centre, out=whole[some, :-1])
        whole[:, -1] = self.constant
        return self._with_whole(whole, y, weight)

    def every(self, step):
        """Every step-th row, of a copy without another one."""
        some = slice(None, None, step)
        whole = None if self.whole is None else self.whole[some]
        return self._with(self.X[some], self.y[some], self.weight[some], self.centre, whole)

    def columns(self, features, root, constant):
        """Some features and then a constant one, column by column, each row times its root: float64.

        Returns F, CSC with 32-bit indices or a Fortran-ordered ndarray; the centre to measure features from, where F's
        are not; and their sums of squares from there, with that of a constant 1. A CSC is good until the next call.
        """
        constant, total = constant * self.constant, root @ root
        if isinstance(self.X, np.ndarray):
            X, centre = self.X[:, features] - self.centre[features], np.zeros(len(features))
            F = np.asfortranarray(np.column_stack([X, np.full(self.n_rows, constant)]) * root[:, None])
            squares = np.einsum("ij,ij->j", F[:, :-1], F[:, :-1])
        else:
            centre, X = self.centre[features].astype(float), self._by_column[:, features]
            values, (indices, data) = X.data.astype(float, copy=False), self._kept
            np.take(root, X.indices, out=data[: X.nnz], mode="clip")
            data[: X.nnz] *= values
            squares = _sums(np.square(data[: X.nnz], out=values), X.indptr)
            indices[: X.nnz] = X.indices
            end = X.nnz + self.n_rows
            data[X.nnz : end], indices[X.nnz : end] = constant * root, np.arange(self.n_rows)
            parts = data[:end], indices[:end], np.append(X.indptr, end).astype(np.int32)
            F = sp.csc_array(parts, shape=(self.n_rows, len(features) + 1))
            squares += centre * (centre * total - 2 * (F.T @ root)[:-1])
        return F, centre, np.append(squares, self.constant * total)

    @property
    def has_columns(self):
        """Whether ``columns`` can be asked for: indices of 32 bits must reach."""
        return isinstance(self.X, np.ndarray) or self.X.nnz + self.n_rows < 2**31

    @cached_property
    def _by_column(self):
        return self.X.tocsc()

    @cached_property
    def _kept(self):
        """Where ``columns`` writes: new memory, a page at a time, costs more than what is done with it."""
        n_entries = self.X.nnz + self.n_rows
        return np.empty(n_entries, np.int32), np.empty(n_entries)

    def after(self, earlier):
        """A copy of earlier rows, which ``take`` gave, and of these after them; CSR if both are."""
        return concatenated([earlier, self.take(np.arange(self.n_rows))])

    def without(self, rows):
        """The same rows, with a weight of 0 where the mask ``rows`` holds."""
        return self._with(self.X, self.y, np.where(rows, 0, self.weight), self.centre, self.whole)

    def centred(self):
        """The same rows, their features measured from about their means.

        An offset, such as that of a year, makes a feature collinear with the constant one: a Hessian loses
        (offset / spread)^2 in precision, all of it in float32 where that ratio is a few thousand. Any centre near the
        data will do, so it is the mean of some of them. Rows without an intercept, which would have to take up the
        difference, stay as they are.
        """
        if self.centre.any() or not self.constant:
            return self
        some = self.X[:: -(-self.n_rows // CENTRE_ROWS)]
        return self._with(self.X, self.y, self.weight, _column_means(some))

    def copied_if_few(self):
        """A copy of these rows if it is small enough to cost less than the calls that it spares; else these."""
        few = isinstance(self.X, np.ndarray) and self.n_bytes <= FEW_BYTES
        return self.take(np.arange(self.n_rows)) if few else self

    def stored(self):
        """The same rows, CSR measured from 0 again."""
        return self._with(self.X, self.y, self.weight, None) if sp.issparse(self.X) else self

    def spread(self):
        """The root of the mean square of each feature."""
        (squares,) = self.sum(_squares)
        return np.sqrt(np.maximum(squares[:-1, 0], 0) / self.total)

    def kronecker(self, c):
        """Row i's [x_i, 1] (x) c_i, for x as it is stored and c (n, k): CSR of shape (n, (p + 1) k), in float64."""
        X, ones = sp.csr_array(self.X, dtype=float), sp.csr_array(np.full((self.n_rows, 1), self.constant))
        return row_kronecker(sp.hstack([X, ones], format="csr"), c)

    def about(self, centre):
        """The same rows, their features measured from a given centre; then CSR becomes dense, unless that is 0."""
        X = self.X.toarray() if sp.issparse(self.X) and centre.any() else self.X
        return self._with(X, self.y, self.weight, centre)

    def enter(self, theta):
        """The theta of the same model where features are measured from the centre: its intercept is b + centre W."""
        with ONE_BLAS_THREAD:
            return np.vstack([theta[:-1], theta[-1] + self.centre @ theta[:-1]])

    def leave(self, theta):
        """The inverse of ``enter``."""
        with ONE_BLAS_THREAD:
            return np.vstack([theta[:-1], theta[-1] - self.centre @ theta[:-1]])

    def without_constants(self, theta):
        """A theta with the same scores, in which features that are constant here have no part: a flag never set, say.

        Their coefficients are anything, and would be nonsense on rows where the features are not constant.
        """
        if not self.constant:
            return theta
        constant = np.flatnonzero(is_constant(self.X))
        theta = theta.copy()
        theta[-1] += (first_row(self.X) - self.centre)[constant] @ theta[constant]
        theta[constant] = 0
        return theta

    def _with_whole(self, whole, y, weight):
        return self._with(whole[:, :-1], y, weight, None, whole)

    def _with(self, X, y, weight, centre, whole=None):
        rows = Rows(X, y, weight, bool(self.constant), self.n_scores, centre)
        rows.whole = whole
        rows._pool, rows._n_threads = self._pool, self._n_threads
        return rows


def _squares(block):
    return (block.squared_backward(block.weight[:, None]),)


def _is_finite(block):
    return (block.is_finite(),)


def concatenated(parts):
    """One Rows of several, which ``take`` gave; CSR if all are."""
    Xs = [part.X for part in parts]
    y, weight = (np.concatenate([getattr(part, name) for part in parts]) for name in ("y", "weight"))
    if all(part.whole is not None for part in parts):
        return parts[-1]._with_whole(np.vstack([part.whole for part in parts]), y, weight)
    if all(map(sp.issparse, Xs)):
        X = sp.vstack(Xs, format="csr")
    else:
        X = np.vstack([X.toarray() if sp.issparse(X) else X for X in Xs])
    return parts[-1]._with(X, y, weight, parts[-1].centre)


def compact(rows, max_rows):
    """Few rows of many features, in coordinates of the space that they span; other rows as they are.

    With X = V s Q^T, its thin singular value decomposition, the scores X W are (V s) W' for W' = Q^T W, and |W| = |W'|
    in the span of the rows, where a minimum with an l2 penalty lies. s and V come from the R of a QR decomposition of
    X^T, a few columns of X at a time; Q = X^T V / s is never formed. W = Q W' loses s_1 / s_i in precision, which one
    step of iterative refinement, Q times what W lacks of W', makes good. X is measured from the rows' centre.

    Returns
    -------
    rows : Rows of shape (n, rank), for dense X with n < p and n < max_rows; else the rows given
    lower, lift : functions from theta to theta', and back
    """
    X, n = rows.X, rows.n_rows
    if not (isinstance(X, np.ndarray) and n < min(rows.n_features, max_rows) and _comparable(X, rows.centre)):
        return rows, lambda theta: theta, lambda theta: theta
    pieces = [slice(*ends) for ends in pairwise([*range(0, rows.n_features, 2 * n), rows.n_features])]

    def columns(piece):
        return X[:, piece] - rows.centre[piece]

    with ONE_BLAS_THREAD:
        R = np.empty((0, n))
        for piece in pieces:
            R = qr(np.vstack([R, columns(piece).T]), mode="r", check_finite=False)[0][:n]
        _, s, Vt = svd(R, full_matrices=False, check_finite=False)
    of_centre = np.sqrt(n) * np.linalg.norm(rows.centre) * np.finfo(X.dtype).eps  # by which the rows do not add up to 0
    rank = max(1, np.count_nonzero(s > s[0] * max(X.shape) * np.finfo(float).eps + of_centre))
    s, V = np.maximum(s[:rank], np.finfo(float).tiny), Vt[:rank].T

    def lower(theta):
        scores = sum(columns(piece) @ theta[piece] for piece in pieces)
        return np.vstack([V.T @ scores / s[:, None], theta[-1]])

    def roughly_lifted(theta):
        v = V @ (theta[:-1] / s[:, None])
        return np.vstack([*(columns(piece).T @ v for piece in pieces), theta[-1]])

    def lift(theta):
        rough = roughly_lifted(theta)
        return rough + roughly_lifted(theta - lower(rough))

    return rows._with(V * s, rows.y, rows.weight, None), lower, lift


def _column_means(X):
    """The means of X's columns; of a constant one its very value, or its rounding would pass for a feature."""
    return np.where(is_constant(X), first_row(X), X.mean(axis=0, dtype=float).astype(X.dtype))


def _comparable(X, centre):
    """Whether the features' scales are near enough for the small ones not to drown in an SVD's rounding."""
    scales = np.maximum(X.max(axis=0) - centre, centre - X.min(axis=0))
    return scales.max() <= 1e8 * np.min(scales, where=scales > 0, initial=np.inf)


def _gathered(X, index):
    """Rows of X. ``take`` is twice as fast as an index, but copies all of X where it is not in C order."""
    return X.take(index, axis=0) if X.flags.c_contiguous else X[index]


def _sums(values, indptr):
    """The sum of each column's values."""
    sums, some = np.zeros(len(indptr) - 1), np.flatnonzero(np.diff(indptr))
    sums[some] = np.add.reduceat(values, indptr[some]) if len(some) else 0.0
    return sums


class _OneBlasThread:
    """Hold BLAS to one thread while any fit of this process runs; gives the number of threads to use instead.

    BLAS's own threads wait for each other by spinning, which on a busy machine costs more than small products gain. The
    limit is the process's: fits side by side must not restore each other's, so the first sets and the last restores it.

    Other users of ``threadpool_limits``, such as KMeans in another thread, also save the number that they find and put
    it back later. A number that is no longer 1 when the last fit ends is therefore theirs, and stays. From
    threadpoolctl 3.8 on, one thread at a time controls OpenBLAS, and what others set is ignored: the last fit takes the
    control from the first, and the next fit takes it from the last.
    """

    def __init__(self):
        self._lock, self._users, self._left = threading.Lock(), 0, {}

    def __enter__(self):
        with self._lock:
            if self._users == 0:
                blas, cores = _blas_and_cores()
                self._before = [(library, library.num_threads) for library in blas]
                self._n_threads = max(1, min([cores, *(number for _, number in self._before)]))
                try:
                    for library, number in self._before:  # as the last fit left it, so nobody else limits it now
                        _set_threads(library, 1, take_control=self._left.get(library) == number)
                except KeyboardInterrupt:
                    self._restore()
                    raise
            self._users += 1
            return self._n_threads

    def __exit__(self, *error):
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore()

    def _restore(self):
        try:
            for library, number in self._before:
                if library.num_threads == 1:  # as it was set, so by nobody else since
                    _set_threads(library, number, take_control=True)
                    self._left[library] = number
        except KeyboardInterrupt:  # at this very moment
            self._restore()
            raise

    def forked(self):
        """The fits of the parent do not run in its child, where this is called."""
        if self._users:
            self._restore()
        self.__init__()


def _set_threads(library, number, take_control):
    library.set_num_threads(number)
    if take_control and library.num_threads != number and hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)
        library.set_num_threads(number)


@cache
def _blas_and_cores():
    return ThreadpoolController().select(user_api="blas").lib_controllers, joblib.cpu_count()  # slow to find out: once


ONE_BLAS_THREAD = _OneBlasThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=ONE_BLAS_THREAD.forked)
