"""
Choosing C on a raw table
=========================

A path of 60 values of C and ten folds are 660 fits. They share their passes over the data.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold

from gdlogit import CVCurveDisplay, GDLogisticRegressionCV, RegularizationPathDisplay

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
y = np.where(y == 1, "benign", "malignant")
folds = StratifiedKFold(10, shuffle=True, random_state=0)
model = GDLogisticRegressionCV(Cs=60, cv=folds, random_state=0).fit(X, y)

# %%
# The loss of the held-out rows falls as the penalty gives way, one scale of features after another, and rises where
# the model begins to learn the rows by heart. The one-standard-error rule takes a stronger penalty than the best.
CVCurveDisplay.from_estimator(model)
plt.show()

# %%
# The coefficients per standard deviation of their feature, so that they can be compared.
RegularizationPathDisplay.from_estimator(model, scale=X.std())
plt.show()

# %%
# Every point of the path is a fitted model, with a proof of how near it is to its minimum.
simple = model.at(model.C_1se_)
print(f"best C {model.C_best_:.3g}, within one standard error {model.C_1se_:.3g}")
assert model.C_1se_ < model.C_best_
assert model.duality_gap_path_.max() < 1e-6
assert simple.score(X, y) > 0.94
