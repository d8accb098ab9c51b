"""The rows that scores are of, and the scores of a path: of the rows that each fold holds out, or leave-one-out."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import get_scorer

from ..backprop import loss_of
from ..data.memory import rows_of
from ..loo import LeaveOneOut
from ..several import Several

__all__ = ["LOG_LOSS", "PathScores", "Rows", "scorer_of"]

LOG_LOSS = "neg_log_loss"
SCORES = 2**22  # of held-out rows, at a time
COPIED = 2**21  # stored numbers of held-out rows, copied at a time: 16 MB


# --- The rows -------------------------------------------------------------------------------------------------------


class Rows(NamedTuple):
    """What a user gave, checked; the weights without those of the classes are None where all are 1."""

    X: Any
    y: Any
    codes: Any
    weight: Any
    sample_weight: Any
    offset: Any
    classes: Any

    def some(self, index):
        """Some of the rows."""
        parts = (None if part is None else part[index] for part in self[:-1])
        return Rows(*parts, self.classes)

    def log_losses(self, index, theta, intercept):
        """The mean log-loss of some rows at each theta. Their copies are made in pieces, which take little memory."""
        loss = loss_of(len(self.classes))
        size = max(1, COPIED * self.X.shape[0] // max(1, self.X.size))
        total, sums = 0.0, np.zeros(len(theta))
        for start in range(0, len(index), size):
            some = self.some(index[start : start + size])
            weight = np.ones(len(some.y)) if self.sample_weight is None else some.sample_weight
            if weight.any():
                given = some.X, some.codes, weight, theta, loss
                sums += weight.sum() * held_out_losses(*given, intercept=intercept, offset=some.offset)
                total += weight.sum()
        return sums / total

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


# --- Their scores ---------------------------------------------------------------------------------------------------


class PathScores(NamedTuple):
    """The score of each fold's held-out rows at each point, (n_folds, n_l1_ratios, n_cs); nan where it is not known.

    With leave-one-out it is one fold, the mean of ``n_rows`` single scores, whose spread at each point is ``std``.
    """

    of_folds: NDArray[np.float64]
    std: NDArray[np.float64] | None = None
    n_rows: int | None = None

    @classmethod
    def by_folds(cls, estimator, folds, grid, found, rows, of_scorer):
        """The scores of the rows that the folds hold out."""
        scores, reached = np.full((len(folds.tests), *grid.shape), np.nan), found.reached
        points = [grid.point(index) for index in np.flatnonzero(reached)]
        for number, test in enumerate(folds.tests):
            theta = found.theta[reached, number + 1]
            if estimator.scoring == LOG_LOSS:
                scores[number][reached] = -rows.log_losses(test, theta, estimator.fit_intercept)
            else:
                part = rows.some(test)
                models = (
                    nameless(estimator._model(*at, **rows.fitted(one))) for at, one in zip(points, theta, strict=True)
                )
                metadata = {name: np.asarray(value)[test] for name, value in of_scorer.items() if value is not None}
                scorer = scorer_of(estimator.scoring)
                scores[number][reached] = [scorer(model, part.X, part.y, **metadata) for model in models]
        return cls(scores)

    @classmethod
    def of_rows_without_themselves(cls, problem, grid, found, rows, settings, rng):
        """The mean score of the rows, each in a fit without itself."""
        loo = LeaveOneOut(problem, rows.weight, rows.unit, settings, rng)
        part, mean, std = rows.some(loo.index), np.full(grid.shape, np.nan), np.full(grid.shape, np.nan)
        for r, l1_ratio in enumerate(grid.l1_ratios):
            reached = np.flatnonzero(found.reached[r])
            without = loo.path(found.theta[r, reached, 0], grid.Cs[r, reached], l1_ratio)
            for i, z in zip(reached, without, strict=True):
                losses = part.losses_at(z)
                mean[r, i] = -np.average(losses, weights=part.sample_weight)
                std[r, i] = np.sqrt(np.average((losses + mean[r, i]) ** 2, weights=part.sample_weight))
        return cls(mean[None], std.ravel(), len(loo.index))


def nameless(model):
    """The model without names of features: a scorer gets X as an array."""
    vars(model).pop("feature_names_in_", None)
    return model


def scorer_of(scoring: str | Callable[..., float]) -> Callable[..., float]:
    """scikit-learn's scorer of a name, or the callable given."""
    try:
        return get_scorer(scoring)
    except ValueError:
        raise ValueError(f"scoring must be a scorer's name or a callable; got {scoring!r}.") from None


def held_out_losses(X, codes, weight, theta, loss, *, intercept=True, offset=None) -> NDArray[np.float64]:
    """The mean log-loss of held-out rows at several thetas (M, p + 1, k), capped where scikit-learn's log_loss is."""
    rows = rows_of(X, codes, weight, intercept, loss.n_outputs, offset=offset)
    several = Several(rows, loss, np.ones((rows.n_rows, 1), np.uint8))
    most = -np.log(np.finfo(rows.dtype).eps)
    size = max(1, SCORES // (rows.n_rows * loss.n_outputs))
    with several.threads():
        parts = (theta[start : start + size] for start in range(0, len(theta), size))
        return np.concatenate([several.capped_losses(some, most) for some in parts])
