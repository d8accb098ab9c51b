"""Rows that do not fit in memory: read anew, batch by batch, for every pass over them.

``Source`` reads the batches; a first pass, its survey, finds what a fit has to know beforehand: how many rows there
are, of which classes, and their fingerprint, which every later pass must have too. ``BatchRows`` is a ``Rows`` whose
sums go over one batch after another, so objective, descent and duality gap run on it as on any other.

What is kept between batches are sums, and the rows that a sample takes: 40 MB at most. More than 1,500 parameters need
a few numbers for each score of each row besides.
"""

from collections.abc import Generator
from contextvars import copy_context
from functools import reduce
from zlib import crc32

import numpy as np
import scipy.sparse as sp

from ..estimators.validation import check_labels, check_targets, distinct, encode_as, largest, overflow_named
from .rows import Rows, concatenated

__all__ = ["BatchRows", "Source"]

SAMPLE_BYTES = 40 * 2**20  # may be copied
PRINTED_EVERY = 1000  # rows, whose features go into the fingerprint
END = object()  # of the batches


class Source:
    """Batches (X, y, weight) that can be read more than once.

    Parameters
    ----------
    batches : iterable that can be iterated again, or function that returns an iterator.
    check : function of a batch and of whether it is the very first, which gives X, y and weight (or None) as arrays, or
        None for a batch without rows, or raises an error.
    classes : ndarray of all labels, or None where the survey is to find them.
    class_weight : dict, "balanced" or None.
    """

    def __init__(self, batches, check, classes=None, class_weight=None):
        self._open = batches if callable(batches) else batches.__iter__
        self._check, self._context = check, copy_context()
        self.n_passes, self.n_rows, self.fingerprint = 0, None, None
        self._survey(classes, class_weight)

    def read(self):
        """One pass: yield each batch's first row number, X, codes, and weight with that of the class."""
        for first, X, y, weight in self._read():
            codes, weight = encode_as(self.classes, y, weight, None)
            if self.has_dense and sp.issparse(X):
                X = X.toarray()
            yield first, X.astype(self.dtype, copy=False), codes, weight * self._factors[codes]

    def _survey(self, classes, class_weight):
        """Set what is known of the rows after the first pass; classes count where some of their rows have a weight."""
        found, totals, dtypes, centre, smallest = [], {}, set(), 0.0, np.inf
        self.has_dense, self.n_bytes, self.largest = False, 0, 0.0
        for first, X, y, weight in self._read():
            if classes is not None:
                check_labels(y, classes)
            weight = np.ones(len(y)) if weight is None else weight
            labels = distinct(y[weight > 0])
            check_targets(labels)
            found = distinct(np.concatenate([found, labels]) if len(found) else labels)
            for label, total in zip(labels, weight_by_label(labels, y, weight), strict=True):
                totals[label] = totals.get(label, 0.0) + total
            with overflow_named(X):
                rows = Rows(X, y, weight)
                centre = centre + (rows.centred().centre - centre) * (len(y) / (first + len(y)))
            dtypes.add(X.dtype)
            smallest = min(smallest, rows.smallest_weight)
            self.has_dense |= isinstance(X, np.ndarray)
            self.n_bytes += rows.n_bytes
            self.largest = max(self.largest, largest(X))
        if not dtypes:
            raise ValueError("source must yield at least one batch with rows; it yielded none.")
        if classes is not None and not np.array_equal(found, classes):
            raise ValueError(f"classes={classes!r} must all have rows with a positive weight; only {found!r} have.")
        if len(found) < 2:
            raise ValueError(f"source must yield rows of at least two classes with a positive weight; got {found!r}.")
        self.classes, self.dtype = found, np.result_type(*dtypes)
        self.centre = centre.astype(self.dtype)
        totals = np.array([totals[label] for label in found])
        weighted = encode_as(found, found, totals, class_weight)[1]  # each class as if it were one row
        self._factors, self.total = weighted / totals, float(weighted.sum())
        self.smallest_weight = smallest * self._factors.min()

    def _read(self):
        """One pass over the checked batches, each with its first row's number; an error says where it happened."""
        self.n_passes += 1
        n_rows, number, fingerprint = 0, 1, (0, 0, 0)
        try:
            for checked in self._checked():
                if checked is not None:
                    X, y, weight = checked
                    if self.n_rows is not None and n_rows + len(y) > self.n_rows:
                        self._changed(f"has more than {self.n_rows} rows")
                    yield n_rows, X, y, weight
                    fingerprint = printed(fingerprint, n_rows, X, y, weight)
                    n_rows += len(y)
                number += 1
        except Exception as error:
            error.add_note(f"In pass {self.n_passes} over source, at batch {number}.")
            raise
        if self.n_rows is None:
            self.n_rows, self.fingerprint = n_rows, fingerprint
        elif n_rows < self.n_rows:
            self._changed(f"has {n_rows} rows")
        elif fingerprint != self.fingerprint:
            self._changed("has other rows, or in another order")

    def _checked(self):
        """Yield each batch of one pass, checked; in the caller's context, so with the caller's NumPy error settings."""
        context, is_first = self._context.copy(), self.n_passes == 1
        batches = context.run(lambda: iter(self._open()))
        try:
            while (batch := context.run(next, batches, END)) is not END:
                checked = context.run(self._check, batch, is_first)
                is_first &= checked is None
                yield checked
        finally:
            if isinstance(batches, Generator):  # which may hold a file
                context.run(batches.close)

    def _changed(self, how):
        raise ValueError(
            f"source must yield the same rows in every pass: the first has {self.n_rows} rows, "
            f"pass {self.n_passes} {how}."
        )


