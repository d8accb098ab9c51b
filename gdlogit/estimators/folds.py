"""The folds of a cross-validation, as weightings of the rows."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv

__all__ = ["N_FOLDS", "Folds", "folds_of"]

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
    shares, tests = [np.ones(len(y))], []
    if cv is None:
        cv = min(N_FOLDS, max(2, np.bincount(codes).max()))
    for number, (train, test) in enumerate(check_cv(cv, y, classifier=True).split(X, y, **params)):
        train, test = (np.flatnonzero(part) if np.asarray(part).dtype == bool else part for part in (train, test))
        for name, part in (("training", train), ("test", test)):
            if not weight[part].any():
                raise ValueError(f"cv: the {name} part of split {number} has no row with a positive weight.")
        shares.append(np.bincount(train, minlength=len(y)))
        tests.append(np.asarray(test))
    shares = np.stack(shares, axis=1)
    shares = shares.astype(np.min_scalar_type(int(shares.max())))
    totals = (np.bincount(codes, weight * share, n_classes) for share in shares.T)
    return Folds(shares, tests, [np.flatnonzero(total == 0) for total in totals])
