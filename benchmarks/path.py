"""A path of C with cross-validation: ``python -m benchmarks.path --data FOLDER [--only NAME ...]``.

Prints, for each table, the processor time of GDLogisticRegressionCV, in seconds and in default fits; of
LogisticRegressionCV where asked for; of the path with a single split, which holds out nothing, and of ``cv="loo"``.
Processor time, for a busy machine changes it less.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold

from gdlogit import GDLogisticRegression, GDLogisticRegressionCV

from .__main__ import SHARED
from .data import sources

TABLES = [  # name, l1_ratio, values of C, folds
    ("german", 0.0, 100, 10),
    ("credit_default", 0.0, 100, 10),
    ("bank_full", 0.0, 100, 10),
    ("adult", 0.0, 100, 10),
    ("letter", 0.0, 30, 5),
    ("covtype20k", 0.0, 30, 5),
    ("german", 1.0, 100, 10),
    ("golub", 1.0, 100, 5),
]


def timed(fit, times=1):
    """The median processor time of a fit, and its result."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        result = fit()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds)), result


def row(name, X, y, l1_ratio, n_Cs, n_folds, peers):
    """One line of the table."""
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    settings = {"l1_ratios": [l1_ratio], "random_state": 0}
    one, _ = timed(lambda: GDLogisticRegression(l1_ratio=l1_ratio, random_state=0).fit(X, y), 5)
    ours, model = timed(lambda: GDLogisticRegressionCV(Cs=n_Cs, cv=folds, **settings).fit(X, y))
    everything = np.arange(len(y))
    alone, _ = timed(lambda: GDLogisticRegressionCV(Cs=n_Cs, cv=[(everything, everything[:50])], **settings).fit(X, y))
    loo = timed(lambda: GDLogisticRegressionCV(Cs=n_Cs, cv="loo", **settings).fit(X, y))[0] if l1_ratio == 0 else np.nan
    theirs = np.nan
    if peers and l1_ratio == 0:
        peer = LogisticRegressionCV(
            Cs=model.Cs_, cv=folds, scoring="neg_log_loss", solver="newton-cholesky", l1_ratios=[0.0], tol=1e-6
        )
        theirs, _ = timed(lambda: peer.set_params(use_legacy_attributes=False).fit(X, y))
    print(
        f"{name:15}{l1_ratio:4.1f}{n_Cs:5}{n_folds:4}{one:9.3f}{ours:9.2f}{ours / one:9.0f}{theirs:9.1f}{alone:9.2f}"
        f"{loo:9.2f}{model.C_best_:11.3g}{model.C_1se_:11.3g}{model.duality_gap_path_.max():10.1e}",
        flush=True,
    )


def main(folder, only, peers):
    """Print the table."""
    warnings.simplefilter("ignore")
    found = sources(folder)
    columns = ("one fit", "path, CV", "in fits", "sklearn", "path", "loo")
    print(f"{'data':15}{'l1':>4}{'Cs':>5}{'cv':>4}" + "".join(f"{name:>9}" for name in columns), end="")
    print(f"{'best C':>11}{'1se C':>11}{'gap':>10}")
    for name, *rest in TABLES:
        if name in (only or [name]):
            row(name, *found[name].load(), *rest, peers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.path", description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED if SHARED.is_dir() else None, help="folder of .npz files")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="tables to run")
    parser.add_argument("--peers", action="store_true", help="time LogisticRegressionCV, too")
    arguments = parser.parse_args()
    main(arguments.data, arguments.only, arguments.peers)
