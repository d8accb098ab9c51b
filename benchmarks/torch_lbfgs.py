"""Logistic regression as people write it in PyTorch: a linear layer, cross-entropy, and torch.optim.LBFGS.

All rows are in each step, and the line search finds the strong Wolfe conditions. J is that of the other methods. The
features are raw or scaled; scaled, the penalty is still that of the raw features' coefficients.
"""

import numpy as np
from sklearn.base import BaseEstimator

HISTORY = 10  # secant pairs, as scikit-learn's lbfgs has


class TorchLBFGS(BaseEstimator):
    """The fit; ``coef_`` and ``intercept_`` are for raw features."""

    def __init__(self, C, max_iter, tol, scaled=False):
        self.C, self.max_iter, self.tol, self.scaled = C, max_iter, tol, scaled

    def fit(self, X, y):
        """Fit X (n, p) and class codes y."""
        import torch

        n, p, n_classes = *X.shape, len(np.unique(y))
        k = n_classes if n_classes > 2 else 1
        centre = X.mean(axis=0) if self.scaled else np.zeros(p, X.dtype)
        unit = X.std(axis=0) if self.scaled else np.ones(p, X.dtype)
        unit[unit == 0] = 1
        rows = torch.from_numpy((X - centre) / unit if self.scaled else X)
        units = torch.from_numpy(unit)
        labels = torch.from_numpy(np.asarray(y)).long() if k > 1 else torch.from_numpy(y.astype(X.dtype))[:, None]
        W, b = (torch.zeros(shape, dtype=rows.dtype, requires_grad=True) for shape in ((p, k), (k,)))
        losses = torch.nn.functional
        loss = losses.cross_entropy if k > 1 else losses.binary_cross_entropy_with_logits
        optimizer = torch.optim.LBFGS(
            [W, b],
            max_iter=self.max_iter,
            max_eval=25 * self.max_iter,
            tolerance_grad=self.tol,
            tolerance_change=self.tol,
            history_size=HISTORY,
            line_search_fn="strong_wolfe",
        )

        def closure():
            optimizer.zero_grad()
            J = loss(rows @ W + b, labels) + ((W / units[:, None]) ** 2).sum() / (2 * self.C * n)
            J.backward()
            return J

        optimizer.step(closure)
        coef = W.detach().numpy() / unit[:, None]
        self.coef_, self.intercept_ = coef.T, b.detach().numpy() - centre @ coef
        return self