class BatchRows(Rows):
    """The rows of a source, with the sums of ``Rows``; ``skipped`` is a mask of rows that count for nothing."""

    X, has_columns = None, False  # not at hand

    def __init__(self, source, intercept=True, n_scores=1, centre=None, skipped=None):
        self.source, self.skipped = source, skipped
        self.constant, self.n_scores = float(intercept), n_scores
        self.n_rows, self.n_features, self.dtype = source.n_rows, len(source.centre), source.dtype
        self.centre = np.zeros_like(source.centre) if centre is None else centre
        self.total = source.total
        self._pool, self._n_threads = None, 1

    @property
    def smallest_weight(self):
        """Of the rows that have any."""
        return self.source.smallest_weight

    @property
    def largest_sample(self):
        """How many rows may be copied."""
        n_bytes = self.source.n_bytes + self.n_rows * self.dtype.itemsize  # a copy has the constant feature, too
        return max(1, SAMPLE_BYTES * self.n_rows // n_bytes)

    def fold(self, f, combine, *each, products=None):
        """Combine the tuples f(block, ...), entry by entry, over all blocks of all batches: one pass."""
        parts = (rows.fold(f, combine, *of_batch(rows, each), products=products) for rows in self._batches())
        return reduce(lambda left, right: tuple(map(combine, left, right)), parts)

    def each(self, f, *each):
        """What f(block, ...) gives for each of the block's rows: an array in memory, for one pass."""
        return np.concatenate([rows.each(f, *of_batch(rows, each)) for rows in self._batches()])

    def map(self, f, *each):
        """What f makes of ``each`` row's numbers alone: no pass."""
        return f(*each)

    def take(self, index):
        """A copy of the rows at ``index``, which is sorted: one pass."""
        parts = []
        for rows in self._batches():
            start, stop = np.searchsorted(index, [rows.first, rows.first + rows.n_rows])
            if start < stop:
                parts.append(rows.take(index[start:stop] - rows.first))
        return concatenated(parts)

    def without(self, rows):
        """The same rows, with a weight of 0 where the mask ``rows`` holds."""
        return self._like(self.centre, rows if self.skipped is None else rows | self.skipped)

    def centred(self):
        """The same rows, their features measured from about their means; as they are if they have no intercept."""
        if self.centre.any() or not self.constant:
            return self
        return self._like(self.source.centre, self.skipped)

    def stored(self):
        """The same rows, measured from 0 again."""
        return self._like(None, self.skipped)

    def _batches(self):
        """One pass over the batches, as ``Rows``."""
        for first, X, codes, weight in self.source.read():
            if self.skipped is not None:
                weight = np.where(self.skipped[first : first + len(weight)], 0, weight)
            rows = Rows(X, codes, weight, bool(self.constant), self.n_scores, self.centre, first)
            rows._pool, rows._n_threads = self._pool, self._n_threads
            yield rows

    def _like(self, centre, skipped):
        rows = BatchRows(self.source, bool(self.constant), self.n_scores, centre, skipped)
        rows._pool, rows._n_threads = self._pool, self._n_threads
        return rows


def of_batch(rows, each):
    """The batch's part of arrays with a row for each row of the source."""
    return [array[rows.first : rows.first + rows.n_rows] for array in each]


def weight_by_label(labels, y, weight):
    """The weight of each label's rows."""
    counted = weight > 0
    return np.bincount(np.searchsorted(labels, y[counted]), weight[counted], len(labels))


def printed(fingerprint, first, X, y, weight):
    """The fingerprint of some more rows: of all labels, of all weights, and of some rows' features.

    Which rows does not depend on where one batch ends and the next begins, so a source may cut its batches anew.
    """
    labels = y.tobytes() if y.dtype.kind in "biuf" else "".join(map(repr, y.tolist())).encode()
    some = X[-first % PRINTED_EVERY :: PRINTED_EVERY]
    features = np.ascontiguousarray(some.data if sp.issparse(some) else some)
    parts = labels, b"" if weight is None else weight.tobytes(), features.tobytes()
    return tuple(map(crc32, parts, fingerprint))
