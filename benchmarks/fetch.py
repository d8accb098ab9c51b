"""Where the benchmark's tables come from, and how they are encoded: python -m benchmarks.fetch FOLDER.

Downloads each table from OpenML or through scikit-learn, encodes the table, and writes FOLDER/NAME.npz with X and y,
which ``python -m benchmarks --data FOLDER`` reads. Numbers stay on their raw scale. Each category becomes one column
for each of its levels, and none is left out, so the columns are collinear beside the intercept. Missing numbers become
the median.

The copies that the published results are made with may order columns differently, or encode a column as a number that
is a category here. A table whose shape differs from the published one is written all the same, and the difference is
printed.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.datasets import fetch_covtype, fetch_openml
from sklearn.model_selection import train_test_split

from .report import load

RESULTS = Path(__file__).resolve().parent / "results"


class Table(NamedTuple):
    """A table of OpenML: its name and version there, and columns that identify a row instead of describing it."""

    name: str
    version: int = 1
    left_out: tuple[str, ...] = ()


TABLES = {
    "adult": Table("adult", 2),
    "bank_full": Table("bank-marketing"),
    "credit_default": Table("default-of-credit-card-clients", left_out=("ID",)),
    "german": Table("credit-g"),
    "golub": Table("leukemia"),
    "letter": Table("letter"),
    "magic04": Table("MagicTelescope", left_out=("ID",)),
    "phishing": Table("PhishingWebsites"),
    "spambase": Table("spambase"),
    "telco": Table("telco-customer-churn", left_out=("customerID",)),
}
COVTYPE_ROWS = 20_000  # of covtype20k: a sample with the classes nearly as they are in the whole


def encoded(frame):
    """The columns as float64: numbers as they are, categories as one column for each level."""
    numbers = frame.select_dtypes("number")
    numbers = numbers.fillna(numbers.median()).astype(np.float64)
    categories = frame.drop(columns=numbers.columns).astype(object)
    return np.hstack([numbers.to_numpy(), pd.get_dummies(categories, dtype=np.float64).to_numpy()])


def fetch(name):
    """X and the codes of y, of one table."""
    if name == "covtype20k":
        X, y = fetch_covtype(return_X_y=True)
        X, _, y, _ = train_test_split(X, y, train_size=COVTYPE_ROWS, stratify=y, random_state=0)
    else:
        table = TABLES[name]
        X, y = fetch_openml(table.name, version=table.version, return_X_y=True, as_frame=True, parser="auto")
        X = encoded(X.drop(columns=[column for column in table.left_out if column in X]))
    return X, np.unique(y, return_inverse=True)[1]


def difference(name, X, y):
    """What is not as in the published results; None where nothing differs."""
    published = {row.data: (row.n, row.p, row.classes) for row in load(RESULTS)}.get(name)
    found = (*X.shape, int(y.max()) + 1)
    return (
        None if published in (found, None) else f"rows, columns and classes are {found}, and {published} in the results"
    )


def main():
    """Fetch what the command line names, or all."""
    names = [*TABLES, "covtype20k"]
    parser = argparse.ArgumentParser("python -m benchmarks.fetch", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=names, help=", ".join(names))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        X, y = fetch(name)
        np.savez_compressed(options.folder / f"{name}.npz", X=X, y=y)
        print(f"{name}: {difference(name, X, y) or 'as in the results'}", flush=True)


if __name__ == "__main__":
    main()
