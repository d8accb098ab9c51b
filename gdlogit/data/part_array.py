"""Arrays with an entry for each row, which lie where the rows are."""

from functools import partial
from itertools import pairwise
from operator import add, mul

import numpy as np

__all__ = ["PartArray", "places"]


class PartArray:
    """An array with an entry for each row, which lies where the rows are.

    Sums and multiples of the array lie there, too, and so do its columns, ``[:, columns]``. ``[index]`` fetches some
    entries, and ``np.asarray`` fetches all. The array has a ``shape`` if the number of columns is given.
    """

    __array_ufunc__ = None  # so that NumPy's numbers leave + and * to this class

    def __init__(self, parts, firsts, n_columns=None):
        self.parts, self.firsts = parts, firsts
        if n_columns is not None:
            self.shape = int(firsts[-1]), n_columns

    def map(self, f, *others):
        """The values of f of this array and others, part by part."""
        return PartArray(self.parts.map(f, *(other.parts for other in others)), self.firsts)

    def __add__(self, other):
        """The sum with another."""
        return self.map(add, other)

    def __mul__(self, factor):
        """A multiple, or the product with another."""
        return self.map(mul, factor) if isinstance(factor, PartArray) else self.map(partial(mul, factor))

    __rmul__ = __mul__

    def __getitem__(self, index):
        """Some columns, which are not fetched; or the entries at ``index``, which is sorted: fetched."""
        if isinstance(index, tuple):
            n_columns = None if np.ndim(index[1]) == 0 else len(index[1])
            return PartArray(self.parts.map(partial(some_columns, index)), self.firsts, n_columns)
        return np.concatenate(self.parts.among(some_of, places(self.firsts, index)))

    def __array__(self, dtype=None, copy=None):
        """All of it: fetched."""
        whole = np.concatenate(self.parts.among(some_of, dict.fromkeys(range(len(self.parts)), slice(None))))
        return whole if dtype is None else whole.astype(dtype)

    def sum(self):
        """The sum of all numbers: fetched."""
        return self.parts.reduce(sum_of, add)[0]

    def max(self):
        """The largest of all numbers: fetched."""
        return self.parts.reduce(largest_of, max)[0]


def places(firsts, index):
    """For sorted row numbers, the parts that have these rows, and the rows' numbers within each part."""
    ends = np.searchsorted(index, firsts)
    spans = enumerate(pairwise(ends.tolist()))
    return {part: index[start:stop] - firsts[part] for part, (start, stop) in spans if start < stop}


def some_columns(index, array):
    """Some columns of an array."""
    return array[index]


def some_of(array, index):
    """Some rows of an array."""
    return array[index]


def largest_of(array):
    """The largest number of an array."""
    return (array.max(),)


def sum_of(array):
    """The sum of an array."""
    return (array.sum(dtype=float),)
