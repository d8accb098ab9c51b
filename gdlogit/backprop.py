r"""The derivation: from scores to the loss, and back.

One row has features x, scores z = W^T x + b and a label y. Every loss here is a function of z and y alone; the linear
layer around it lives in ``rows``. Shapes: m rows, k outputs; z and dz are (m, k), loss is (m,).

===========  =====================================  ===================================
             forward                                backward
===========  =====================================  ===================================
linear       z = X W + b                            dW = X^T dz,  db = sum_i dz_i
sigmoid      a = 1 / (1 + e^-z)                     dz = da * a (1 - a)
log-loss     L = -(y log a + (1 - y) log(1 - a))    da = -y / a + (1 - y) / (1 - a)
both         L = log(1 + e^z) - y z                 dz = a - y
softmax      a_c = e^z_c / sum_j e^z_j              dz_c = sum_j da_j a_j (1[j = c] - a_c)
its loss     L = -log a_y = logsumexp(z) - z_y      dz_c = a_c - 1[c = y]
===========  =====================================  ===================================

The rows named *both* and *its loss* are what the code computes, arranged so that nothing overflows and no digit
cancels: the loss and every dz are right to a few units in the last place, from z = 0 to the largest finite score.

Copied notes on this derivation often write m as ``X.shape(1)``; it is ``X.shape[1]``, with X of shape (n_features, m).

References
----------
Rumelhart, Hinton and Williams, "Learning representations by back-propagating errors", Nature 323 (1986).
Bishop, "Pattern Recognition and Machine Learning" (2006), sections 4.3.2 to 4.3.4.
Jaakkola and Jordan, "Bayesian parameter estimation via variational methods", Statistics and Computing 10 (2000).
"""

from typing import TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_expit, log_softmax

__all__ = ["LogisticGradient", "Sigmoid", "Softmax", "logistic_backward", "loss_of"]

FEW_SCORES = 32  # with more, sums over both z and an array stored row by row cost what the maximum saves
SMALL_SCORE = 0.4  # log of the largest quotient of two e^z, of a thousand such numbers / log of the largest number


