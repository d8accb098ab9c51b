"""
Digits: a softmax, and what it looks for
========================================

1,797 images of 8 x 8 pixels, ten classes, straight from the scanner's 0 to 16. A softmax has one weight for each pixel
and class, so its coefficients are ten images: where ink speaks for a digit, and where against it.
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
# Dark is against the digit, light is for it; the frame is at zero.
figure, axes = plt.subplots(2, 5, figsize=(7, 3.2), layout="constrained")
most = np.abs(model.coef_).max()
for ax, digit, weights in zip(axes.flat, model.classes_, model.coef_, strict=True):
    image = ax.imshow(weights.reshape(8, 8), cmap="gray", vmin=-most, vmax=most)
    ax.set_title(f"{digit}")
    ax.set_axis_off()
figure.colorbar(image, ax=axes, label="change of the score\nper grey level")
plt.show()

# %%
# What the softmax does not see: a constant added to all classes. The penalty chooses the one that sums to zero.
assert model.converged_
assert accuracy > 0.95
np.testing.assert_allclose(model.coef_.sum(axis=0), 0, atol=1e-6)
np.testing.assert_allclose(model.predict_proba(X_test).sum(axis=1), 1)
