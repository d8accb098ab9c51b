"""A grid search on small data, as people run it: 10 values of C, 5 folds, every method at its default parameters.

Times only: LogisticRegression() on raw data stops before its optimum, and the scaled pipeline solves another problem.
"""

import csv
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression

from .data import BUNDLED

ESTIMATORS = {
    "GDLogisticRegression()": GDLogisticRegression(random_state=0),
    "LogisticRegression()": LogisticRegression(),
    "StandardScaler + LogisticRegression()": make_pipeline(StandardScaler(), LogisticRegression()),
}


def run(output, turns=5):
    """Time the three searches on three data sets in turns; print and write grid.csv."""
    rows = []
    for name in ("iris", "wine", "breast_cancer"):
        X, y = BUNDLED[name](return_X_y=True)
        seconds = {method: [] for method in ESTIMATORS}
        for _ in range(turns):
            for method, estimator in ESTIMATORS.items():
                parameter = "C" if hasattr(estimator, "C") else "logisticregression__C"
                search = GridSearchCV(estimator, {parameter: np.logspace(-4, 4, 10)}, cv=5)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    start = time.perf_counter()
                    search.fit(X, y)
                    seconds[method].append(time.perf_counter() - start)
        ours = median(seconds["GDLogisticRegression()"])
        for method, times in seconds.items():
            row = {
                "data": name,
                "method": method,
                "turns": turns,
                "seconds": median(times),
                "ratio": median(times) / ours,
            }
            rows.append(row)
            print(f"  {name:15}{method:40}{row['seconds']:8.3f} s{row['ratio']:8.2f} x ours", flush=True)
    path = Path(output) / "grid.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
