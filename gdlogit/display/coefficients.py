"""The coefficients: which features matter most, for which class, and in which direction."""

import numpy as np
import scipy.sparse as sp
from sklearn.utils.validation import check_array, check_is_fitted

from .style import pyplot, style

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

    def __init__(self, *, coef, feature_names, classes, unit):
        self.coef = coef
        self.feature_names = feature_names
        self.classes = classes
        self.unit = unit

    @classmethod
    def from_estimator(cls, estimator, X=None, *, feature_names=None, k=15, odds_ratio=False, ax=None):
        """Draw the largest coefficients of a fitted estimator.

        Parameters
        ----------
        estimator : classifier with ``coef_`` and ``classes_``
            A fitted classifier. For a Pipeline, pass its last step.
        X : array-like of shape (n_samples, n_features), default=None
            Rows that give the standard deviation of each feature. Coefficients are then per standard deviation and can
            be compared. Without X they are per unit, as in ``coef_``, and a feature in euros looks small.
        feature_names : array-like of shape (n_features,), default=None
            Names of the features. Default: ``feature_names_in_``, or x0, x1, ...
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
        check_is_fitted(estimator)
        coef = estimator.coef_.toarray() if sp.issparse(estimator.coef_) else np.asarray(estimator.coef_)
        if X is not None:
            X = check_array(X, dtype=np.float64, input_name="X")
            _require_one_a_feature("X", "columns", X.shape[1], coef)
            coef = coef * X.std(axis=0)
        if feature_names is None:
            feature_names = getattr(estimator, "feature_names_in_", [f"x{j}" for j in range(coef.shape[1])])
        _require_one_a_feature("feature_names", "names", len(feature_names), coef)
        classes = estimator.classes_[1:] if len(coef) == 1 else estimator.classes_
        unit = "unit" if X is None else "standard deviation"
        display = cls(coef=coef, feature_names=np.asarray(feature_names), classes=classes, unit=unit)
        return display.plot(ax, k=k, odds_ratio=odds_ratio)

    def largest(self, k):
        """Indices of the k features with the largest coefficient of any class, largest first."""
        return np.argsort(-np.abs(self.coef).max(axis=0), kind="stable")[:k]

    def plot(self, ax=None, *, k=15, odds_ratio=False):
        """Draw the coefficients, the largest on top.

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
        shown = self.largest(k)[::-1]
        if ax is None:
            _, ax = plt.subplots(figsize=(6.4, 1.6 + 0.28 * len(shown)), layout="constrained")
        self.ax_, self.figure_, self.points_ = ax, ax.figure, []
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
        if len(self.coef) > 1:
            ax.legend(title="class", loc="upper left", bbox_to_anchor=(1, 1), ncols=1 + (len(self.coef) > len(shown)))
        return self

    def frame(self):
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


def _require_one_a_feature(name, what, n, coef):
    if n != coef.shape[1]:
        raise ValueError(f"{name} must have {coef.shape[1]} {what}, one per feature of the estimator; got {n}.")