class Sigmoid:
    """Two classes, one score: y is 0 or 1, z is (m, 1)."""

    n_outputs = n_margins = 1
    max_curvature = 1 / 4
    is_labelled = True  # not by a distribution: see ``soft_labels``

    @property
    def of_labels(self):
        """The loss of rows that have one label."""
        return self

    @staticmethod
    def labelled(y):
        """The rows as rows that have one label: the share and the label of each row."""
        yield 1.0, y

    @staticmethod
    def forward_backward(z, y):
        """Loss (m,) and dz (m, 1), through t, the score of the wrong class: L = log(1 + e^t), dz = +-sigma(t)."""
        half = 0.5 - y.astype(z.dtype)  # of the sign
        t = half * z[:, 0]  # half of it, so that t + |t| is max(score, 0), exactly
        size = np.abs(t)
        e = np.exp(-2 * size)  # at most 1: nothing overflows
        loss = t + size + np.log1p(e)
        dz = half * np.maximum(e, t >= 0) / (0.5 + 0.5 * e)
        return loss, dz[:, None]

    # --- Of several models side by side: scores z (m, M), signs (m,) and weights (m, M), stored by column -------------

    @staticmethod
    def signs(y):
        """The sign of dz in each row: t = sign z is the score of the wrong class, and dz = sign sigma(t)."""
        return 1.0 - 2.0 * y

    @staticmethod
    def backward(z, sign, weight):
        """Only the weighted dz: weight sigma(t) = weight / (1 + e^-t), where the weights have dz's signs."""
        e = np.multiply(z, -sign.astype(z.dtype)[:, None])
        with np.errstate(over="ignore", under="ignore"):  # e = inf is right: dz = 0
            np.exp(e, out=e)
        e += 1
        return np.divide(weight, e, out=e, casting="same_kind")

    @staticmethod
    def losses(z, sign):
        """The losses log(1 + e^t), and e = e^t, as large as it may be."""
        t = np.multiply(z, sign.astype(z.dtype)[:, None])
        e = np.minimum(t, np.log(np.finfo(t.dtype).max) - 1)
        with np.errstate(under="ignore"):
            np.exp(e, out=e)
            losses = np.log1p(e)
        return np.maximum(losses, t, out=losses), e  # log1p(e) >= t but for rounding and the limit of e

    @staticmethod
    def curvature(z):
        """The second derivative of the loss in z: c = a (1 - a), shape (m, 1)."""
        e = np.exp(-np.abs(z))
        return e / (1 + e) ** 2

    @staticmethod
    def secant_curvature(z, y):
        """The curvature; for rows on the wrong side, which have hardly any, the one that ``secant`` gives."""
        loss, dz = Sigmoid.forward_backward(z, y)
        return secant(loss, np.abs(dz[:, 0]))[:, None]

    @staticmethod
    def bend(c, dz):
        """The curvature times a change of the scores: c dz."""
        return c * dz

    @staticmethod
    def bend_diagonal(c):
        """The diagonal of the curvature: c."""
        return c

    @staticmethod
    def bend_sum(c, weight):
        """The weighted sum of the curvatures, shape (1, 1)."""
        return (weight @ c)[:, None]

    @staticmethod
    def tilt(z, v):
        """Probabilities tilted by a change v of the scores: see ``duality``.

        With a'_c = a_c (1 - t_c), t_c = v_c - E_a v and v_0 = 0: KL(a' || a), shape (m,); a - a', shape (m, 1); and the
        largest t, shape (m,).
        """
        a0, a1 = expit(-z[:, 0]), expit(z[:, 0])  # 1 - a1 would lose a small a0
        t0, t1 = seen_tilt(a0, -a1 * v[:, 0]), seen_tilt(a1, a0 * v[:, 0])
        return a0 * excess_of_tilt(t0) + a1 * excess_of_tilt(t1), (a1 * t1)[:, None], np.maximum(t0, t1)

    @staticmethod
    def margins(z, y):
        """The score of the row's own class less the score of the other, shape (m, 1)."""
        return np.where(y[:, None] == 1, z, -z)

    @staticmethod
    def is_margin(y):
        """Which of ``margins`` compare the own class with another."""
        return np.ones((len(y), 1), dtype=bool)

    @staticmethod
    def probabilities(z):
        """P(y = 0 | x) and P(y = 1 | x), shape (m, 2): 1 - P(y = 1 | x) would lose a small P(y = 0 | x)."""
        z, a = z[:, 0], np.empty((len(z), 2), z.dtype)
        with np.errstate(over="ignore", under="ignore"):  # e^z = inf is right: the probability is 0
            np.divide(1, 1 + np.exp(z), out=a[:, 0])
            expit(z, out=a[:, 1])  # as scikit-learn does, to the last bit
        return a

    @staticmethod
    def log_probabilities(z):
        """Log P, from the scores: finite where P itself rounds to zero."""
        return np.hstack([log_expit(-z), log_expit(z)])


