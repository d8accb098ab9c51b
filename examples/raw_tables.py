"""
A raw table: euros, years, flags and categories
===============================================

A raw table has amounts in euros, a year of birth, flags and a category. Here the category is one-hot encoded with all
its levels, so that columns are collinear, and nothing is scaled. ``LogisticRegression`` stops before the minimum of
such a table. Scaling helps it, but changes the problem.
"""

# %%
# Ten thousand synthetic customers, with known log-odds.
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from gdlogit import CoefficientDisplay, GDLogisticRegression

rng = np.random.default_rng(0)
n = 10_000
income = rng.lognormal(10, 0.6, n)
born = rng.integers(1940, 2005, n)
owner = rng.random(n) < 0.3
city = rng.integers(0, 5, n)
z = 0.4 * np.log(income / 22_000) - 0.04 * (born - 1975) + 1.2 * owner + np.array([-1, -0.5, 0, 0.5, 1])[city]
y = (rng.random(n) < 1 / (1 + np.exp(-z))).astype(int)
cities = np.array(["Bonn", "Cork", "Graz", "Oslo", "Rome"])
table = pd.DataFrame({"income": income, "born": born, "owner": owner, "city": cities[city]})

# %%
# An ordinary Pipeline, without a scaler.


def pipeline(classifier):
    """One-hot encode the city, pass the rest on, classify."""
    one_hot = OneHotEncoder(sparse_output=False)
    columns = make_column_transformer((one_hot, ["city"]), remainder="passthrough", verbose_feature_names_out=False)
    return make_pipeline(columns, classifier)


classifier = GDLogisticRegression()
with warnings.catch_warnings():
    warnings.simplefilter("error")
    ours = pipeline(classifier).fit(table, y)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    theirs = pipeline(LogisticRegression()).fit(table, y)


def objective(model):
    """J on the training rows, C = 1."""
    z = model.decision_function(table)
    return np.logaddexp(0, (1 - 2 * y) * z).mean() + np.sum(model[-1].coef_ ** 2) / (2 * n)


print(f"GDLogisticRegression  J = {objective(ours):.6f}, above its minimum by {classifier.duality_gap_:.0e} at most")
print(f"LogisticRegression    J = {objective(theirs):.6f}, {[w.category.__name__ for w in caught]}")

# %%
# The coefficients are in the units of the table: per year of birth, per city. They are close to those that made the
# data. To make them comparable, the picture shows them per standard deviation. The display finds the names of the
# columns through the Pipeline.
CoefficientDisplay.from_estimator(ours, table)
plt.show()
coef = pd.Series(classifier.coef_[0], ours[:-1].get_feature_names_out())
for name, value in coef.items():
    print(f"{name:10} {value:+.6f}")

# %%
assert classifier.converged_
assert any(issubclass(w.category, ConvergenceWarning) for w in caught)
assert objective(ours) < objective(theirs) - 1e-4
assert abs(coef["born"] + 0.04) < 0.005
assert abs(coef["owner"] - 1.2) < 0.15
