"""The loss curve: how J falls, and how far from its minimum it is."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .style import pyplot, style

__all__ = ["LossCurveDisplay"]

MARKED = 10  # points of a curve that get a marker, about


class LossCurveDisplay:
    """The loss curve of one fit, or of several.

    Parameters
    ----------
    curves : dict of str to ndarray
        J after each iteration, by the name of the estimator.
    gaps : dict of str to float
        For each, a bound on last J - min J; infinite where there is none.
    validation : dict of str to ndarray
        The loss on validation rows after each iteration, for those that have one.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where the curves are.
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
            Fitted.
        name : str, default=None
            Its name in the legend; its solver's where not given.
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
            Fitted, by name. With ``gap=True`` all must have had the same X, y and C, and so the same minimum.
        gap, ax
            As in ``plot``.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        NotFittedError
            If one of them is not fitted.
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
        """What min J is proven not to be below: the best of lowest J - gap; -inf where none is known."""
        lowest = (float(curve.min()) - self.gaps[name] for name, curve in self.curves.items() if len(curve))
        return max(lowest, default=-np.inf)

    def plot(self, ax=None, *, gap=False):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where; a new figure where not given.
        gap : bool, default=False
            Whether to draw a proven bound on J - min J on a log axis, instead of J. Needs a finite duality gap.

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
            raise ValueError("gap=True needs an estimator with a finite duality_gap_, which takes a finite C.")
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
        """The curves as a pandas DataFrame: columns name, iteration, training and, where there is one, validation."""
        import pandas as pd

        parts = []
        for name, curve in self.curves.items():
            columns = {"name": name, "iteration": np.arange(1, len(curve) + 1), "training": curve}
            if name in self.validation:
                columns["validation"] = self.validation[name]
            parts.append(pd.DataFrame(columns))
        return pd.concat(parts, ignore_index=True)
