"""The coefficients: which features matter most, for which class, and in which direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_array, check_is_fitted

from ..estimators.pipelines import unwrapped
from ..typing import Floats, Matrix
from .forest import draw_forest, height_of
from .style import pyplot, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from ..inference.result import InferenceResult

__all__ = ["CoefficientDisplay"]


class CoefficientDisplay:
    """The largest coefficients of a fit, by name.

    Parameters
    ----------
    coef : ndarray of shape (n_outputs, n_features)
        Coefficients, per unit of the feature or per standard deviation.
    feature_names : ndarray of shape (n_features,)
        Names of the features.
    classes : ndarray of shape (n_outputs,)
        The class whose score each row of ``coef`` raises.
    unit : str
        The change of the feature that a coefficient refers to: "unit" or "standard deviation".
    limits : ndarray of shape (n_outputs, n_features, 2), default=None
        The lower and upper limit of each coefficient's interval.
    conf_level : float, default=None
        The coverage of the intervals.
    reference : label of a class, default=None
        The class that the log-odds of an inference compare each class of ``classes`` with.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure with the coefficients.
    points_ : list of matplotlib Line2D
        The markers, one artist for each class.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from gdlogit import CoefficientDisplay, GDLogisticRegression
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> display = CoefficientDisplay.from_estimator(GDLogisticRegression().fit(X, y), X, k=3)
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['flavanoids', 'color_intensity', 'proline']
    """

    ax_: Axes
    figure_: Figure
    points_: list[Line2D]

    def __init__(
        self,
        *,
        coef: Floats,
        feature_names: NDArray[Any],
        classes: NDArray[Any],
        unit: str,
        limits: NDArray[np.float64] | None = None,
        conf_level: float | None = None,
        reference: Any = None,
    ) -> None:
        self.coef = coef
        self.feature_names = feature_names
        self.classes = classes
        self.unit = unit
        self.limits = limits
        self.conf_level = conf_level
        self.reference = reference

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Matrix | None = None,
        *,
        feature_names: ArrayLike | None = None,
        k: int = 15,
        odds_ratio: bool = False,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the largest coefficients of a fitted estimator.

        Parameters
        ----------
        estimator : classifier with ``coef_`` and ``classes_``, or a Pipeline or a search that ends in one
            A fitted estimator. In a Pipeline, the features are those of the classifier, after the other steps.
        X : {array-like, sparse matrix} of shape (n_samples, n_features), default=None
            Rows, as ``estimator.predict`` takes them, that give the standard deviation of each feature. Coefficients
            are then per standard deviation and can be compared. Without X, coefficients are per unit, as in ``coef_``:
            the coefficient of a feature in euros is small only because a euro is a small unit.
        feature_names : array-like of shape (n_features,), default=None
            Names of the features. Default: the names that the classifier was fitted with, the names that the Pipeline's
            steps give, or the columns of X; otherwise x0, x1, ...
        k, odds_ratio, ax
            As in ``plot``.

        Returns
        -------
        CoefficientDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X or feature_names do not have one column or name per feature.
        """
        found = unwrapped(estimator)
        model = found.model
        check_is_fitted(model)
        coef = model.coef_.toarray() if sp.issparse(model.coef_) else np.asarray(model.coef_)
        if X is not None:
            coef = coef * _deviations(found.transform(X), coef.shape[1])
        if feature_names is None:
            feature_names = found.feature_names(X) or [f"x{j}" for j in range(coef.shape[1])]
        names = np.asarray(feature_names)
        _require_one_per_feature("feature_names", "names", len(names), coef.shape[1])
        classes = model.classes_[1:] if len(coef) == 1 else model.classes_
        unit = "unit" if X is None else "standard deviation"
        return cls(coef=coef, feature_names=names, classes=classes, unit=unit).plot(ax, k=k, odds_ratio=odds_ratio)

    @classmethod
    def from_inference(
        cls,
        result: InferenceResult,
        *,
        conf_level: float = 0.95,
        k: int = 15,
        odds_ratio: bool = False,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the coefficients of an inference with their intervals: a forest plot.

        Parameters
        ----------
        result : InferenceResult
            What ``model.inference`` gives. Aliased features, and the intercept, are not drawn.
        conf_level : float, default=0.95
            The coverage of the intervals.
        k, odds_ratio, ax
            As in ``plot``.

        Returns
        -------
        CoefficientDisplay

        Examples
        --------
        >>> from sklearn.datasets import load_wine
        >>> from gdlogit import CoefficientDisplay, GDLogisticRegression
        >>> X, y = load_wine(return_X_y=True, as_frame=True)
        >>> X, y = X[["alcohol", "hue"]], y == 1
        >>> result = GDLogisticRegression(C=float("inf")).fit(X, y).inference(X, y)
        >>> display = CoefficientDisplay.from_inference(result, odds_ratio=True)
        >>> display.ax_.get_xscale()
        'log'
        """
        first = len(result.names) - len(result.features)
        shape = len(result.features), len(result.classes)
        coef = result.params[first:].reshape(shape).T
        limits = result.conf_int(1 - conf_level)[first:].reshape(*shape, 2).transpose(1, 0, 2)
        is_estimated = np.isfinite(coef).all(axis=0)
        display = cls(
            coef=coef[:, is_estimated],
            feature_names=np.array(result.features)[is_estimated],
            classes=np.array(result.classes),
            unit="unit",
            limits=limits[:, is_estimated],
            conf_level=conf_level,
            reference=result.reference,
        )
        return display.plot(ax, k=k, odds_ratio=odds_ratio)

    def largest(self, k: int) -> NDArray[np.intp]:
        """Indices of the k features with the largest coefficient of any class, largest first.

        With intervals, features are ordered by the coefficient's absolute value over the width of its interval.
        """
        magnitude = np.abs(self.coef)
        if self.limits is not None:
            magnitude = magnitude / (self.limits[..., 1] - self.limits[..., 0])
        return np.argsort(-magnitude.max(axis=0), kind="stable")[:k]

    def plot(self, ax: Axes | None = None, *, k: int = 15, odds_ratio: bool = False) -> Self:
        """Draw the coefficients, the largest on top; with intervals, in the order of the features.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.
        k : int, default=15
            Number of features to draw.
        odds_ratio : bool, default=False
            Whether to draw exp(coefficient) on a log axis. With two classes this is the factor of the odds; with more
            classes, the ratio of the values of two classes is an odds ratio.

        Returns
        -------
        CoefficientDisplay
            self.
        """
        plt = pyplot("CoefficientDisplay")
        if self.limits is not None:
            return self._plot_forest(plt, ax, k, odds_ratio)
        shown = self.largest(k)[::-1]
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 1.6 + 0.28 * len(shown)), layout="constrained")
        self.ax_, self.figure_, self.points_ = ax, ax.figure.figure, []
        place = np.arange(len(shown))
        values = np.exp(self.coef[:, shown]) if odds_ratio else self.coef[:, shown]
        neutral = 1.0 if odds_ratio else 0.0
        ax.axvline(neutral, color="0.3", linewidth=1)
        ax.hlines(place, np.minimum(values.min(axis=0), neutral), np.maximum(values.max(axis=0), neutral), color="0.8")
        for i, (label, row) in enumerate(zip(self.classes, values, strict=True)):
            self.points_ += ax.plot(row, place, label=f"{label}", **style(i) | {"linestyle": ""})
        if odds_ratio:
            ax.set_xscale("log")
        ax.set_yticks(place, self.feature_names[shown])
        ax.grid(axis="x", alpha=0.25)
        if len(self.coef) == 1:
            quantity = f"{'odds ratio' if odds_ratio else 'change of the log-odds'} of class {self.classes[0]}"
        else:  # differences of a softmax's scores are log-odds
            quantity = "factor of exp(score)" if odds_ratio else "change of the score"
        ax.set_xlabel(f"{quantity} per {self.unit}")
        self._say_how_many(len(shown), "largest")
        if len(self.coef) > 1:
            ax.legend(title="class", loc="upper left", bbox_to_anchor=(1, 1), ncols=1 + (len(self.coef) > len(shown)))
        return self

    def _plot_forest(self, plt: Any, ax: Axes | None, k: int, odds_ratio: bool) -> Self:
        assert self.limits is not None
        shown = np.sort(self.largest(k))
        values, limits = self.coef[:, shown], self.limits[:, shown]
        if odds_ratio:
            values, limits = np.exp(values), np.exp(limits)
        if ax is None:
            size = 7.2, height_of(len(shown), len(self.classes))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure.figure
        self.points_ = draw_forest(ax, list(self.feature_names[shown]), list(self.classes), values, limits, odds_ratio)
        classes = f" of {self.classes[0]}" if len(self.classes) == 1 else f" against {self.reference}"
        ax.set_xlabel(
            f"{'odds ratio' if odds_ratio else 'log-odds'}{classes} per {self.unit}, {self.conf_level:.0%} interval"
        )
        self._say_how_many(len(shown), "most significant")
        return self

    def _say_how_many(self, n_shown: int, which: str) -> None:
        n = len(self.feature_names)
        if n_shown < n:
            self.ax_.set_title(f"the {n_shown} {which} of {n:,} features", loc="left", fontsize="medium")

    def frame(self) -> pd.DataFrame:
        """The coefficients as a pandas DataFrame: columns feature, class, coefficient, odds_ratio; largest first."""
        import pandas as pd

        order = self.largest(len(self.feature_names))
        coef = self.coef[:, order].T.ravel()
        with np.errstate(over="ignore"):
            odds_ratio = np.exp(coef)
        return pd.DataFrame(
            {
                "feature": np.repeat(self.feature_names[order], len(self.classes)),
                "class": np.tile(self.classes, len(order)),
                "coefficient": coef,
                "odds_ratio": odds_ratio,
            }
        )


def _deviations(X: Any, n_features: int) -> NDArray[np.float64]:
    """The standard deviation of each feature."""
    X = check_array(X, accept_sparse=("csr", "csc"), dtype=np.float64, input_name="X")
    _require_one_per_feature("X", "columns", X.shape[1], n_features)
    return np.sqrt(mean_variance_axis(X, axis=0)[1]) if sp.issparse(X) else X.std(axis=0)


def _require_one_per_feature(name: str, what: str, n: int, n_features: int) -> None:
    if n != n_features:
        raise ValueError(f"{name} must have {n_features} {what}, one per feature of the estimator; got {n}.")
