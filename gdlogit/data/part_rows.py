"""Rows that lie in partitions: a pass sends a function to the partitions, and fetches a sum.

``PartRows`` is a ``Rows`` over the Parts of an engine, so objective, descent and duality gap work as on any other rows.
A pickled function with theta, the centre and the loss goes to the parts. A sum of theta's size comes back, or the rows
of a sample, 40 MB at most. Arrays with an entry for each row stay where the row is: see ``PartArray``.
"""

from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from operator import add
from typing import NamedTuple

import numpy as np

from .exact_sum import ExactSum
from .memory import MemoryRows, concatenated
from .overflow import overflow_as_here
from .part_array import PartArray, places
from .parts import Measure, noted
from .rows import Rows, keys_of
from .threads import Cores

__all__ = ["PartRows"]

ELSEWHERE = {"call": "raise", "log": "warn"}  # NumPy's error settings on another machine, which cannot call this one


class PartRows(Rows):
    """The rows of partitions; ``share`` is a PartArray that multiplies the weight of each row, or None."""

    def __init__(self, held, intercept=True, n_scores=1, centre=None, share=None, weights=None, cores=None):
        self.held, self.share, self.cores = held, share, cores or Cores()
        self.constant, self.n_scores, facts = float(intercept), n_scores, held.facts
        self.n_rows, self.n_features, self.dtype = facts.n_rows, len(facts.centre), facts.dtype
        self.centre, self.unit = np.zeros_like(facts.centre) if centre is None else centre, facts.unit
        self.weights = weights or (facts.total, facts.n_counted, facts.smallest_weight)
        self.total, self.n_counted, self.smallest_weight = self.weights
        self.has_offset = facts.offset_width > 0

    @property
    def largest_sample(self):
        """How many rows may be copied."""
        return self.held.facts.largest_sample

    @property
    def work(self):
        """About how many multiplications a product with one column takes."""
        return self.held.facts.work

    def fold(self, f, combine, *each, products=None):
        """Combine the tuples f(block, ...), entry by entry, over all blocks of all parts: one pass."""
        self.held.n_passes += 1
        found = self._fetched("reduce", partial(folded, self._asked, f, combine), combine, *self._arrays(each))
        return tuple(entry.value() if isinstance(entry, ExactSum) else entry for entry in found)

    def each(self, f, *each):
        """The values of f(block, ...) for each of the block's rows: a PartArray."""
        self.held.n_passes += 1
        return self._array(partial(each_row, self._asked, f), *self._arrays(each))

    def map(self, f, *each):
        """The values of f of arrays with an entry for each row: a PartArray."""
        first, *others = each
        return first.map(f, *others)

    def sum_known(self, f, *each):
        """Sum the tuples that f makes of what is known of ``each`` row: fetched."""
        first, *others = (array.parts for array in each)
        return first.reduce(f, add, *others)

    def repeated(self, values):
        """The same values, of shape (1, k), for each row: a PartArray."""
        return self._array(partial(repeated, values.astype(self.dtype)))

    def take(self, index):
        """A copy of the rows at ``index``, which is sorted: fetched."""
        self.held.n_passes += 1
        asked = self._asked._replace(has_shares=False)
        rows = concatenated(self._fetched("among", partial(taken, asked), places(self.held.firsts, index)))
        rows = MemoryRows(rows.block, self.n_scores, self.cores)
        return rows if self.share is None else rows.reweighted(self.share[index])

    def groups(self, shares, most):
        """The group of each row, and the shares of each group, found part by part and then together."""
        keys = shares.map(keys_of)
        (found,) = keys.parts.reduce(distinct_shares, merged, shares.parts)
        if len(found) > most:
            return None
        known = np.array(sorted(found), np.uint64)
        return keys.map(partial(np.searchsorted, known)), np.stack([found[key] for key in known.tolist()])

    def of_parts(self, f, n_columns=None):
        """The values of f(number, y) for each row, from the number and the class codes of its part: a PartArray."""
        return PartArray(self.held.parts.map(partial(of_labels, f)), self.held.firsts, n_columns)

    def placed(self, array):
        """A local array with an entry for each row, sent to where the rows are: a PartArray."""
        pieces = [array[start:stop] for start, stop in pairwise(self.held.firsts.tolist())]
        n_columns = array.shape[1] if array.ndim > 1 else None
        return PartArray(self.held.parts.scatter(pieces), self.held.firsts, n_columns)

    def without(self, mask):
        """The same rows, with a weight of 0 where the mask holds."""
        return self._like(self.centre, self._share_with(mask.map(np.logical_not)))

    def reweighted(self, share):
        """The same rows, the weight of each multiplied by its share, a PartArray."""
        rows = self._like(self.centre, self._share_with(share))
        weights = *rows.sum(weight_and_number), *rows.fold(smallest_weight, min)
        return PartRows(self.held, bool(self.constant), self.n_scores, self.centre, rows.share, weights, self.cores)

    def centred(self, nearer=False):
        """The same rows, their features measured from about their means; as they are if they have no intercept."""
        if self.centre.any() or not self.constant:
            return self
        return self._like(self.held.facts.centre, self.share)

    def for_scores(self, n_scores):
        """The same rows, cut into blocks that are best for so many scores a row."""
        return self._like(self.centre, self.share, n_scores)

    def stored(self):
        """The same rows, those in CSR measured from their centre only where they have no zero."""
        return self._like(np.where(self.held.facts.without_zeros, self.centre, 0), self.share)

    def _share_with(self, share):
        return share if self.share is None else self.share * share

    def _like(self, centre, share, n_scores=None):
        settings = bool(self.constant), n_scores or self.n_scores, centre, share, self.weights, self.cores
        return PartRows(self.held, *settings)

    @property
    def _asked(self):
        """The settings with which functions run on a part: NumPy's are those of the caller."""
        centre = self.centre if self.centre.any() else None
        here = {name: ELSEWHERE.get(how, how) for name, how in np.geterr().items()}
        return Asked(Measure(bool(self.constant), self.n_scores, centre), self.share is not None, here)

    def _arrays(self, each):
        """The Parts of arrays with a row for each row, the shares first."""
        return [array.parts for array in ([] if self.share is None else [self.share]) + list(each)]

    def _array(self, f, *arrays):
        return PartArray(self.held.parts.map(f, *arrays), self.held.firsts)

    def _fetched(self, verb, *arguments):
        """The result of a method of the parts. An overflow on a part is handled by NumPy's settings of the caller."""
        try:
            return getattr(self.held.parts, verb)(*arguments)
        except FloatingPointError:
            overflow_as_here()
            raise


