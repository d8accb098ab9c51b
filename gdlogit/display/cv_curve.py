"""The scores of cross-validation over C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from ..estimators.held_out import LOG_LOSS
from ..estimators.pipelines import unwrapped
from ..typing import Floats
from .over_c import C_AXIS, CHOICES, counts_on_top, grid_of, mark, new_axes, row_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure

__all__ = ["CVCurveDisplay"]


class CVCurveDisplay:
    """The score of cross-validation over C, with its standard error.

    Parameters
    ----------
    Cs : ndarray of shape (n_cs,)
        The values of C.
    mean, se : ndarray of shape (n_cs,)
        The mean score of the folds, and its standard error.
    n_nonzero : ndarray of shape (n_cs,)
        How many features have a nonzero coefficient.
    choices : dict
        The values of C to mark, by the name of their attribute: ``"C_best_"``, ``"C_1se_"``.
    score_name : str
        What the score is.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure with the curve.
    errorbar_ : matplotlib ErrorbarContainer
        The means and their standard errors.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdlogit import CVCurveDisplay, GDLogisticRegressionCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> CVCurveDisplay.from_estimator(GDLogisticRegressionCV(Cs=20).fit(X, y)).ax_.get_ylabel()
    'log-loss of the held-out rows'
    """

    ax_: Axes
    figure_: Figure
    errorbar_: ErrorbarContainer

    def __init__(
        self,
        *,
        Cs: Floats,
        mean: Floats,
        se: Floats,
        n_nonzero: NDArray[Any],
        choices: dict[str, float],
        score_name: str,
    ) -> None:
        self.Cs, self.mean, self.se = Cs, mean, se
        self.n_nonzero, self.choices, self.score_name = n_nonzero, choices, score_name

    @classmethod
    def from_estimator(cls, estimator: Any, *, l1_ratio: float | None = None, ax: Axes | None = None) -> Self:
        """Draw the scores of a fitted GDLogisticRegressionCV.

        Parameters
        ----------
        estimator : GDLogisticRegressionCV, or a Pipeline or a search that ends in one
            A fitted estimator. If it scores by log-loss, the log-loss itself is drawn, and lower is better; other
            scores are drawn as they are, and higher is better.
        l1_ratio : float, default=None
            A value of ``l1_ratios_``. None is ``l1_ratio_``.
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.

        Returns
        -------
        CVCurveDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator has no such l1_ratio.
        """
        model = unwrapped(estimator).model
        check_is_fitted(model)
        r, shape = row_of(model, l1_ratio), model.n_nonzero_path_.shape
        mean, se = (model.cv_results_[f"{name}_test_score"].reshape(shape)[r] for name in ("mean", "se"))
        is_loss = model.scoring == LOG_LOSS
        name = model.scoring if isinstance(model.scoring, str) else getattr(model.scoring, "__name__", "score")
        return cls(
            Cs=grid_of(model)[r],
            mean=-mean if is_loss else mean,
            se=se,
            n_nonzero=model.n_nonzero_path_[r],
            choices={name: getattr(model, name) for name in CHOICES},
            score_name="log-loss of the held-out rows" if is_loss else name,
        ).plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.

        Returns
        -------
        CVCurveDisplay
            self.
        """
        ax = new_axes("CVCurveDisplay") if ax is None else ax
        self.ax_, self.figure_ = ax, ax.figure.figure
        look: dict[str, Any] = {"color": "black", "ecolor": "0.65", "elinewidth": 1, "capsize": 2, "markersize": 4}
        self.errorbar_ = ax.errorbar(self.Cs, self.mean, self.se, fmt="o", **look)
        ax.set(xscale="log", xlabel=C_AXIS, ylabel=self.score_name)
        ax.margins(x=0.02)
        counts_on_top(ax, self.Cs, self.n_nonzero)
        mark(ax, self.choices)
        ax.grid(alpha=0.25)
        return self

    def frame(self) -> pd.DataFrame:
        """The curve as a pandas DataFrame: columns C, mean, se, n_nonzero."""
        import pandas as pd

        return pd.DataFrame({"C": self.Cs, "mean": self.mean, "se": self.se, "n_nonzero": self.n_nonzero})
