"""The rows of an inference, in memory or on a cluster, and the problem of a fitted model on these rows."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from ..backprop import loss_of
from ..data.labels import totals_of
from ..data.on_dask import fetched, meta_of, parts_of
from ..data.overflow import overflow_named
from ..data.part_rows import PartRows
from ..data.parts import surveyed
from ..penalty import ElasticNet
from ..problem import Problem
from .by_feature import penalty_factors
from .collection import check_rows, facts_of
from .lazy import bare
from .offset import check_width, offset_of_prediction, scores_of
from .validation import check_labels, check_weight, codes_among, columns_of

__all__ = ["Counted", "counted_in_memory", "counted_on_parts"]


class Counted(NamedTuple):
    """The rows of an inference.

    ``numbers`` are numbers of X for the message of an overflow. ``group`` has the group of each row as a number, or is
    None; ``n_groups`` counts the groups that have a row with a positive weight.
    """

    problem: Problem
    numbers: Any
    group: Any
    n_groups: int


def columns_for(model, labels, totals):
    """The columns of a model's classes; each class must have a label whose rows have a positive total weight."""
    known = dict(zip(labels.tolist(), totals.tolist(), strict=True))
    totals = np.array([known.get(label, 0.0) for label in model.classes_.tolist()])
    columns = columns_of(model.class_weight, model.fit_intercept, model.classes_, totals)
    if not columns.used.all():
        raise ValueError(
            f"y must hold rows with a positive weight of each class; {model.classes_[~columns.used]!r} has none."
        )
    return columns


def counted_in_memory(found, X, y, sample_weight, offset, groups):
    """The rows of arrays."""
    model = found.model
    X, y = validate_data(model, found.transform(X), y, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
    codes, weight = codes_among(model.classes_, y), check_weight(sample_weight, X)
    columns = columns_for(model, model.classes_, totals_of(codes, weight, len(model.classes_)))
    codes, weight = columns.place(codes, weight)
    offset = offset_of_prediction(model, offset, X, scores_of(model.classes_))
    with overflow_named(X):
        terms = {"C": model.C, "l1_ratio": model.l1_ratio, "intercept": model.fit_intercept}
        terms |= {"factors": penalty_factors(model), "offset": offset}
        problem = Problem.of(X, codes, weight, len(model.classes_), **terms)
    return Counted(problem, X, *numbered(groups, weight))


def counted_on_parts(found, X, y, sample_weight, offset, groups):
    """The rows of a Dask collection."""
    if found.transformers:
        raise TypeError(
            "inference of a Pipeline takes rows in memory; transform the collection, and ask the model itself."
        )
    parts = parts_of({"X": X, "y": y, "sample_weight": sample_weight, "offset": offset})
    validate_data(found.model, meta_of(X, parts), skip_check_array=True, reset=False)
    return counted_of(found.model, parts, None if groups is None else fetched(groups, parts.client))


def counted_of(model, parts, groups=None):
    """The rows of Parts of Given; ``groups`` is an array in memory, or None."""
    check, known = partial(check_rows, bare(model)), partial(check_labels, model.classes_)
    held = surveyed(parts, check, known, partial(facts_of, partial(columns_for, model)))
    k = scores_of(model.classes_)
    if held.facts.offset_width:
        check_width(held.facts.offset_width, k)
    else:
        offset_of_prediction(model, None, None, k)
    rows = PartRows(held, model.fit_intercept, k)
    penalty = ElasticNet.of(model.C, model.l1_ratio, rows.total, penalty_factors(model))
    problem = Problem(rows, loss_of(len(model.classes_)), penalty)
    return Counted(problem, np.array([held.facts.largest], held.facts.dtype), *numbered_on_parts(groups, rows))


def numbered(groups, weight):
    """The group of each row as a number, and how many groups have a row with a positive weight.

    Without groups: None and 0.
    """
    if groups is None:
        return None, 0
    groups = column_or_1d(groups)
    check_consistent_length(weight, groups)
    group = np.unique(groups, return_inverse=True)[1]
    return group, len(np.unique(group[weight > 0]))


def numbered_on_parts(groups, rows):
    """``numbered`` for rows on a cluster; the groups, an array in memory, are sent to the rows."""
    if groups is None:
        return None, 0
    groups = column_or_1d(groups)
    check_consistent_length(range(rows.n_rows), groups)
    group = rows.placed(np.unique(groups, return_inverse=True)[1])
    (seen,) = rows.fold(groups_with_weight, np.union1d, group)
    return group, len(seen)


def groups_with_weight(block, group):
    """The groups that have a row with a positive weight."""
    return (np.unique(group[block.weight > 0]),)
