"""The loss curve: how J falls, and how far J is above its minimum."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .style import pyplot, style

__all__ = ["LossCurveDisplay"]

MARKED = 10  # about this many points of a curve get a marker


class LossCurveDisplay:
    """The loss curve of one fit, or of several.

    Parameters
    ----------
    curves : dict of str to ndarray
        J after each iteration, by the name of the estimator.
    gaps : dict of str to float
        For each estimator, a bound on its last J - min J, or infinity.
    validation : dict of str to ndarray
        The loss on validation rows after each iteration, for estimators that have validation rows.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure with the curves.
    lines_ : list of matplotlib Line2D
        The curves: training, then validation.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from gdlogit import GDLogisticRegression, LossCurveDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> models = {
    ...     solver: GDLogisticRegression(solver=solver, tol=1e-2).fit(scale(X), y) for solver in ("nesterov", "auto")
    ... }
    >>> display = LossCurveDisplay.from_estimators(models, gap=True)
    >>> display.ax_.get_ylabel()
    'J - min J, at most'
    """

    def __init__(self, *, curves, gaps, validation):
        self.curves = curves
        self.gaps = gaps
        self.validation = validation

    @classmethod
    def from_estimator(cls, estimator, *, name=None, gap=False, ax=None):
        """Draw the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : GDLogisticRegression
            A fitted estimator.
        name : str, default=None
            Name in the legend. Default: the solver.
        gap, ax
            As in ``plot``.

        Returns
        -------
        LossCurveDisplay
        """
        return cls.from_estimators({name or f"solver={estimator.solver!r}": estimator}, gap=gap, ax=ax)

    @classmethod
    def from_estimators(cls, estimators, *, gap=False, ax=None):
        """Draw the loss curves of several fitted estimators.

        Parameters
        ----------
        estimators : dict of str to GDLogisticRegression
            Fitted estimators by name. With ``gap=True`` all must have been fitted with the same X, y and C, so that
            they share one minimum.
        gap, ax
            As in ``plot``.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        """
        for estimator in estimators.values():
            check_is_fitted(estimator, "loss_curve_")
        display = cls(
            curves={name: np.asarray(estimator.loss_curve_) for name, estimator in estimators.items()},
            gaps={name: getattr(estimator, "duality_gap_", np.inf) for name, estimator in estimators.items()},
            validation={
                name: np.asarray(estimator.validation_loss_curve_)
                for name, estimator in estimators.items()
                if hasattr(estimator, "validation_loss_curve_")
            },
        )
        return display.plot(ax, gap=gap)

    @property
    def lower_bound(self):
        """A proven lower bound on min J, the largest of the estimators' lowest J - gap; -inf if there is none."""
        return max(float(curve.min()) - self.gaps[name] for name, curve in self.curves.items())

    def plot(self, ax=None, *, gap=False):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.
        gap : bool, default=False
            Whether to draw a proven bound on J - min J, on a log axis, instead of J. Needs a finite duality gap.

        Returns
        -------
        LossCurveDisplay
            self.

        Raises
        ------
        ValueError
            With ``gap=True``, if no estimator has a finite ``duality_gap_``.
        """
        if gap and self.lower_bound == -np.inf:
            raise ValueError("gap=True needs an estimator with a finite duality_gap_, so fit one with a finite C.")
        ax = pyplot("LossCurveDisplay").subplots(layout="constrained")[1] if ax is None else ax
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []
        below = self.lower_bound if gap else 0.0
        several = len(self.curves) > 1
        for i, (name, curve) in enumerate(self.curves.items()):
            label = f"{name}, training" if name in self.validation and not gap else name
            self._line(curve - below, label, style(i))
            if name in self.validation and not gap:
                hollow = {"markerfacecolor": "white", "alpha": 0.8, "linestyle": ":"}
                self._line(self.validation[name], f"{name}, validation", style(i) | hollow)
        if gap:
            ax.set_yscale("log")
        ax.set(xlabel="iteration", ylabel="J - min J, at most" if gap else "mean loss" if self.validation else "J")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.25)
        if several or self.validation:
            ax.legend()
        else:
            ax.set_title(next(iter(self.curves)))
        return self

    def _line(self, curve, label, looks):
        every = max(1, len(curve) // MARKED)
        self.lines_ += self.ax_.plot(
            np.arange(1, len(curve) + 1), curve, label=label, markersize=5, markevery=every, **looks
        )

    def frame(self):
        """The curves as a pandas DataFrame with columns name, iteration, training and, if there is one, validation."""
        import pandas as pd

        parts = []
        for name, curve in self.curves.items():
            columns = {"name": name, "iteration": np.arange(1, len(curve) + 1), "training": curve}
            if name in self.validation:
                columns["validation"] = self.validation[name]
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)
