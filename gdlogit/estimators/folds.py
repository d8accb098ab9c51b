"""The folds of a cross-validation, as weightings of the rows; and the problem and the folds of rows in memory."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv
from sklearn.utils.validation import validate_data

from ..data.overflow import overflow_named
from ..problem import Problem
from .by_feature import penalty_factors
from .held_out import LOG_LOSS, Rows
from .limits import limits
from .offset import check_offset, scores_of
from .validation import check_finite, check_weight, encode, require_all_classes

__all__ = ["N_FOLDS", "Folds", "folds_of", "in_memory"]

N_FOLDS = 5


class Folds(NamedTuple):
    """Splits of the rows: shares (n, K + 1), of all rows first; the held-out rows; which classes a fold lacks."""

    shares: NDArray[Any]
    tests: list[NDArray[np.intp]]
    lacking: list[NDArray[np.intp]]

    @classmethod
    def none(cls, n_rows: int) -> "Folds":
        """All rows, and no split of them."""
        return cls(np.ones((n_rows, 1), np.uint8), [], [np.empty(0, np.intp)])

    @property
    def complete(self) -> NDArray[np.intp]:
        """The weightings that have a row of every class."""
        return np.array([f for f, codes in enumerate(self.lacking) if not len(codes)])


def folds_of(cv: Any, X: Any, y: Any, codes: Any, weight: Any, n_classes: int, **params: Any) -> Folds:
    """The folds that ``cv`` makes, checked."""
    shares, tests = [np.ones(len(y), np.uint8)], []
    if cv is None:
        cv = min(N_FOLDS, max(2, np.bincount(codes).max()))
    for number, (train, test) in enumerate(check_cv(cv, y, classifier=True).split(X, y, **params)):
        train, test = (np.flatnonzero(part) if np.asarray(part).dtype == bool else part for part in (train, test))
        for name, part in (("training", train), ("test", test)):
            if not weight[part].any():
                raise ValueError(f"cv: the {name} part of split {number} has no row with a positive weight.")
        share = np.bincount(train, minlength=len(y))
        shares.append(share.astype(np.min_scalar_type(int(share.max()))))
        tests.append(np.asarray(test))
    by_row = np.stack(shares).T  # stored by fold, as passes over many problems read them
    totals = (np.bincount(codes, weight * share, n_classes) for share in by_row.T)
    return Folds(by_row, tests, [np.flatnonzero(total == 0) for total in totals])


def in_memory(estimator, X, y, sample_weight, offset, **of_splitter):
    """The problem, its folds, the rows for the scores, and X, whose numbers an overflow names."""
    accepted = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "ensure_all_finite": False}
    X, y = validate_data(estimator, X, y, **accepted)
    sample_weight = check_weight(sample_weight, X)
    columns, codes, weight = encode(y, sample_weight, estimator.class_weight, estimator.fit_intercept)
    require_all_classes(columns)
    offset = check_offset(offset, X, scores_of(columns.classes))
    if offset is not None and estimator.scoring != LOG_LOSS:
        raise ValueError(
            f"scoring must be {LOG_LOSS!r} with an offset, which no scorer takes; got {estimator.scoring!r}."
        )
    with overflow_named(X):
        factors = penalty_factors(estimator)
        terms = {
            "intercept": estimator.fit_intercept,
            "factors": factors,
            "bounds": limits(estimator, columns, factors),
        }
        problem = Problem.of(X, codes, weight, len(columns.classes), offset=offset, **terms)
    check_finite(estimator, problem.rows)
    if isinstance(estimator.cv, str):
        folds = Folds.none(len(y))
    else:
        folds = folds_of(estimator.cv, X, y, codes, weight, len(columns.classes), **of_splitter)
    return problem, folds, Rows(X, y, codes, weight, sample_weight, offset, columns.classes), X
