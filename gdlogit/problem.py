"""The problem to solve, and the coordinates in which a descent solves it.

    J(theta) = 1/S sum_i s_i loss(y_i, W^T x_i + b + o_i) + R(theta),    S = sum_i s_i

A ``Problem`` is J in the user's terms: rows as given, with an offset o_i that may be 0, loss and penalty. The user's
theta has W and b for the given features. A descent works in other ``Coordinates``, in which J has the same values but
is better conditioned, or has fewer parameters:

    given      features as given
    centred    features measured from about their means:  W' = W,  b' = b + centre^T W
    spanned    few rows of many features, in the space that the rows span:  W' = Q^T W, with Q orthogonal

``into`` makes the descent's theta from the user's, ``out_of`` the user's from the descent's; both are linear.
Coordinates depend on the rows and not on the strength of the penalty, so a path over C makes them once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .backprop import loss_of
from .bounds import bounded
from .data.memory import rows_of
from .data.rows import Rows
from .data.span import compact
from .penalty import ElasticNet, Penalty, penalty_in
from .summands import weight_of_classes

__all__ = ["Coordinates", "Problem"]


class Problem(NamedTuple):
    """Rows, a loss of their scores, and a penalty on theta.

    ``factors`` and ``bounds`` are what penalties of other strengths have in common with this one.
    """

    rows: Rows
    loss: Any
    penalty: Penalty
    factors: Any = None
    bounds: Any = None

    @classmethod
    def of(
        cls,
        X,
        codes,
        weight,
        n_classes,
        *,
        n_used=None,
        C=np.inf,
        l1_ratio=0.0,
        intercept=True,
        factors=None,
        offset=None,
        loss=None,
        bounds=None,
    ) -> "Problem":
        """The problem of arrays: rows X, class codes from 0, weights; and the penalty in scikit-learn's terms.

        Where there are more than two classes, ``n_used`` of them have a score and a code; the default is all classes. A
        ``loss`` other than that of labels may take other values as codes: see ``soft_labels``. ``bounds`` are the
        bounds of the coefficients: see ``bounds``.
        """
        loss = loss or loss_of(n_classes, n_used)
        rows = rows_of(X, codes, weight, intercept, loss.n_outputs, offset=offset)
        return cls(rows, loss, ElasticNet(0.0), factors, bounds).penalised(C, l1_ratio)

    def penalised(self, C: float, l1_ratio: float = 0.0) -> "Problem":
        """The same rows with another penalty, in scikit-learn's terms."""
        return self._replace(penalty=self.penalty_of(C, l1_ratio, self.rows.total))

    def penalty_of(self, C: float, l1_ratio: float, total: float) -> Penalty:
        """The penalty, in scikit-learn's terms, where the weights of the rows have some total."""
        return bounded(ElasticNet.of(C, l1_ratio, total, self.factors), self.bounds)

    def in_float64(self) -> "Problem":
        """The same with rows in memory that are read in float64."""
        return self._replace(rows=self.rows.in_float64())

    def weighted(self, share: np.ndarray) -> "Problem":
        """The same, the weight of each row multiplied by its share; the penalty stays."""
        return self._replace(rows=self.rows.reweighted(share))

    def restricted(self, features: np.ndarray) -> "Problem":
        """The same with only some features, which are copied, and without a penalty."""
        factors = None if self.factors is None else self.factors[features]
        bounds = None if self.bounds is None else tuple(side[features] for side in self.bounds)
        return Problem(self.rows.with_columns(features), self.loss, ElasticNet(0.0), factors, bounds)

    def augmented(self, weight: np.ndarray) -> "Problem":
        """The same rows, and each row once more for each class, with weights (n, n_classes) and a feature as mark."""
        return self._replace(rows=self.rows.augmented(weight))

    def best_intercepts(self) -> np.ndarray:
        """The best intercepts where all coefficients are 0: the classes' log-frequencies; 0 without intercepts."""
        k = self.loss.n_outputs
        if not self.rows.constant:
            return np.zeros(k)
        log_frequency = np.log(self.rows.sum(partial(weight_of_classes, max(2, k)))[0])
        return log_frequency[1:] - log_frequency[:1] if k == 1 else log_frequency

    @property
    def copies_features(self) -> bool:
        """Whether ``restricted`` can be asked for: rows in memory alone can copy features."""
        return self.rows.copies_features

    @property
    def needs_units(self) -> bool:
        """Whether some features are measured in units of their own, in which their penalties differ."""
        return np.ndim(self.rows.centred().unit) > 0

    @property
    def has_offset(self) -> bool:
        """Whether an offset is added to the rows' scores."""
        return self.rows.has_offset

    @property
    def dtype(self) -> np.dtype:
        """The floating-point type of X."""
        return self.rows.dtype

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of the user's theta: (p + 1, k)."""
        return self.rows.n_features + 1, self.loss.n_outputs


