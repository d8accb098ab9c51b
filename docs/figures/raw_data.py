"""J against time on raw data: LogisticRegression with more and more iterations, and GDLogisticRegression."""

import warnings
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from gdlogit import GDLogisticRegression

X, y = load_breast_cancer(return_X_y=True)


def objective(model):
    """J, with C = 1."""
    z = model.decision_function(X)
    return np.logaddexp(0, (1 - 2 * y) * z).mean() + np.sum(model.coef_**2) / (2 * len(y))


def timed(model):
    """The least time of five fits, because other work on the machine can only add time; and J."""
    times = []
    for _ in range(5):
        start = perf_counter()
        model.fit(X, y)
        times.append(perf_counter() - start)
    return min(times), objective(model)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # every fit of LogisticRegression but the last warns
    theirs = np.array([timed(LogisticRegression(max_iter=n)) for n in (100, 200, 400, 800, 1600, 10_000)])
    minimum = objective(GDLogisticRegression(tol=1e-14, random_state=0).fit(X, y))
seconds, ours = timed(GDLogisticRegression(random_state=0))

_, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
label = "LogisticRegression(max_iter=100 ... 10,000)"
ax.loglog(theirs[:, 0], theirs[:, 1] - minimum, "x-", color="#D55E00", label=label)
star = {"marker": "*", "color": "gold", "markeredgecolor": "black", "markersize": 18, "linestyle": ""}
ax.loglog(seconds, max(ours - minimum, 1e-16), label="GDLogisticRegression()", **star)
ax.annotate("default", theirs[0] - [0, minimum], xytext=(0, 8), textcoords="offset points", ha="center")
ax.set(xlabel="seconds of one fit", ylabel="objective above its minimum", ylim=(1e-17, 1))
ax.grid(alpha=0.25)
ax.legend(loc="center right")
