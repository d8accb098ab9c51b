"""What cross-validation over a path has besides the fits: the folds as weightings, what was found, the scores."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import get_scorer
from sklearn.model_selection import check_cv

from ..backprop import loss_of
from ..data.memory import rows_of
from ..paths import paths
from ..problem import Problem
from ..several import Several
from ..typing import Floats

__all__ = ["LOG_LOSS", "Folds", "Found", "Rows", "embedded", "folds_of", "held_out_scores", "scorer_of"]

LOG_LOSS = "neg_log_loss"
N_FOLDS = 5
NEVER = -1e30  # the score of a class that a fold has not seen: its probability is 0
SCORES = 2**22  # of held-out rows, at a time


# --- The folds ------------------------------------------------------------------------------------------------------


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


def embedded(
    X, codes, weight, lacking, Cs, l1_ratio, n_classes, *, intercept, settings, rng, factors=None
) -> Iterable[Any]:
    """The path of a fold that lacks some classes, in the theta of all classes: theirs have the probability 0."""
    present = np.setdiff1d(np.arange(n_classes), lacking)
    shape = X.shape[1] + 1, loss_of(n_classes).n_outputs
    theta = np.zeros(shape)
    if n_classes == 2:
        theta[-1] = NEVER if present[0] == 0 else -NEVER
    else:
        theta[-1, lacking] = NEVER
    if len(present) == 1:
        for i in range(len(Cs)):
            yield i, theta, 0.0, 0, True
        return
    known = np.flatnonzero(weight > 0)
    some = np.zeros_like(codes)
    some[known] = np.searchsorted(present, codes[known])
    problem = Problem.of(X, some, weight, len(present), intercept=intercept, factors=factors)
    for i, fits in paths(problem, np.ones((len(codes), 1), np.uint8), Cs, l1_ratio, settings, rng):
        of_fold = theta.copy()
        found = fits.theta[0]
        of_fold[:, present] = np.hstack([-found / 2, found / 2]) if len(present) == 2 else found
        yield i, of_fold, fits.excess[0], fits.n_iter[0], fits.converged[0]


# --- What was given, and what was found -------------------------------------------------------------------------------


class Rows(NamedTuple):
    """What a user gave, checked; the weights without those of the classes are None where all are 1."""

    X: Any
    y: Any
    codes: Any
    weight: Any
    sample_weight: Any
    classes: Any

    def some(self, index):
        """Some of the rows."""
        parts = (None if part is None else part[index] for part in self[:-1])
        return Rows(*parts, self.classes)

    def log_losses(self, theta, intercept):
        """The mean log-loss of these rows at each theta."""
        loss = loss_of(len(self.classes))
        weight = np.ones(len(self.y)) if self.sample_weight is None else self.sample_weight
        return held_out_losses(self.X, self.codes, weight, theta, loss, intercept=intercept)

    @property
    def unit(self):
        """The weight of one row where each stands for ``sample_weight`` rows; all of it where that is less than 1."""
        return self.weight if self.sample_weight is None else self.weight / np.maximum(1, self.sample_weight)

    def losses_at(self, z):
        """The log-loss of each row at scores z, capped where scikit-learn's log_loss is."""
        losses, _ = loss_of(len(self.classes)).forward_backward(z, self.codes)
        return np.minimum(losses, -np.log(np.finfo(self.X.dtype).eps))

    def fitted(self, theta):
        """The attributes of a model at theta."""
        theta = theta.astype(self.X.dtype)
        return {"classes_": self.classes, "coef_": np.ascontiguousarray(theta[:-1].T), "intercept_": theta[-1]}


class Found(NamedTuple):
    """What the fits have found, as arrays over (l1_ratio, C, weighting), the first of which is that of all rows."""

    theta: Floats
    excess: Any
    gap: Any
    n_iter: Any
    converged: Any
    interrupted: list[bool]

    @classmethod
    def of(cls, shape):
        """Nothing found so far, for theta of a shape (n_l1_ratios, n_cs, n_weightings, p + 1, k)."""
        each = shape[:3]
        numbers = np.zeros(each, np.int32), np.zeros(each, dtype=bool)
        return cls(np.full(shape, np.nan), np.full(each, np.nan), np.full(each, np.nan), *numbers, [])

    def keep(self, where, *values):
        """Take down what was found at a point."""
        for part, value in zip(self, values, strict=False):
            part[where] = value

    @property
    def reached(self):
        """At which points all weightings have a solution."""
        return np.isfinite(self.theta[..., -1, 0]).all(axis=2)


# --- The scores -----------------------------------------------------------------------------------------------------


def scorer_of(scoring: str | Callable[..., float]) -> Callable[..., float]:
    """scikit-learn's scorer of a name, or the callable given."""
    try:
        return get_scorer(scoring)
    except ValueError:
        raise ValueError(f"scoring must be a scorer's name or a callable; got {scoring!r}.") from None


def held_out_losses(X, codes, weight, theta, loss, *, intercept=True) -> NDArray[np.float64]:
    """The mean log-loss of held-out rows at several thetas (M, p + 1, k), capped where scikit-learn's log_loss is."""
    rows = rows_of(X, codes, weight, intercept, loss.n_outputs)
    several = Several(rows, loss, np.ones((rows.n_rows, 1), np.uint8))
    most = -np.log(np.finfo(rows.dtype).eps)
    size = max(1, SCORES // (rows.n_rows * loss.n_outputs))
    with several.threads():
        parts = (theta[start : start + size] for start in range(0, len(theta), size))
        return np.concatenate([several.capped_losses(some, most) for some in parts])


def held_out_scores(scorer, models, X, y, **params) -> NDArray[np.float64]:
    """What a scorer says of each model on held-out rows."""
    return np.array([scorer(model, X, y, **params) for model in models])