class Coordinates(NamedTuple):
    """The coordinates of a descent, and the maps between them and the user's.

    ``given`` are the rows as given, ``centred`` the same rows with features measured from the descent's centre, and
    ``rows`` the rows of the descent. ``lower`` is the linear map from a theta of ``centred`` to a theta of ``rows``,
    and ``lift`` the map back.
    """

    given: Rows
    centred: Rows
    rows: Rows
    lower: Callable[[np.ndarray], np.ndarray]
    lift: Callable[[np.ndarray], np.ndarray]
    in_spreads: bool = False

    @classmethod
    def as_given(cls, rows: Rows) -> "Coordinates":
        """The features as given, for the textbook's descents."""
        return cls(rows, rows, rows.copied_if_few(), _same, _same)

    @classmethod
    def of_newton(cls, rows: Rows, max_rows: int, in_spreads: bool = False, by_products: bool = False) -> "Coordinates":
        """Features measured from about their means; in the span of the rows, if there are more features than rows.

        The span needs fewer than ``max_rows`` rows. ``in_spreads`` is for no penalty: it makes the span for features in
        units of their spreads. A descent ``by_products``, without Hessians, needs nearer means, and CSR in the place of
        dense rows of hardly more than zeros.
        """
        centred = (rows.compressed() if by_products else rows).centred(nearer=by_products)
        has_units = np.ndim(centred.unit) > 0  # in which a penalty is not the same for all features
        spanned, lower, lift = compact(centred, 0 if has_units and not in_spreads else max_rows, in_spreads)
        return cls(rows, centred, spanned.copied_if_few(), lower, lift, in_spreads)

    @classmethod
    def of_means(cls, rows: Rows) -> "Coordinates":
        """Features measured from about their means, without a copy or a span."""
        centred = rows.centred()
        return cls(rows, centred, centred, _same, _same)

    def copied_for_passes(self) -> "Coordinates":
        """The same over a copy of the rows, if the rows are in float64 and the copy is no larger than a sample may be.

        The copy has the centre subtracted once, which pays where tens of Hessians are made from the rows.
        """
        rows = self.rows
        if rows.dtype != np.float64 or rows.largest_sample < rows.n_rows:
            return self
        return self._replace(rows=rows.take(np.arange(rows.n_rows)))

    def measured_like(self, rows: Rows) -> "Coordinates":
        """The coordinates of the same rows, with features measured from another centre."""
        return Coordinates(self.given, rows, rows, _same, _same)

    @property
    def is_spanned(self) -> bool:
        """Whether these are coordinates of the space that few rows span."""
        return self.rows.n_features != self.given.n_features

    def serve(self, rows: Rows, max_rows: int, in_spreads: bool = False) -> bool:
        """Whether a fit to these rows can use these coordinates; a span only if the fit would make the same one."""
        may_be_spanned = rows.n_counted < max_rows and self.in_spreads == in_spreads
        return self.given is rows and (may_be_spanned or not self.is_spanned)

    def zero(self, k: int) -> np.ndarray:
        """The descent's theta of k outputs where all coefficients are 0."""
        return np.zeros((self.rows.n_features + 1, k))

    def into(self, theta: np.ndarray) -> np.ndarray:
        """The descent's theta for a theta of the user."""
        return self.lower(self.centred.enter(theta))

    def out_of(self, theta: np.ndarray) -> np.ndarray:
        """The user's theta for a theta of the descent. The intercepts of a softmax add up to 0.

        A softmax does not change where all its intercepts do by the same amount, and intercepts have no penalty.
        """
        theta = self.centred.leave(self.lift(theta))
        if theta.shape[1] > 1:
            theta[-1] -= theta[-1].mean()
        return theta

    def out_of_each(self, thetas: np.ndarray) -> np.ndarray:
        """``out_of`` of several thetas (M, p + 1, k) at once."""
        M, p, k = thetas.shape
        users = self.centred.leave(self.lift(thetas.transpose(1, 0, 2).reshape(p, M * k)))
        users = np.ascontiguousarray(users.reshape(len(users), M, k).transpose(1, 0, 2))
        if k > 1:
            users[:, -1] -= users[:, -1].mean(axis=1, keepdims=True)
        return users

    def penalty(self, penalty: Penalty) -> Penalty:
        """The penalty of the descent's theta, of one of the user's theta."""
        return penalty_in(penalty, self.centred.unit)

    def slopes(self, gradient: np.ndarray) -> np.ndarray:
        """The largest slope of each of the user's coefficients, (p,), where features are not in their rows' span."""
        return np.abs(gradient[:-1]).max(axis=1) * self.centred.unit

    def covariance(self, V: np.ndarray, k: int = 1) -> np.ndarray:
        """The covariance T V T^T of the user's flat theta, where V (P, P) is the covariance of the descent's.

        T is the linear map ``out_of`` between flat thetas of k columns, without the shift of a softmax's intercepts,
        which does not change differences between classes.
        """
        return self._out_of_columns(self._out_of_columns(V, k).T, k)

    def _out_of_columns(self, columns: np.ndarray, k: int) -> np.ndarray:
        n = columns.shape[1]
        users = self.centred.leave(self.lift(columns.reshape(-1, k * n)))
        return users.reshape(-1, n)


def _same(theta: np.ndarray) -> np.ndarray:
    return theta