class Softmax:
    """Three or more classes, one score each: y is 0, ..., k - 1, z is (m, k)."""

    max_curvature = 1 / 2  # the largest eigenvalue of diag(a) - a a^T, at a = (1/2, 1/2, 0, ...): Boehning 1992

    is_labelled = True

    def __init__(self, n_outputs):
        self.n_outputs = self.n_margins = n_outputs

    of_labels, labelled = Sigmoid.of_labels, staticmethod(Sigmoid.labelled)

    @staticmethod
    def forward_backward(z, y):
        """Loss (m,) and dz (m, k), the row's own class kept apart: 1 - a_y is a sum, not a difference."""
        (m, k), is_small = z.shape, are_small(z)
        if not is_small:
            z = below_largest(z)
        dz = np.exp(z, order="C")
        flat, own = dz.reshape(-1), np.arange(0, m * k, k) + y  # one index is faster than two
        e_own = flat[own]
        flat[own] = 0
        others = dz @ np.ones(k, dz.dtype)  # a product, for ``sum`` takes three times as long
        share = 1 / (e_own + others)
        loss = np.log1p(others / e_own) if is_small else np.log1p(others + (e_own - 1)) - z[np.arange(m), y]
        dz *= share[:, None]
        flat[own] = -others * share
        return loss, dz

    @staticmethod
    def curvature(z):
        """The second derivative of the loss in z is diag(c) - c c^T: c = a, shape (m, k)."""
        return Softmax.probabilities(z)

    @staticmethod
    def secant_curvature(z, y):
        """The same for the odds of a row's own class against all others; the others keep their proportions."""
        own = np.arange(len(y)), y
        loss, c = Softmax.forward_backward(z, y)
        miss = -c[own]
        mean = secant(loss, miss)
        others = 0.5 + np.sqrt(np.maximum(0.25 - mean, 0))  # others (1 - others) = mean, on the wrong side
        c *= np.where(miss > 0.5, others / np.maximum(miss, 0.5), 1)[:, None]
        c[own] = np.where(miss > 0.5, mean / others, 1 - miss)
        return c

    @staticmethod
    def bend(c, dz):
        """The curvature times a change of the scores: (diag(c) - c c^T) dz."""
        mean = np.einsum("ij...,ij...->i...", c, dz)  # a sum over short rows of a product takes three times as long
        return c * (dz - mean[:, None])

    @staticmethod
    def bend_diagonal(c):
        """The diagonal of the curvature: c (1 - c), where 1 - c of the likeliest class is the sum of the others."""
        top, others = (np.arange(len(c)), c.argmax(axis=1)), c.copy()
        others[top] = 0
        complement = 1 - c
        complement[top] = others.sum(axis=1)
        return c * complement

    @staticmethod
    def bend_sum(c, weight):
        """The weighted sum of the curvatures, shape (k, k): sum_i s_i (diag(c_i) - c_i c_i^T).

        c_j (1 - c_j) is computed as the sum of the other c_i c_j, so that each row of the matrix adds up to 0 exactly.
        """
        products = (c.T @ (weight.astype(c.dtype, copy=False)[:, None] * c)).astype(float, copy=False)
        np.fill_diagonal(products, 0)
        return np.diag(products.sum(axis=0)) - products

    @staticmethod
    def tilt(z, v):
        """Probabilities tilted by a change v of the scores: KL(a' || a), a - a' of shape (m, k), and the largest t."""
        a = Softmax.probabilities(z)
        t = seen_tilt(a, v - (a * v).sum(axis=1, keepdims=True))
        return (a * excess_of_tilt(t)).sum(axis=1), a * t, t.max(axis=1)

    @staticmethod
    def margins(z, y):
        """The score of the row's own class less each score, shape (m, k); 0 for the own class."""
        return z[np.arange(len(y)), y][:, None] - z

    def is_margin(self, y):
        """Which of ``margins`` compare the own class with another."""
        return np.arange(self.n_outputs) != y[:, None]

    @staticmethod
    def probabilities(z):
        """P(y = c | x), shape (m, k)."""
        with np.errstate(under="ignore"):
            a = np.exp(z if are_small(z) else below_largest(z), order="C")
            a /= (a @ np.ones(a.shape[1], a.dtype))[:, None]
        return a

    @staticmethod
    def log_probabilities(z):
        """Log P, from the scores: finite where P itself rounds to zero."""
        with np.errstate(over="ignore", under="ignore"):
            return log_softmax(z, axis=1)


def loss_of(n_classes, n_used=None):
    """The log-loss of ``n_classes`` classes. Of three or more, ``n_used`` have scores; by default all."""
    return Sigmoid() if n_classes == 2 else Softmax(n_used or n_classes)


def are_small(z):
    """Whether neither e^z nor a quotient of two such numbers overflows, so that no row needs its largest score."""
    most = SMALL_SCORE * np.log(np.finfo(z.dtype).max)
    return bool(z.max(initial=0) <= most and z.min(initial=0) >= -most)


