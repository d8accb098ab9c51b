"""The README's three pictures, into docs/figures: python -m docs.figures.readme, from the root.

The times are those of benchmarks/results; the data of the other two are scikit-learn's and statsmodels'.
"""

import runpy
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("agg")
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from benchmarks import figure, report
from gdlogit import CoefficientDisplay, GDLogisticRegressionCV, RegularizationPathDisplay

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
SIZE = {"figsize": (7.2, 4), "layout": "constrained"}
SHOWN = {  # the methods of the first picture, by what it calls them
    "GDLogisticRegression()": "GDLogisticRegression()",
    "LogisticRegression()": "LogisticRegression()",
    "lbfgs": "its solver lbfgs",
    "newton-cg": "its solver newton-cg",
    "newton-cholesky": "its solver newton-cholesky",
    "liblinear": "its solver liblinear",
    "saga": "its solver saga",
}


def times():
    """How far from the minimum a fit of a raw table ends, against its seconds."""
    rows = [row for row in report.load(RESULTS) if row.data == "adult" and row.method in SHOWN]
    _, ax = plt.subplots(figsize=(6, 4.8), layout="constrained")  # legible on a phone
    for row in sorted(rows, key=lambda row: list(SHOWN).index(row.method)):
        curve = figure.curve(ax, row)
        curve.set(label=SHOWN[row.method], linestyle="" if row.setting == "default" else "-")
    ax.set(xscale="log", yscale="log", ylim=(1e-11, 10), xlabel="seconds of one fit")
    ax.set_ylabel("objective above its minimum,\nas a share of the minimum")
    ax.set_title("adult: 48,842 people, 108 raw columns", size=11)
    ax.grid(alpha=0.25)
    ax.figure.legend(loc="outside lower center", ncols=2, fontsize=9, frameon=False)
    return "time"


def path():
    """The coefficients of a path over C with an l1 penalty, and the choices of cross-validation."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = StandardScaler().set_output(transform="pandas").fit_transform(X)
    malignant = np.where(y == 0, "malignant", "benign")
    model = GDLogisticRegressionCV(Cs=np.geomspace(1e-2, 3, 60), l1_ratios=[1.0], random_state=0).fit(X, malignant)
    _, ax = plt.subplots(**SIZE)
    RegularizationPathDisplay.from_estimator(model, k=6, ax=ax)
    return "path"


def forest():
    """Odds ratios with their intervals: those of an example."""
    result = runpy.run_path(str(ROOT / "examples" / "odds_ratios.py"))["result"]
    plt.close("all")  # the example's own pictures
    _, ax = plt.subplots(**SIZE)
    CoefficientDisplay.from_inference(result, odds_ratio=True, ax=ax)
    return "forest"


if __name__ == "__main__":
    for draw in (times, path, forest):
        name = draw()
        plt.savefig(HERE / f"{name}.png", dpi=120)
        plt.close()
