"""Labels as class codes, and the classes that have a column of theta.

y is gone over in pieces, which spares copies of all of it.
"""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

__all__ = ["Columns", "codes_of", "distinct", "factorize", "joined", "strangers", "totals_of"]

PIECE = 2**16  # rows of y that are encoded at a time
NUMBERS = "biuf"  # kinds of dtype
NEVER = -1e30  # a score with the probability 0, in float32, too


class Columns(NamedTuple):
    """The classes, which of them have a column of theta, and the factors of the weights of each class's rows.

    Every class has a column, unless there is an intercept and the class has no weight. The minimum of J is then a
    limit: the coefficients of that class are 0, its intercept goes to -inf, and the other classes have the minimum that
    they have without this class.
    """

    classes: np.ndarray
    used: np.ndarray
    factors: np.ndarray

    @classmethod
    def of(cls, classes: np.ndarray, totals: np.ndarray, factors=1.0, intercept: bool = True) -> "Columns":
        """The columns of classes whose rows have these weights in total, before the factors."""
        if len(classes) < 2:
            raise ValueError(f"y must hold at least two classes; got one class: {classes!r}.")
        factors = np.broadcast_to(factors, len(classes))
        weighted = totals * factors > 0
        if np.count_nonzero(weighted) < 2:
            raise ValueError(
                "y must hold at least two classes with a positive weight, sample_weight times class_weight; "
                f"got one class: {classes[weighted]!r}."
            )
        return cls(classes, weighted | (not intercept), factors)

    @property
    def n_used(self) -> int:
        """How many classes have a column."""
        return int(np.count_nonzero(self.used))

    def place(self, codes: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The column of each row, from the code of its class; its weight (None: 1) times the factor of its class."""
        weight = np.broadcast_to(1.0, len(codes)) if weight is None else weight
        if (self.factors != 1).any():
            weight = weight * self.factors[codes]
        if not self.used.all():  # a row without weight may have any column
            codes = np.maximum(np.cumsum(self.used) - 1, 0).astype(codes.dtype)[codes]
        return codes, weight

    def narrow(self, theta: np.ndarray) -> np.ndarray:
        """A theta of the used columns, from one of all classes."""
        return theta if self.used.all() else theta[:, self.used]

    def widen(self, theta: np.ndarray) -> np.ndarray:
        """A theta of all classes, from one of the used columns."""
        if self.used.all():
            return theta
        whole = np.zeros((len(theta), len(self.used)), theta.dtype)
        whole[-1] = NEVER
        whole[:, self.used] = theta
        return whole


def factorize(y, name="y"):
    """The distinct labels, sorted, and each row's as a code from 0."""
    with _of_one_kind(y, name):
        parts = [_factorize_piece(y[piece]) for piece in _pieces(y)]
        if len(parts) == 1:
            return parts[0]
        classes, _ = _factorize_piece(np.concatenate([labels for labels, _ in parts]))
    return classes, np.concatenate([codes_of(classes, labels)[codes] for labels, codes in parts])


def distinct(y, name="y"):
    """The distinct labels, sorted."""
    return factorize(y, name)[0]


def codes_of(classes, y):
    """Each row's class as a code from 0, for known classes; any code for a label that is not a known class."""
    known, codes = _code_of(classes.tolist()), np.empty(len(y), np.min_scalar_type(len(classes)))
    for piece in _pieces(y):
        labels, index = _factorize_piece(y[piece])
        codes[piece] = np.array([known.get(label, 0) for label in labels.tolist()], codes.dtype)[index]
    return codes


def strangers(classes, y, name="y"):
    """The distinct labels that are not among the classes."""
    found, known = distinct(y, name), set(classes.tolist())
    return found[np.array([label not in known for label in found.tolist()], dtype=bool)]


def joined(some, others):
    """The distinct labels of two arrays. Numbers and strings together are an error; NumPy would make them strings."""
    numbers = [labels.dtype.kind in NUMBERS for labels in (some, others)]
    return distinct(np.concatenate([some, others], dtype=object if any(numbers) > all(numbers) else None))


def totals_of(codes, weight, n_classes):
    """The sum of the weights of each class's rows; a weight of None is 1 for all rows."""
    if weight is None and n_classes == 2:  # the usual case, which bincount takes ten times as long to count
        ones = np.count_nonzero(codes)
        return np.array([len(codes) - ones, ones], dtype=float)
    weight = np.broadcast_to(1.0, len(codes)) if weight is None else weight
    return sum(np.bincount(codes[piece], weight[piece], n_classes) for piece in _pieces(codes))


def _factorize_piece(y):
    """``factorize`` for a few rows. Objects are hashed, because sorting takes ten times as long."""
    if len(y) and y.dtype.kind in NUMBERS:
        least, largest = y.min(), y.max()
        is_largest = y == largest
        if (is_largest | (y == least)).all():  # one label or two, the usual cases, need no sorting
            some = [least, largest] if least < largest else [largest]
            return np.array(some), (is_largest & (least < largest)).view(np.uint8)
    if y.dtype.kind in NUMBERS + "SU":
        labels, codes = np.unique(y, return_inverse=True)
    else:
        rows = y.tolist()
        labels = sorted(set(rows))
        if labels == [None]:
            raise TypeError("a single None is compared with nothing")
        codes = np.fromiter(map(_code_of(labels).get, rows), np.intp, len(rows))
        labels = np.array(labels, dtype=y.dtype)
    return labels, codes.astype(np.min_scalar_type(len(labels)))


def _code_of(classes):
    """The code of each class. 1, 1.0 and True are the same key, so the dtype of a row's label does not matter."""
    return dict(zip(classes, range(len(classes)), strict=True))


def _pieces(y):
    """Slices that cover all rows; one slice where there are no rows."""
    return [slice(start, start + PIECE) for start in range(0, len(y) or 1, PIECE)]


@contextmanager
def _of_one_kind(values, name):
    """Turn the TypeError of labels that cannot be compared into a ValueError that shows one label of each type."""
    try:
        yield
    except TypeError:
        examples = [*{type(value): value for value in reversed(values.tolist())}.values()]
        raise ValueError(
            f"Unknown label type: {name} must hold strings only or numbers only, none of them missing; it holds "
            f"{examples}."
        ) from None
