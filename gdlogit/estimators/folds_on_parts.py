"""Cross-validation of rows that lie in partitions: the folds, and the losses of the held-out rows."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..backprop import loss_of
from ..data.on_dask import meta_of, parts_of
from ..data.part_array import PartArray
from ..data.part_rows import PartRows
from ..data.parts import Parts
from ..penalty import ElasticNet
from ..problem import Problem
from ..several import Several
from .by_feature import penalty_factors
from .collection import surveyed_for
from .folds import N_FOLDS, folds_of
from .held_out import LOG_LOSS
from .limits import limits
from .validation import require_all_classes

__all__ = ["PartFolds", "RowsOnParts", "on_parts"]


class PartFolds(NamedTuple):
    """Splits of the rows, like ``Folds``: shares (n, K + 1), all rows first; how often each fold holds a row out."""

    shares: PartArray
    held_out: PartArray
    tests: range

    lacking = ()

    @property
    def complete(self) -> NDArray[np.intp]:
        """The weightings, all of which have rows of every class."""
        return np.arange(self.shares.shape[1])


def on_parts(estimator: Any, X: Any, y: Any, sample_weight: Any, client: Any, **of_splitter: Any) -> Any:
    """The problem of a Dask collection, its folds, the rows for the scores, and numbers, which an overflow names."""
    parts = parts_of({"X": X, "y": y, "sample_weight": sample_weight}, client)
    return problem_of(estimator, parts, meta_of(X, parts), **of_splitter)


def problem_of(estimator: Any, parts: Parts, meta: Any, **of_splitter: Any) -> Any:
    """The same of Parts of Given, whose features ``meta`` has."""
    refuse_on_parts(estimator)
    held = surveyed_for(estimator, parts, meta)
    columns = held.facts.columns
    require_all_classes(columns)
    loss = loss_of(len(columns.classes))
    rows = PartRows(held, estimator.fit_intercept, loss.n_outputs)
    folds = part_folds_of(estimator.cv, rows, columns.classes, **of_splitter)
    numbers = np.array([held.facts.largest], held.facts.dtype)
    factors = penalty_factors(estimator)
    of_penalty = factors, limits(estimator, columns, factors)
    return (
        Problem(rows, loss, ElasticNet(0.0), *of_penalty),
        folds,
        RowsOnParts(rows, loss, columns, folds.held_out),
        numbers,
    )


def refuse_on_parts(estimator):
    """Raise a ValueError for what needs rows in memory."""
    if isinstance(estimator.cv, str):
        raise ValueError(f"cv={estimator.cv!r} takes rows in memory; for a Dask collection give a number of folds.")
    if estimator.scoring != LOG_LOSS:
        raise ValueError(
            f"scoring must be {LOG_LOSS!r} for a Dask collection, a mean over rows; got {estimator.scoring!r}."
        )


# --- The folds ------------------------------------------------------------------------------------------------------


def part_folds_of(cv, rows, classes, **of_splitter):
    """The folds of ``cv``: a number of folds, which deals the rows of each class in each partition, or a splitter."""
    if cv is None or isinstance(cv, int | np.integer):
        n_folds = N_FOLDS if cv is None else int(cv)
        if n_folds < 2:
            raise ValueError(f"cv must be at least 2 folds; got {cv!r}.")
        held_out = rows.of_parts(partial(dealt, n_folds), n_folds)
        shares = PartArray(held_out.parts.map(shares_without), held_out.firsts, n_folds + 1)
    else:
        codes = np.asarray(rows.of_parts(labels_of))
        folds = folds_of(cv, np.zeros((len(codes), 1)), codes, codes, np.ones(len(codes)), len(classes), **of_splitter)
        counts = np.stack([np.bincount(test, minlength=len(codes)) for test in folds.tests], axis=1)
        held_out, shares, n_folds = rows.placed(counts), rows.placed(folds.shares), len(folds.tests)
    require_classes(rows, classes, shares, held_out)
    return PartFolds(shares, held_out, range(n_folds))


def dealt(n_folds, number, y):
    """Which fold holds out each row, (m, n_folds). Each fold gets a stretch of each class's rows, all of one length.

    The first stretch goes to another fold in each partition, so that rows of a rare class are spread over all folds.
    """
    held_out = np.zeros((len(y), n_folds), np.uint8)
    for code in np.unique(y):
        mine = np.flatnonzero(y == code)
        held_out[mine, (np.arange(len(mine)) * n_folds // len(mine) + number) % n_folds] = 1
    return held_out


def labels_of(number, y):
    """The class codes."""
    return y


def shares_without(held_out):
    """The shares of all rows, and of those that each fold does not hold out."""
    return np.hstack([np.ones((len(held_out), 1), np.uint8), 1 - held_out])


def require_classes(rows, classes, shares, held_out):
    """Raise a ValueError for a fold whose training part lacks a class, or whose test part has no weight."""
    training, test = rows.sum(partial(totals_of_shares, len(classes)), shares, held_out)
    if not (training > 0).all():
        weighting, code = np.argwhere(training.T == 0)[0]
        raise ValueError(
            f"cv: the training part of split {weighting - 1} has no row of class {classes[code]} with a positive "
            "weight. Take fewer folds."
        )
    if not (test > 0).all():
        raise ValueError(f"cv: the test part of split {test.argmin()} has no row with a positive weight.")


def totals_of_shares(n_classes, block, shares, held_out):
    """The weight of each class's rows in each weighting, (n_classes, K + 1), and of the rows held out, (K,)."""
    totals = [np.bincount(block.y, block.weight * share, n_classes) for share in shares.T]
    return np.stack(totals, axis=1), block.weight @ held_out


# --- The scores -----------------------------------------------------------------------------------------------------


class RowsOnParts(NamedTuple):
    """All rows, whose weights have the factors of the classes, and the share of each row that each fold holds out."""

    whole: PartRows
    loss: Any
    columns: Any
    held_out: PartArray

    @property
    def classes(self):
        """The labels."""
        return self.columns.classes

    def log_losses(self, number, theta, intercept):
        """The mean log-loss of the rows that a fold holds out at each theta, without the factors of the classes."""
        unfactored = self.whole.of_parts(partial(weights_without, self.columns.factors))
        rows = self.whole.reweighted(unfactored * self.held_out[:, number])
        with np.errstate(under="ignore"):
            return Several(rows, self.loss, self.held_out).capped_losses(theta, -np.log(np.finfo(rows.dtype).eps))


def weights_without(factors, number, y):
    """The inverse of the factor of each row's class: it takes this factor off the row's weight."""
    return 1 / factors[y]
