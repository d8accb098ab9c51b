"""Labels as class codes."""

from contextlib import contextmanager

import numpy as np

__all__ = ["codes_of", "distinct", "distinct_in_pieces", "weight_by_label"]

PIECE = 2**16  # rows of y that are encoded at a time


def distinct(values, name="y"):
    """The distinct labels, sorted. np.unique takes ten times as long on few labels in many rows, because it hashes."""
    with _of_one_kind(values, name):
        values = np.sort(values)
    new = np.ones(len(values), dtype=bool)
    new[1:] = values[1:] != values[:-1]
    return values[new]


def distinct_in_pieces(values):
    """The same of many rows: sorting a piece at a time spares a sorted copy of all."""
    return distinct(np.concatenate([distinct(values[piece]) for piece in _pieces(values)]))


def codes_of(classes, y):
    """Each row's class as a code from 0, of sorted classes that are known."""
    codes = np.zeros(len(y), dtype=np.min_scalar_type(len(classes)))
    with _of_one_kind(y, "y"):  # a row without weight may have any label
        for piece in _pieces(y):
            for label in classes[1:]:
                codes[piece] += y[piece] >= label
    return codes


def weight_by_label(labels, y, weight):
    """The weight of each label's rows."""
    counted = weight > 0
    return np.bincount(np.searchsorted(labels, y[counted]), weight[counted], len(labels))


def _pieces(y):
    return [slice(start, start + PIECE) for start in range(0, len(y), PIECE)]


@contextmanager
def _of_one_kind(values, name):
    """Turn the TypeError of labels that cannot be compared into a ValueError that shows one label of each type."""
    try:
        yield
    except TypeError:
        some = [*{type(value): value for value in reversed(values.tolist())}.values()]
        raise ValueError(
            f"Unknown label type: {name} must hold strings only or numbers only, none of them missing; it holds {some}."
        ) from None
