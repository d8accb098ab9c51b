"""
Digits: the coefficients of a softmax as images
===============================================

1,797 images of 8 x 8 pixels in ten classes, with the scanner's grey levels from 0 to 16. A softmax has one coefficient
for each pixel and class. The coefficients of a class form an image that shows where ink makes the digit more likely,
and where less likely.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gdlogit import GDLogisticRegression

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
model = GDLogisticRegression(C=0.01, random_state=0).fit(X_train, y_train)
accuracy = model.score(X_test, y_test)
print(f"{model.n_iter_[0]} iterations, duality gap {model.duality_gap_:.0e}, accuracy on new images {accuracy:.3f}")

# %%
# Ink on a light pixel makes the digit more likely, ink on a dark pixel less likely. The grey of the frame is zero.
figure, axes = plt.subplots(2, 5, figsize=(7, 3.2), layout="constrained")
most = np.abs(model.coef_).max()
for ax, digit, weights in zip(axes.flat, model.classes_, model.coef_, strict=True):
    ax.imshow(weights.reshape(8, 8), cmap="gray", vmin=-most, vmax=most)
    ax.set_title(f"{digit}")
    ax.set_axis_off()
figure.colorbar(axes[0, 0].images[0], ax=axes, label="change of the score\nper grey level")
plt.show()

# %%
# Adding the same number to the coefficients of all classes changes no probability. The penalty makes them sum to zero.
assert model.converged_
assert accuracy > 0.95
np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-6)
np.testing.assert_allclose(model.predict_proba(X_test).sum(axis=1), 1)
