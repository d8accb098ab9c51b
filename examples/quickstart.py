"""
Quickstart
==========

The breast cancer data (569 biopsies, 30 measurements, bundled with scikit-learn) on their raw scales: the area of a
cell is in the hundreds, its smoothness in the hundredths. ``GDLogisticRegression`` works in a Pipeline and a
GridSearchCV as any classifier does. It reaches the optimum without scaling, tuning or a warning.
"""

# %%
# Two classifiers get the same raw data and the same ``C``. scikit-learn's stops after its 100 iterations, before the
# optimum, and raises a ConvergenceWarning.
import warnings

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline

from gdlogit import GDLogisticRegression

X, y = load_breast_cancer(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

search = GridSearchCV(
    make_pipeline(SimpleImputer(), GDLogisticRegression()),
    {"gdlogisticregression__C": np.logspace(-4, 2, 7)},
    scoring="neg_log_loss",
)
with warnings.catch_warnings():
    warnings.simplefilter("error")  # GDLogisticRegression never warns here
    search.fit(X_train, y_train)
ours = search.best_estimator_
C = ours[-1].C

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    theirs = make_pipeline(SimpleImputer(), LogisticRegression(C=C)).fit(X_train, y_train)
theirs_warned = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)

# %%
# Both minimise the same objective J on the training rows: the mean log-loss plus the penalty.


def objective(model):
    """J of a fitted pipeline."""
    penalty = np.sum(model[-1].coef_ ** 2) / (2 * C * len(X_train))
    return log_loss(y_train, model.predict_proba(X_train)) + penalty


rows = {
    "objective J (training)": [f"{objective(model):.6f}" for model in (ours, theirs)],
    "log-loss (test)": [f"{log_loss(y_test, model.predict_proba(X_test)):.4f}" for model in (ours, theirs)],
    "accuracy (test)": [f"{accuracy_score(y_test, model.predict(X_test)):.4f}" for model in (ours, theirs)],
    "converged": [str(ours[-1].converged_), str(not theirs_warned)],
}
print(f"C = {C:g}, from the grid\n")
print(f"{'':24}{'GDLogisticRegression':>22}{'LogisticRegression':>22}")
for name, (a, b) in rows.items():
    print(f"{name:24}{a:>22}{b:>22}")

# %%
# A fit records J after each iteration, and proves how far from the minimum it ended.
model = ours[-1]
print(
    f"\nloss curve, the last of {model.n_iter_[0]} iterations: {', '.join(f'{J:.8f}' for J in model.loss_curve_[-3:])}"
)
print(f"J is above its minimum by {model.duality_gap_:.1e} at most")

# %%
assert model.converged_
assert theirs_warned
assert objective(ours) < objective(theirs)
assert model.duality_gap_ < 1e-8
