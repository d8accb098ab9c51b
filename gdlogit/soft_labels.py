r"""The loss of rows whose label is a distribution: probabilities of the classes, or shares of counts.

    loss(z) = sum_c q_c loss(z, c) = log sum_c e^{z_c} - q . z,    dz = a - q,    sum_c q_c = 1

A row with the distribution q and the weight s has the loss and the gradient of K rows with the labels c and the weights
s q_c. The curvature does not depend on the label. y is q_1, shape (m,), for two classes and q, shape (m, k), for more.
A row has the margins of every label whose q_c is above 0.

References
----------
Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network" (2015).
McCullagh and Nelder, "Generalized Linear Models" (1989), section 4.3 (grouped data).
"""

import numpy as np

from .backprop import Sigmoid, Softmax

__all__ = ["SoftSigmoid", "SoftSoftmax", "soft_loss_of"]


class SoftSigmoid(Sigmoid):
    """Two classes, one score: y is the share of the second, from 0 to 1."""

    n_margins = 2
    is_labelled = False
    of_labels = Sigmoid()

    @staticmethod
    def forward_backward(z, y):
        """Loss (m,) and dz (m, 1), for a share of 0 or 1 as precise as for a label.

        With q, the share of the less probable class, and t = |z|: L = q t + log(1 + e^-t), dz = +-(q - sigma(-t)).
        Selections by ``where`` would double the time, for no processor foresees the signs of the scores.
        """
        z, y = z[:, 0], y.astype(z.dtype, copy=False)
        above, size = (z >= 0).astype(z.dtype), np.abs(z)
        e, share = np.exp(-size), above - y  # +-q
        dz = share - (above - 0.5) * e / (0.5 + 0.5 * e)
        return np.abs(share) * size + np.log1p(e), dz[:, None]

    @staticmethod
    def secant_curvature(z, y):
        """That of rows with the label of the larger share."""
        return Sigmoid.secant_curvature(z, y > 0.5)

    @staticmethod
    def labelled(y):
        """The rows as labelled ones: the share (m, 1) and the label of each row, one class after another."""
        yield 1 - y[:, None], np.zeros(len(y), dtype=np.uint8)
        yield y[:, None], np.ones(len(y), dtype=np.uint8)

    @staticmethod
    def margins(z, y):
        """The score of each class less the other's, shape (m, 2); 0 for a class that is no label of the row."""
        return np.hstack([-z, z]) * SoftSigmoid.is_margin(y)

    @staticmethod
    def is_margin(y):
        """Which of ``margins`` belong to a label of the row."""
        return np.column_stack([y < 1, y > 0])


class SoftSoftmax(Softmax):
    """Three or more classes, one score each: y has the share of each class, shape (m, k); its rows add up to 1."""

    is_labelled = False

    def __init__(self, n_outputs):
        super().__init__(n_outputs)
        self.n_margins = n_outputs**2

    @property
    def of_labels(self):
        """The loss of rows that have one label."""
        return Softmax(self.n_outputs)

    @staticmethod
    def forward_backward(z, y):
        """Loss (m,) and dz (m, k), the most probable class kept apart: 1 - a is a sum there, not a difference."""
        y = y.astype(z.dtype, copy=False)
        top = np.arange(len(z)), z.argmax(axis=1)
        with np.errstate(over="ignore"):
            shifted = z - z.max(axis=1, keepdims=True)
        e = np.exp(shifted)
        e[top] = 0
        others = e.sum(axis=1)
        e[top] = 1
        a = e / (1 + others)[:, None]
        complement = 1 - a
        complement[top] = others / (1 + others)
        with np.errstate(invalid="ignore"):
            mean_score = np.where(y > 0, y * shifted, 0).sum(axis=1)
        return np.log1p(others) - mean_score, (1 - y) * a - y * complement

    @staticmethod
    def secant_curvature(z, y):
        """That of rows with the label of the largest share."""
        return Softmax.secant_curvature(z, y.argmax(axis=1))

    def labelled(self, y):
        """The rows as labelled ones: the share (m, 1) and the label of each row, one class after another."""
        for c in range(self.n_outputs):
            yield y[:, c : c + 1], np.full(len(y), c)

    @staticmethod
    def margins(z, y):
        """The score of each class less each other score, shape (m, k k); 0 for a class that is no label of the row."""
        apart = (z[:, :, None] - z[:, None, :]).reshape(len(z), -1)
        return apart * SoftSoftmax.is_margin(y)

    @staticmethod
    def is_margin(y):
        """Which of ``margins`` compare a label of the row with another class."""
        other = ~np.eye(y.shape[1], dtype=bool)
        return ((y > 0)[:, :, None] & other).reshape(len(y), -1)


def soft_loss_of(n_classes):
    """The loss of distributions over ``n_classes`` classes."""
    return SoftSigmoid() if n_classes == 2 else SoftSoftmax(n_classes)
