"""
A stream: test on each batch, then learn from it
================================================

Rows come in batches and are not kept. The model predicts each batch and then learns from it, so every loss is a loss on
new rows. This is progressive validation. The features are raw, on scales over six orders of magnitude, and there is no
rate to tune.
"""

# %%
# A stream of 100 batches of 200 rows.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression

p = 20
rng = np.random.default_rng(0)
w, scales = rng.standard_normal(p) / np.sqrt(p), 10.0 ** rng.uniform(-3, 3, p)


def batches(seed):
    """A stream that is the same for the same seed."""
    rng = np.random.default_rng(seed)
    for _ in range(100):
        features = rng.standard_normal((200, p))
        y = (rng.random(200) < 1 / (1 + np.exp(-3 * features @ w))).astype(int)
        yield features * scales, y


# %%
# GDLogisticRegression records its progressive loss itself. C is large, because on raw features a penalty weighs most on
# features with small numbers.
model = GDLogisticRegression(C=1e6)
for X, y in batches(1):
    model.partial_fit(X, y, classes=[0, 1])
ours = np.array(model.progressive_loss_curve_)

# %%
# SGDClassifier needs a scaler, which also learns from the stream, and a rate. Nobody knows the best rate before the
# stream ends, so here are four.


def progressive_loss(rate):
    """The loss of SGDClassifier on each batch but the first, before it learned from the batch."""
    theirs = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=rate, random_state=0)
    scaler, losses = StandardScaler(), []
    for X, y in batches(1):
        if hasattr(theirs, "coef_"):
            losses.append(log_loss(y, theirs.predict_proba(scaler.transform(X)), labels=[0, 1]))
        theirs.partial_fit(scaler.partial_fit(X).transform(X), y, classes=[0, 1])
    return losses


by_rate = {rate: progressive_loss(rate) for rate in (1e-4, 1e-3, 1e-2, 1e-1)}

# %%
# No model can do better here than the true one.
X_all, y_all = map(np.concatenate, zip(*batches(1), strict=True))
truth = log_loss(y_all, 1 / (1 + np.exp(-3 * (X_all / scales) @ w)))


def running_mean(losses):
    """The mean of all losses so far."""
    return np.cumsum(losses) / np.arange(1, len(losses) + 1)


_, ax = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
batch = np.arange(2, 101)
for (rate, losses), dashes in zip(by_rate.items(), ("--", "-.", ":", (0, (6, 2))), strict=True):
    label = f"SGDClassifier, scaled, eta0={rate:g}"
    ax.plot(batch, running_mean(losses), color="#D55E00", linestyle=dashes, label=label)
ax.plot(batch, running_mean(ours[1:]), color="black", label="GDLogisticRegression.partial_fit, raw")
ax.axhline(truth, color="0.5", linewidth=0.8, label="the true model, all rows")
ax.set(xlabel="batch of 200 rows", ylabel="log-loss before learning, mean so far")
ax.grid(alpha=0.25)
ax.legend(fontsize=8)
plt.show()
for rate, losses in by_rate.items():
    print(f"SGDClassifier, eta0={rate:g}: mean loss {np.mean(losses):.4f}")
print(f"GDLogisticRegression: mean loss {np.mean(ours[1:]):.4f}; the true model {truth:.4f}")

# %%
# One pass over the stream comes near the loss of fit on all rows together.
batch_fit = GDLogisticRegression(C=1e6).fit(X_all, y_all)
loss = {name: log_loss(y_all, m.predict_proba(X_all)) for name, m in (("stream", model), ("fit", batch_fit))}
print(f"loss on all rows: after the stream {loss['stream']:.6f}, after fit {loss['fit']:.6f}")
assert loss["stream"] - loss["fit"] < 1e-3
assert np.mean(ours[1:]) < min(np.mean(losses) for losses in by_rate.values())
assert len(ours) == 100
