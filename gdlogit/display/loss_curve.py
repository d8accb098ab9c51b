"""The loss curve: how J falls, and how far J is above its minimum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..estimators.pipelines import unwrapped
from .style import pyplot, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["LossCurveDisplay"]

MARKERS_PER_CURVE = 10  # more hide a curve


class LossCurveDisplay:
    """The loss curve of one fit or of one stream, or of several.

    Parameters
    ----------
    curves : dict of str to ndarray
        J after each iteration, by the name of the estimator.
    gaps : dict of str to float
        For each estimator, a proven bound on J - min J at its coefficients; infinity where none is known.
    validation : dict of str to ndarray
        The loss on validation rows after each iteration, for estimators that have validation rows.
    progressive : dict of str to ndarray, default=None
        The mean loss of each batch before the model learned from it, for estimators that learned from a stream.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure with the curves.
    lines_ : list of matplotlib Line2D
        The curves: for each fit training, then validation; for each stream the loss of each batch, then its mean so
        far.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from gdlogit import GDLogisticRegression, LossCurveDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> models = {
    ...     solver: GDLogisticRegression(solver=solver, tol=1e-2).fit(scale(X), y)
    ...     for solver in ("nesterov", "auto")
    ... }
    >>> display = LossCurveDisplay.from_estimators(models, gap=True)
    >>> display.ax_.get_ylabel()
    'objective J above its minimum, at most'
    """

    ax_: Axes
    figure_: Figure
    lines_: list[Line2D]

    def __init__(
        self,
        *,
        curves: Mapping[str, NDArray[np.float64]],
        gaps: Mapping[str, float],
        validation: Mapping[str, NDArray[np.float64]],
        progressive: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> None:
        self.curves = curves
        self.gaps = gaps
        self.validation = validation
        self.progressive: Mapping[str, NDArray[np.float64]] = progressive or {}

    @classmethod
    def from_estimator(
        cls, estimator: Any, *, name: str | None = None, gap: bool = False, ax: Axes | None = None
    ) -> Self:
        """Draw the loss curve of a fitted estimator.

        Parameters
        ----------
        estimator : GDLogisticRegression, or a Pipeline or a search that ends in one
            A fitted estimator. It may have been fitted by ``fit``, ``fit_batches`` or ``partial_fit``.
        name : str, default=None
            Name in the picture. Default: the solver, or "partial_fit" after a stream.
        gap, ax
            As in ``plot``.

        Returns
        -------
        LossCurveDisplay
        """
        model = unwrapped(estimator).model
        check_is_fitted(model)
        named = "partial_fit" if _is_stream(model) else f"solver={model.solver!r}"
        return cls.from_estimators({name or named: model}, gap=gap, ax=ax)

    @classmethod
    def from_estimators(cls, estimators: Mapping[Any, Any], *, gap: bool = False, ax: Axes | None = None) -> Self:
        """Draw the loss curves of several fitted estimators.

        Parameters
        ----------
        estimators : dict of names to GDLogisticRegression, Pipeline or search
            Fitted estimators by name, or by a number such as C. Either all come from ``fit`` or ``fit_batches``, or
            all by ``partial_fit``. With ``gap=True`` all must have the same X, y and C, so that they share one minimum.
        gap, ax
            As in ``plot``.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        NotFittedError
            If an estimator is not fitted.
        ValueError
            If some estimators learned from a stream and others did not.
        """
        models = {name: unwrapped(estimator).model for name, estimator in estimators.items()}
        for model in models.values():
            check_is_fitted(model, ["loss_curve_", "progressive_loss_curve_"], all_or_any=any)
        fits = {name: model for name, model in models.items() if not _is_stream(model)}
        display = cls(
            curves={name: np.asarray(model.loss_curve_) for name, model in fits.items()},
            gaps={name: _gap(model) for name, model in fits.items()},
            validation={
                name: np.asarray(model.validation_loss_curve_)
                for name, model in fits.items()
                if hasattr(model, "validation_loss_curve_")
            },
            progressive={
                name: np.asarray(model.progressive_loss_curve_) for name, model in models.items() if _is_stream(model)
            },
        )
        return display.plot(ax, gap=gap)

    @property
    def lower_bound(self) -> float:
        """A proven lower bound on min J, the largest of the estimators' lowest J - gap; -inf if there is none."""
        return max((lowest - gap for lowest, gap in self._lowest_values()), default=-np.inf)

    def _lowest_values(self) -> list[tuple[float, float]]:
        """The lowest J of each curve and the gap there, where both are known."""
        known = [(curve, self.gaps[name]) for name, curve in self.curves.items() if np.isfinite(self.gaps[name])]
        return [(float(np.nanmin(curve)), gap) for curve, gap in known if len(curve)]

    def plot(self, ax: Axes | None = None, *, gap: bool = False) -> Self:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.
        gap : bool, default=False
            Whether to draw a proven bound on J - min J, on a log axis, instead of J. At least one estimator needs a
            finite ``duality_gap_``.

        Returns
        -------
        LossCurveDisplay
            self.

        Raises
        ------
        ValueError
            With ``gap=True``, if no estimator has a finite ``duality_gap_``; or if there are both fits, whose curves
            have a point per iteration, and streams, whose curves have a point per batch.
        """
        if gap and self.lower_bound == -np.inf:
            raise ValueError(
                "gap=True needs an estimator with a finite duality_gap_: one that was fitted by fit or fit_batches, "
                "with a finite C."
            )
        if self.curves and self.progressive:
            raise ValueError(
                f"The curves of fits {[*self.curves]} have a point per iteration, the curves of streams "
                f"{[*self.progressive]} a point per batch: draw fits and streams in two pictures."
            )
        self.ax_ = pyplot("LossCurveDisplay").subplots(layout="constrained")[1] if ax is None else ax
        self.figure_, self.lines_ = self.ax_.figure.figure, []
        if gap:
            self._draw_gaps()
        elif self.progressive:
            self._draw_streams()
        else:
            self._draw_fits()
        self.ax_.locator_params(axis="x", integer=True)
        self.ax_.grid(alpha=0.25)
        if len(self.lines_) > 1:
            self.ax_.legend()
        else:
            self.ax_.set_title(str(self.lines_[0].get_label()))
        return self

    def _draw_gaps(self) -> None:
        lowest, gap = max(self._lowest_values(), key=lambda pair: pair[0] - pair[1])
        for i, (name, curve) in enumerate(self.curves.items()):  # lowest - gap, computed first, would round gap to 0
            self._line(np.maximum(curve - lowest + gap, np.spacing(lowest)), name, style(i))
        self.ax_.set(xlabel="iteration", ylabel="objective J above its minimum, at most", yscale="log")

    def _draw_fits(self) -> None:
        for i, (name, curve) in enumerate(self.curves.items()):
            self._line(curve, f"{name}, training" if name in self.validation else name, style(i))
            if name in self.validation:
                hollow = {"markerfacecolor": "white", "alpha": 0.8, "linestyle": ":"}
                self._line(self.validation[name], f"{name}, validation", style(i) | hollow)
        self.ax_.set(xlabel="iteration", ylabel="mean log-loss" if self.validation else "objective J")

    def _draw_streams(self) -> None:
        for i, (name, curve) in enumerate(self.progressive.items()):
            self._line(curve, f"{name}, each batch", style(i) | {"marker": "", "linewidth": 0.7, "alpha": 0.6})
            self._line(np.cumsum(curve) / np.arange(1, len(curve) + 1), f"{name}, mean so far", style(i))
        self.ax_.set(xlabel="batch", ylabel="mean log-loss of a batch before it is learned from")

    def _line(self, curve: NDArray[np.float64], label: str, look: dict[str, Any]) -> None:
        every = max(1, len(curve) // MARKERS_PER_CURVE)
        steps = np.arange(1, len(curve) + 1)
        self.lines_ += self.ax_.plot(steps, curve, label=label, markersize=5, markevery=every, **look)

    def frame(self) -> pd.DataFrame:
        """The curves as a pandas DataFrame.

        Its columns are name, iteration, training and, if there is one, validation. For streams they are name, batch and
        progressive.
        """
        import pandas as pd

        frames = []
        for name, curve in self.curves.items():
            columns = {"name": name, "iteration": np.arange(1, len(curve) + 1), "training": curve}
            if name in self.validation:
                columns["validation"] = self.validation[name]
            frames.append(pd.DataFrame(columns))
        for name, curve in self.progressive.items():
            columns = {"name": name, "batch": np.arange(1, len(curve) + 1), "progressive": curve}
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)


def _gap(model: Any) -> float:
    """The proven gap; infinity if J rose, because the gap then belongs to the start, which is not in the curve."""
    at_start = np.log(len(model.classes_))  # J at zero coefficients; no fit starts at a higher J
    rose = len(model.loss_curve_) and not model.loss_curve_[-1] <= at_start
    return np.inf if rose else getattr(model, "duality_gap_", np.inf)


def _is_stream(model: Any) -> bool:
    """Whether the model last learned by ``partial_fit``."""
    return hasattr(model, "progressive_loss_curve_")
