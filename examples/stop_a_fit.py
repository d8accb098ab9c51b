"""
Watch a fit, and stop it
========================

Held-out rows can end a fit, and from scikit-learn 1.9 on a callback can, too. Here are both, on features that are
mostly noise. Gradient descent first learns what matters, and then the noise.
"""

from typing import Any

import numpy as np
from sklearn.metrics import log_loss

from gdlogit import GDLogisticRegression, LossCurveDisplay

rng = np.random.default_rng(0)
X = rng.standard_normal((600, 100))
y = (X[:, 0] - X[:, 1] + rng.logistic(size=600) > 0).astype(int)
train, held_out = slice(0, 300), slice(300, 600)
given = {"X": X[train], "y": y[train], "X_val": X[held_out], "y_val": y[held_out]}

# %%
# Held-out rows
# -------------
# With ``X_val`` and ``y_val``, ``validation_loss_curve_`` has the log-loss of the held-out rows. That loss falls, and
# then rises while J still falls. With ``early_stopping=True`` the fit returns the coefficients with the lowest loss.

settings: dict[str, Any] = {"solver": "gd", "learning_rate": 0.1, "C": 0.1, "tol": 1e-3}
watched = GDLogisticRegression(**settings).fit(**given)
stopped = GDLogisticRegression(early_stopping=True, **settings).fit(**given)
LossCurveDisplay.from_estimators({"to the minimum": watched, "stopped": stopped})

at_minimum, at_best = (log_loss(y[held_out], model.predict_proba(X[held_out])) for model in (watched, stopped))
best = stopped.validation_loss_curve_.argmin()
print(f"log-loss of the held-out rows: {at_minimum:.3f} at the minimum of J, after {watched.n_iter_[0]} iterations,")
print(f"and {at_best:.3f} after {1 + best}; stopped after {stopped.n_iter_[0]}")
assert np.isclose(at_best, stopped.validation_loss_curve_[best])
assert at_best < at_minimum - 0.1

# %%
# A callback
# ----------
# ``on_fit_task_end`` of a callback gets the estimator that the fit would return if it ended here. If it returns True,
# the fit ends. This callback stops a fit when the accuracy on the training rows is high enough.


class StopAtAccuracy:
    """Ends a fit when the accuracy on the training rows is high enough."""

    def __init__(self, accuracy):
        self.accuracy = accuracy

    def setup(self, estimator, context):
        """Before the fit."""

    def on_fit_task_begin(self, estimator, context):
        """Before the fit, and before each iteration."""

    def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
        """After each iteration, and after the fit."""
        return fitted_estimator is not None and fitted_estimator.score(X, y) >= self.accuracy

    def teardown(self, estimator, context):
        """After the fit."""


model = GDLogisticRegression(**settings)
if hasattr(model, "set_callbacks"):  # scikit-learn 1.9 or later
    model.set_callbacks(StopAtAccuracy(0.85)).fit(X[train], y[train])
    print(f"accuracy {model.score(X[train], y[train]):.3f} after {model.n_iter_[0]} iterations")
    assert model.score(X[train], y[train]) >= 0.85
    assert not model.converged_
