"""Rows that do not fit in memory: every pass over the rows reads them anew, batch by batch.

``Source`` reads the batches. A first pass, the survey, finds what a fit must know beforehand: the number of rows, their
classes, and their fingerprint, which must be the same in every later pass. ``BatchRows`` is a ``Rows`` whose sums go
over one batch after another, so objective, descent and duality gap work as on any other rows.

Between batches, only sums and the rows of a sample are kept: 40 MB at most. A fit of more than 1,500 parameters also
keeps a few numbers for each score of each row.
"""

from collections.abc import Generator
from contextvars import copy_context
from functools import reduce
from operator import add
from zlib import crc32

import numpy as np
import scipy.sparse as sp

from . import layout as _layout
from .blocks import spans
from .labels import Columns
from .memory import concatenated, rows_of
from .rows import Rows
from .survey import Survey
from .threads import Cores

__all__ = ["BatchRows", "Source"]

FINGERPRINT_EVERY = 1000  # rows, whose features go into the fingerprint
END = object()  # of the batches


def accepted(labels):
    """No check."""


class Source:
    """Batches (X, y, weight) that can be read more than once.

    Parameters
    ----------
    batches : iterable that can be iterated again, or function that returns an iterator.
    check : function of a batch and of whether the batch is the first one with rows. It returns X, y, weight (or None)
        and perhaps an offset (or None) as arrays; it returns None for a batch without rows, or raises an error.
    classes : ndarray of all labels, or None if the survey is to find the labels.
    check_labels : function of the distinct labels of a batch, which raises an error for invalid labels.
    columns_of : function of all labels and the weight of the rows of each, which gives their ``Columns``.
    """

    def __init__(self, batches, check, classes=None, check_labels=accepted, columns_of=Columns.of):
        self._open = batches if callable(batches) else batches.__iter__
        self._check, self._context = check, copy_context()
        self.n_passes, self.n_rows, self.fingerprint = 0, None, None
        self.facts = self._survey(classes, check_labels, columns_of)

    def read(self):
        """One pass: yield each batch's first row number, X, columns, weight with that of the class, and offset."""
        for first, *batch in self._read():
            yield first, *self.facts.encoded(*batch)

    def _survey(self, classes, check_labels, columns_of):
        """The facts of the rows, by the first pass."""
        found = None
        for _, *batch in self._read():
            survey = Survey.of(*batch, check_labels)
            found = survey if found is None else found + survey
        if found is None:
            raise ValueError("source must yield at least one batch with rows; it yielded none.")
        return found.facts(classes, columns_of)

    def _read(self):
        """One pass over the checked batches, each with the number of its first row.

        An error gets a note with the pass and the batch.
        """
        self.n_passes += 1
        n_rows, number, fingerprint = 0, 1, (0, 0, 0, 0)
        try:
            for checked in self._checked():
                if checked is not None:
                    X, y, weight, offset = (*checked, None)[:4]
                    if self.n_rows is not None and n_rows + len(y) > self.n_rows:
                        self._changed(f"has more than {self.n_rows} rows")
                    yield n_rows, X, y, weight, offset
                    fingerprint = printed(fingerprint, n_rows, X, y, weight, offset)
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
        """Yield each batch of one pass, checked.

        User code runs in the context of the caller, and so with the caller's NumPy error settings.
        """
        context, is_first = self._context.copy(), self.n_passes == 1
        batches = context.run(lambda: iter(self._open()))
        try:
            while (batch := context.run(next, batches, END)) is not END:
                checked = context.run(self._check, batch, is_first)
                is_first &= checked is None
                yield checked
        finally:
            if isinstance(batches, Generator):  # a generator may hold an open file
                context.run(batches.close)

    def _changed(self, how):
        raise ValueError(
            f"source must yield the same rows in every pass: the first has {self.n_rows} rows, "
            f"pass {self.n_passes} {how}."
        )


