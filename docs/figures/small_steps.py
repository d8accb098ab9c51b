"""Gradient descent on J = w^2 from w = 2 with three step lengths: small enough, at the limit, and too large."""

import matplotlib.pyplot as plt
import numpy as np

_, axes = plt.subplots(1, 3, figsize=(8, 2.9), layout="constrained", sharey=True)
for ax, alpha in zip(axes, (0.1, 1.0, 1.1), strict=True):
    w = 2 * (1 - 2 * alpha) ** np.arange(5)  # w := w - alpha 2 w, four times
    line = np.linspace(-3.6, 3.6, 100)
    ax.plot(line, line**2, color="0.7")
    ax.plot(w, w**2, "o-", color="#D55E00", linewidth=1)
    ax.annotate("start", (2, 4), xytext=(6, -4), textcoords="offset points")
    ax.set(title=f"alpha = {alpha}", xlabel="w", xlim=(-4.5, 4.5), ylim=(-0.8, 13.5))
axes[0].set_ylabel("J = w²")