def below_largest(z):
    """The scores of each row less the largest. NumPy finds the largest of few scores faster column by column."""
    z = np.asfortranarray(z) if z.shape[1] <= FEW_SCORES else z
    with np.errstate(over="ignore"):  # a score 1e308 below another is -inf below it: e^-inf = 0 is right
        return z - z.max(axis=1, keepdims=True)


def secant(loss, miss):
    """The curvature a (1 - a) of a row whose own class has a = 1 - miss; if a < 1/2, the mean from there to 1/2.

    The mean over the log-odds is (miss - 1/2) / log(miss / a). Take the parabola with this curvature that touches the
    loss at the row's score. It touches the loss once more, at the reversed odds, and is nowhere below the loss
    (Jaakkola and Jordan). So a step to the parabola's minimum lowers the loss, however far the row is on the wrong
    side.
    """
    wrong = miss > 0.5
    odds = np.log(miss, where=wrong, out=np.ones_like(loss)) + loss
    return np.where(wrong, np.minimum((miss - 0.5) / odds, 0.25), miss * (1 - miss))


def seen_tilt(a, t):
    """The tilt t of probabilities a, and 0 where a t >= a is lost in rounding beside the other probabilities of a row.

    A step may move the score of a class that no row takes for likely by any amount.
    """
    return np.where((t >= 1) & (a * t <= np.finfo(a.dtype).eps), 0, t)


def excess_of_tilt(t):
    """The terms (1 - t) log(1 - t) + t of a KL divergence, which are never negative, for t < 1; 0 for other t."""
    t = np.where(t < 1, t, 0)
    return (1 - t) * np.log1p(-t) + t


class LogisticGradient(TypedDict):
    """dJ/dw and dJ/db."""

    dw: NDArray[np.float64]
    db: float


def logistic_backward(X: ArrayLike, Y: ArrayLike, A: ArrayLike) -> LogisticGradient:
    """One backward pass of logistic regression, as the textbook writes it.

    For m examples as the *columns* of X, with Z = w^T X + b, A = sigma(Z) and the mean log-loss J:

        dZ = A - Y,    dw = 1/m X dZ^T,    db = 1/m sum(dZ).

    Parameters
    ----------
    X : array-like of shape (n_features, m)
        The examples, one in each column (scikit-learn's X, transposed).
    Y : array-like of shape (m,) or (1, m)
        The labels, 0 or 1.
    A : array-like of shape (m,) or (1, m)
        The activations sigma(Z), between 0 and 1.

    Returns
    -------
    dict
        ``"dw"``, of shape (n_features, 1): dJ/dw; and ``"db"``, a float: dJ/db.

    Raises
    ------
    ValueError
        If X is not two-dimensional, or Y or A do not hold one number per column of X.

    References
    ----------
    Bishop, "Pattern Recognition and Machine Learning" (2006), equation 4.91.

    Examples
    --------
    >>> import numpy as np
    >>> from gdlogit import logistic_backward
    >>> X = np.array([[1.0, 2.0, -1.0], [3.0, 0.5, -3.2]])
    >>> A = 1 / (1 + np.exp(-(np.array([[1.0, 2.0]]) @ X + 1.5)))
    >>> logistic_backward(X, [1, 1, 0], A)["dw"].round(6).tolist()
    [[-0.008303], [-0.004949]]
    """
    X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(f"X must be two-dimensional, (n_features, m); got an array of shape {X.shape}.")
    m = X.shape[1]
    Y, A = (_as_row(name, value, m) for name, value in (("Y", Y), ("A", A)))
    dZ = A - Y
    return {"dw": X @ dZ.T / m, "db": float(dZ.sum() / m)}


def _as_row(name: str, value: ArrayLike, m: int) -> NDArray[np.float64]:
    value = np.asarray(value, dtype=float)
    if value.shape not in {(m,), (1, m)}:
        raise ValueError(f"{name} must have shape ({m},) or (1, {m}), one number per column of X; got {value.shape}.")
    return value.reshape(1, m)
