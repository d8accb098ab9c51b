"""What a fit must know about all rows before it starts, if rows come in batches or lie in partitions.

Each batch or partition makes a ``Survey`` of its rows. Surveys add up, in any grouping. The sum gives the ``Facts`` of
all rows, which also encode the rows of a batch as a fit takes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from .labels import Columns, codes_of, factorize, joined, totals_of
from .memory import SAMPLE_BYTES, aligned, rows_of
from .overflow import largest, overflow_named
from .units import measured_in, unit_of

__all__ = ["Facts", "Survey"]


class Facts(NamedTuple):
    """Facts of all rows.

    The number of rows, and of rows with a positive weight; the bytes of X, its type, and whether a batch is dense; the
    features' units, their centres in these units, and which features have no zero; the largest |x|; the number of
    columns of the offset, 0 without one; the columns of the classes; the weight of the rows of each class, and the
    smallest positive weight of a row, both with the factors of the classes.
    """

    n_rows: int
    n_counted: int
    n_bytes: int
    dtype: np.dtype
    has_dense: bool
    unit: np.ndarray | float
    centre: np.ndarray
    without_zeros: np.ndarray
    largest: float
    offset_width: int
    columns: Columns
    totals: np.ndarray
    smallest_weight: float

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return float(self.totals.sum())

    @property
    def work(self) -> int:
        """About how many multiplications a product of all rows with one column takes, without the time to read them."""
        return self.n_bytes // self.dtype.itemsize

    @property
    def largest_sample(self) -> int:
        """How many rows may be copied; a copy has the constant feature, too."""
        return max(1, SAMPLE_BYTES * self.n_rows // (self.n_bytes + self.n_rows * self.dtype.itemsize))

    def encoded(self, X, y, weight, offset):
        """Rows as a fit takes them: X in its common type and units, columns for labels, weights with class factors.

        If some batches are CSR and others dense, all are made dense.
        """
        if self.has_dense and sp.issparse(X):
            X = X.toarray()
        columns, weight = self.columns.place(codes_of(self.columns.classes, y), weight)
        offset = None if offset is None else self.columns.narrow(offset)
        X = measured_in(X.astype(self.dtype, copy=False), self.unit)
        X = X if sp.issparse(X) else aligned(X)
        return X, columns, aligned(weight), None if offset is None else aligned(offset)


@dataclass(frozen=True, eq=False)
class Survey:
    """The survey of at least one row."""

    n_rows: int
    n_counted: int
    n_bytes: int
    dtypes: frozenset[np.dtype]
    has_dense: bool
    sizes: np.ndarray | float
    centre: np.ndarray
    without_zeros: np.ndarray
    largest: float
    offset_width: int
    labels: np.ndarray
    totals: dict[Any, float]
    smallest_weight: float

    @classmethod
    def of(cls, X, y, weight, offset, check_labels: Callable[[np.ndarray], None]) -> "Survey":
        """The survey of given rows; ``check_labels`` raises an error for distinct labels that are not valid."""
        weight = np.ones(len(y)) if weight is None else weight
        labels, codes = factorize(y)
        check_labels(labels)
        totals = dict(zip(labels.tolist(), totals_of(codes, weight, len(labels)), strict=True))
        with overflow_named(X):
            rows = rows_of(X, y, weight)
            sizes, measured, without_zeros = rows.sizes, rows.centred(), rows.block.without_zeros()
        width = 0 if offset is None else offset.shape[1]
        has_dense, dtypes = isinstance(X, np.ndarray), frozenset({X.dtype})
        kinds = len(y), rows.n_counted, rows.n_bytes, dtypes, has_dense
        centre = measured.centre * measured.unit
        return cls(*kinds, sizes, centre, without_zeros, largest(X), width, labels, totals, rows.smallest_weight)

    def __add__(self, other: "Survey") -> "Survey":
        """The survey of both sets of rows; the centre of a constant feature is exactly its value."""
        if self.offset_width != other.offset_width:
            raise ValueError(
                "An offset must be given for all rows, with the same number of columns, or for no row; some rows have "
                f"{self.offset_width} columns of the offset, others {other.offset_width}."
            )
        labels = self.labels.tolist() + other.labels.tolist()
        return Survey(
            self.n_rows + other.n_rows,
            self.n_counted + other.n_counted,
            self.n_bytes + other.n_bytes,
            self.dtypes | other.dtypes,
            self.has_dense | other.has_dense,
            np.maximum(self.sizes, other.sizes),
            self._centre_with(other),
            self.without_zeros & other.without_zeros,
            max(self.largest, other.largest),
            self.offset_width,
            joined(self.labels, other.labels),
            {label: self.totals.get(label, 0.0) + other.totals.get(label, 0.0) for label in labels},
            min(self.smallest_weight, other.smallest_weight),
        )

    def _centre_with(self, other: "Survey") -> np.ndarray:
        """The mean of both centres, weighted; rows of weight 0 do not count."""
        ours, theirs = (sum(survey.totals.values()) for survey in (self, other))
        if not ours:
            return other.centre
        return self.centre + (other.centre - self.centre) * (theirs / (ours + theirs))

    def facts(self, classes: np.ndarray | None, columns_of: Callable[[np.ndarray, np.ndarray], Columns]) -> Facts:
        """The facts of all rows, if this survey is of all rows.

        ``classes`` are all labels, if the user has named them. ``columns_of(labels, totals)`` makes their Columns from
        all labels and the weight of each label's rows.
        """
        if classes is not None and not np.array_equal(self.labels, classes):
            raise ValueError(f"classes={classes!r} must all have rows; only {self.labels!r} have.")
        totals = np.array([self.totals[label] for label in self.labels.tolist()])
        columns, dtype = columns_of(self.labels, totals), np.result_type(*self.dtypes)
        unit = unit_of(self.sizes, dtype)
        return Facts(
            self.n_rows,
            self.n_counted,
            self.n_bytes,
            dtype,
            self.has_dense,
            unit,
            (self.centre / unit).astype(dtype),
            self.without_zeros,
            self.largest,
            self.offset_width,
            columns,
            np.array([self.totals.get(label, 0.0) for label in columns.classes.tolist()]) * columns.factors,
            self.smallest_weight * columns.factors.min(where=columns.factors > 0, initial=np.inf),
        )