# --- What runs where a part lies --------------------------------------------------------------------------------------


class Asked(NamedTuple):
    """The settings of a function on a part: the measure of the rows, whether there are shares, NumPy's settings."""

    measure: Measure
    has_shares: bool
    errors: dict[str, str]

    @contextmanager
    def of(self, part, arrays):
        """A context with these settings: the rows of a part, and the arrays for the function."""
        share, arrays = (arrays[0], arrays[1:]) if self.has_shares else (None, arrays)
        with noted(part.number), np.errstate(**self.errors):
            yield part.rows(self.measure, share), arrays


def folded(asked, f, combine, part, *arrays):
    """The tuples f(block, ...) of a part's rows, combined; sums are ExactSums, to be added to those of other parts."""
    with asked.of(part, arrays) as (rows, each):
        found = rows.fold(f, combine, *each)
    return tuple(map(ExactSum.of, found)) if combine is add else found


def each_row(asked, f, part, *arrays):
    """The values of f(block, ...) for each of a part's rows."""
    with asked.of(part, arrays) as (rows, each):
        return rows.each(f, *each)


def taken(asked, part, index):
    """A copy of some of a part's rows."""
    with asked.of(part, ()) as (rows, _):
        return rows.take(index)


def of_labels(f, part):
    """The value of f of a part's number and class codes."""
    return f(part.number, part.y)


def distinct_shares(keys, shares):
    """The distinct shares, by their keys."""
    some, first = np.unique(keys, return_index=True)
    return (dict(zip(some.tolist(), shares[first], strict=True)),)


def merged(left, right):
    """Two dicts in one."""
    return left | right


def repeated(values, part):
    """The same values for each of a part's rows."""
    return np.repeat(values, len(part), axis=0)


def weight_and_number(block):
    """The sum of the weights, and how many rows have one."""
    return float(block.weight.sum()), int(np.count_nonzero(block.weight))


def smallest_weight(block):
    """The smallest positive weight of the rows."""
    return (float(np.min(block.weight, where=block.weight > 0, initial=np.inf)),)
