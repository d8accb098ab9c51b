"""A path of C with cross-validation: ``python -m benchmarks.path --data FOLDER [--only NAME ...]``.

Prints, for each table, the processor time of a default fit and of GDLogisticRegressionCV, in turns, and how many fits
that is; of the path with a single split, which holds out nothing, and of ``cv="loo"``; and where asked for of
LogisticRegressionCV at the same C, and of a loop of warm-started fits. ``off`` is the largest difference of a score
from that of a separate fit to ``tol=1e-10``, of some random folds and C. Processor time, for a busy machine changes it
less.
"""

import argparse
import time
import warnings
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from gdlogit import GDLogisticRegression, GDLogisticRegressionCV, c_min

from .__main__ import SHARED
from .data import autoregressive, sources


class Table(NamedTuple):
    """A table, and what is fitted to it."""

    name: str
    l1_ratio: float
    n_Cs: int
    n_folds: int
    reach: float = 0  # of the grid beyond c_min; 0 is the default grid


TABLES = [
    Table("german", 0.0, 100, 10),
    Table("credit_default", 0.0, 100, 10),
    Table("bank_full", 0.0, 100, 10),
    Table("adult", 0.0, 100, 10),
    Table("digits", 0.0, 30, 5),
    Table("letter", 0.0, 30, 5),
    Table("covtype20k", 0.0, 30, 5),
    Table("german", 1.0, 100, 10),
    Table("golub", 1.0, 100, 5),
    Table("adult", 1.0, 100, 10),
    Table("clickbait", 1.0, 50, 3, 1000),
]
LARGE = Table("ar95_raw", 0.0, 30, 5)
HEADER = ("one fit", "path, CV", "in fits", "path", "loo", "sklearn", "warm", "off")


def timed(fit):
    """The processor time of a fit, and its result."""
    start = time.process_time()
    result = fit()
    return time.process_time() - start, result


def in_turns(first, second, times):
    """The median times of two fits, one after the other, and the second's last result."""
    pairs = [(timed(first)[0], *timed(second)) for _ in range(times)]
    return *(float(np.median(seconds)) for seconds in zip(*(pair[:2] for pair in pairs), strict=True)), pairs[-1][2]


def warm_loop(X, y, Cs, l1_ratio, folds):
    """All fits of the path one by one, each from the last."""
    for rows in [slice(None), *(train for train, _ in folds.split(X, y))]:
        model = GDLogisticRegression(l1_ratio=l1_ratio, warm_start=True, random_state=0)
        for C in Cs:
            model.set_params(C=C).fit(X[rows], y[rows])


def sklearns(X, y, Cs, folds):
    """LogisticRegressionCV at the same C, by its fastest solver."""
    peer = LogisticRegressionCV(Cs=Cs, cv=folds, scoring="neg_log_loss", solver="newton-cholesky", l1_ratios=[0.0])
    return peer.set_params(tol=1e-6, use_legacy_attributes=False).fit(X, y)


def off(model, X, y, l1_ratio, folds, times=3):
    """The largest difference of a score from that of a separate fit."""
    rng, splits, found = np.random.default_rng(0), [*folds.split(X, y)], []
    for f, i in zip(rng.integers(len(splits), size=times), rng.integers(len(model.Cs_), size=times), strict=True):
        train, test = splits[f]
        alone = GDLogisticRegression(C=model.Cs_[i], l1_ratio=l1_ratio, tol=1e-10, random_state=0).fit(
            X[train], y[train]
        )
        theirs = -log_loss(y[test], alone.predict_proba(X[test]), labels=model.classes_)
        found.append(abs(model.scores_[f, 0, i] - theirs))
    return max(found)


def row(table, X, y, times, peers):
    """One line of the table."""
    folds = StratifiedKFold(table.n_folds, shuffle=True, random_state=0)
    Cs = table.n_Cs if not table.reach else c_min(X, y) * np.geomspace(1, table.reach, table.n_Cs)
    path = partial(GDLogisticRegressionCV, Cs=Cs, l1_ratios=[table.l1_ratio], random_state=0)
    single = GDLogisticRegression(l1_ratio=table.l1_ratio, random_state=0).fit
    one, ours, model = in_turns(lambda: single(X, y), lambda: path(cv=folds).fit(X, y), times)
    everything = np.arange(len(y))
    of_loo = table.l1_ratio == 0 and table is not LARGE
    alone = timed(lambda: path(cv=[(everything, everything[:50])]).fit(X, y))[0]
    loo = timed(lambda: path(cv="loo").fit(X, y))[0] if of_loo else np.nan
    theirs = timed(lambda: sklearns(X, y, model.Cs_, folds))[0] if peers and table.l1_ratio == 0 else np.nan
    warm = timed(lambda: warm_loop(X, y, model.Cs_, table.l1_ratio, folds))[0] if peers and table.l1_ratio else np.nan
    print(
        f"{table.name:15}{table.l1_ratio:4.1f}{table.n_Cs:5}{table.n_folds:4}{one:9.3f}{ours:9.2f}{ours / one:9.0f}"
        f"{alone:9.2f}{loo:9.2f}{theirs:9.1f}{warm:9.1f}{off(model, X, y, table.l1_ratio, folds):9.0e}"
        f"{model.C_best_:11.3g}{model.C_1se_:11.3g}{np.nanmax(model.duality_gap_path_):10.1e}",
        flush=True,
    )


def main(folder, only, times, peers, large):
    """Print the table."""
    warnings.simplefilter("ignore")
    found = sources(folder)
    print(f"{'data':15}{'l1':>4}{'Cs':>5}{'cv':>4}" + "".join(f"{name:>9}" for name in HEADER), end="")
    print(f"{'best C':>11}{'1se C':>11}{'gap':>10}")
    for table in TABLES:
        if table.name in (only or [table.name]):
            row(table, *found[table.name].load(), times, peers)
    if large:
        row(LARGE, *autoregressive(1_000_000, 100, raw=True), 1, False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.path", description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED if SHARED.is_dir() else None, help="folder of .npz files")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="tables to run")
    parser.add_argument("--times", type=int, default=3, help="turns, of which the median is taken")
    parser.add_argument("--peers", action="store_true", help="time LogisticRegressionCV and the loop of fits, too")
    parser.add_argument("--large", action="store_true", help="1,000,000 x 100, too")
    arguments = parser.parse_args()
    main(arguments.data, arguments.only, arguments.times, arguments.peers, arguments.large)
