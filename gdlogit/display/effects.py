"""Effects on probabilities, with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from .forest import draw_forest, height_of
from .style import pyplot

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from ..inference.effects import Effects
    from ..inference.result import InferenceResult

__all__ = ["EffectsDisplay"]

LABELS = {
    "dy/dx": "marginal effect on the probability{of}",
    "difference": "difference of the mean probability{of}",
    "ratio": "ratio of the mean probabilities{of}",
    "odds": "ratio of the odds of the mean probabilities{of}",
}


class EffectsDisplay:
    """Marginal effects or contrasts with their intervals.

    Parameters
    ----------
    effects : Effects
        The result of ``margins`` or ``contrast`` of an inference.
    conf_level : float, default=0.95
        The coverage of the intervals.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure with the effects.
    points_ : list of matplotlib Line2D
        The markers, one artist for each class.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from gdlogit import EffectsDisplay, GDLogisticRegression
    >>> X, y = load_wine(return_X_y=True, as_frame=True)
    >>> X, y = X[["alcohol", "hue"]], y == 1
    >>> result = GDLogisticRegression(C=float("inf")).fit(X, y).inference(X, y)
    >>> display = EffectsDisplay.from_inference(result)
    >>> [text.get_text() for text in display.ax_.get_yticklabels()]
    ['alcohol', 'hue']
    """

    ax_: Axes
    figure_: Figure
    points_: list[Line2D]

    def __init__(self, effects: Effects, conf_level: float = 0.95) -> None:
        self.effects = effects
        self.conf_level = conf_level

    @classmethod
    def from_inference(
        cls,
        result: InferenceResult,
        *,
        at: Literal["overall", "mean"] = "overall",
        dummy: bool = False,
        conf_level: float = 0.95,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the marginal effects of an inference.

        Parameters
        ----------
        result : InferenceResult
            What ``model.inference`` gives.
        at, dummy
            As in ``InferenceResult.margins``.
        conf_level : float, default=0.95
            The coverage of the intervals.
        ax
            As in ``plot``.

        Returns
        -------
        EffectsDisplay
        """
        return cls(result.margins(at, dummy), conf_level).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the effects in the order of the features, without the effects of aliased features.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.

        Returns
        -------
        EffectsDisplay
            self.
        """
        plt, effects = pyplot("EffectsDisplay"), self.effects
        n, k = len(effects.names), len(effects.classes)
        values = effects.estimate.reshape(n, k)
        is_estimated = np.all(np.isfinite(values), axis=1)
        limits = effects.conf_int(1 - self.conf_level).reshape(n, k, 2)[is_estimated]
        names = [name for name, shown in zip(effects.names, is_estimated, strict=True) if shown]
        if ax is None:
            _, ax = plt.subplots(figsize=(7.2, height_of(len(names), k)), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure.figure
        is_ratio = effects.measure in ("ratio", "odds")
        shown_values, shown_limits = values[is_estimated].T, limits.transpose(1, 0, 2)
        self.points_ = draw_forest(ax, names, effects.classes, shown_values, shown_limits, is_ratio)
        label: Any = LABELS[effects.measure].format(of=f" of {effects.classes[0]}" if k == 1 else "")
        ax.set_xlabel(f"{label}, {self.conf_level:.0%} interval")
        return self

    def frame(self) -> pd.DataFrame:
        """The effects as a pandas DataFrame."""
        return self.effects.to_frame(self.conf_level)