class BatchRows(Rows):
    """The rows of a source; ``skipped`` is a mask of rows whose weight is taken as 0."""

    def __init__(self, source, intercept=True, n_scores=1, centre=None, skipped=None, layout=None, cores=None):
        self.source, self.skipped, self.cores = source, skipped, cores or Cores()
        self.layout = layout or _layout.LAYOUT
        self.constant, self.n_scores = float(intercept), n_scores
        facts = source.facts
        self.n_rows, self.n_features, self.dtype = facts.n_rows, len(facts.centre), facts.dtype
        self.centre, self.unit = np.zeros_like(facts.centre) if centre is None else centre, facts.unit
        self.total, self.has_offset = facts.total, facts.offset_width > 0

    @property
    def smallest_weight(self):
        """The smallest positive weight of a row."""
        return self.source.facts.smallest_weight

    @property
    def n_counted(self):
        """How many rows have a positive weight."""
        return self.source.facts.n_counted

    @property
    def largest_sample(self):
        """How many rows may be copied."""
        return self.source.facts.largest_sample

    @property
    def work(self):
        """About how many multiplications a product with one column takes."""
        return self.source.facts.work

    def fold(self, f, combine, *each, products=None):
        """Combine the tuples f(block, ...), entry by entry, over all blocks of all batches: one pass."""

        def pair(left, right):
            return tuple(map(combine, left, right))

        return reduce(pair, (rows.fold(f, combine, *parts, products=products) for _, rows, *parts in self._with(each)))

    def each(self, f, *each):
        """The values of f(block, ...) for each of the block's rows: an array in memory, by one pass."""
        return self._array((span, rows.each(f, *parts)) for span, rows, *parts in self._with(each))

    def map(self, f, *each):
        """The values of f of arrays with an entry for each row, without the rows themselves: no pass."""
        return self._array(self._pieces(f, each))

    def sum_known(self, f, *each):
        """Sum the tuples f(...) of arrays with an entry for each row, without the rows themselves: no pass."""
        return reduce(added, (values for _, values in self._pieces(f, each)))

    def take(self, index):
        """A copy of the rows at ``index``, which is sorted: one pass."""
        parts = []
        for span, rows in self._with():
            start, stop = np.searchsorted(index, [span.start, span.stop])
            if start < stop:
                parts.append(rows.take(index[start:stop] - span.start))
        return concatenated(parts)

    def without(self, mask):
        """The same rows, with a weight of 0 where the mask holds."""
        return self._like(self.centre, mask if self.skipped is None else mask | self.skipped)

    def centred(self, nearer=False):
        """The same rows, with their features measured from about their means; unchanged without an intercept."""
        if self.centre.any() or not self.constant:
            return self
        return self._like(self.source.facts.centre, self.skipped)

    def for_scores(self, n_scores):
        """The same rows, cut into blocks that are best for ``n_scores`` scores a row."""
        return BatchRows(self.source, bool(self.constant), n_scores, self.centre, self.skipped, self.layout, self.cores)

    def stored(self):
        """The same rows, with CSR features that have zeros measured from 0."""
        return self._like(np.where(self.source.facts.without_zeros, self.centre, 0), self.skipped)

    def _pieces(self, f, each):
        """Yield the slice of a few rows at a time, and the values of f of the arrays' entries for these rows."""
        pieces = spans(self.n_rows, self.n_rows * self.n_scores // self.layout.block_scores)
        return ((span, f(*(array[span] for array in each))) for span in pieces)

    def _with(self, each=()):
        """One pass over the batches: yield each batch's slice, its rows as MemoryRows, and its part of each array."""
        for first, X, codes, weight, offset in self.source.read():
            span = slice(first, first + len(codes))
            if self.skipped is not None:
                weight = np.where(self.skipped[span], 0, weight)
            how = {"centre": self.centre, "first": first, "layout": self.layout, "cores": self.cores}
            how["offset"] = offset
            rows = rows_of(X, codes, weight, bool(self.constant), self.n_scores, **how)
            yield span, rows, *(array[span] for array in each)

    def _array(self, parts):
        """The array whose rows are those of parts (which rows, their values), as they come."""
        array = None
        for span, values in parts:
            if array is None:
                array = np.empty((self.n_rows, *values.shape[1:]), values.dtype)
            array[span] = values
        return array

    def _like(self, centre, skipped):
        return BatchRows(self.source, bool(self.constant), self.n_scores, centre, skipped, self.layout, self.cores)


def printed(fingerprint, first, X, y, weight, offset=None):
    """The fingerprint of some more rows: of all labels, weights and offsets, and of some rows' features.

    Which rows does not depend on where one batch ends and the next begins, so a source may cut its batches anew.
    """
    labels = y.tobytes() if y.dtype.kind in "biuf" else "".join(map(repr, y.tolist())).encode()
    some = X[-first % FINGERPRINT_EVERY :: FINGERPRINT_EVERY]
    features = np.ascontiguousarray(some.data if sp.issparse(some) else some)
    weight, offset = (b"" if array is None else array.tobytes() for array in (weight, offset))
    parts = labels, weight, features.tobytes(), offset
    return tuple(map(crc32, parts, fingerprint))


def added(left, right):
    """The sum of two tuples, entry by entry."""
    return tuple(map(add, left, right))
