"""The ways down: contours of J over two coefficients, and the paths of batch, stochastic and preconditioned descent."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from ..backprop import Sigmoid
from ..data.memory import rows_of
from ..descent import gradient, newton, stochastic
from ..estimators.validation import generator
from ..objective import Objective
from ..penalty import ElasticNet
from .style import pyplot, style

__all__ = ["DescentPathDisplay"]

ROUNDING = 1e-16  # of J, which is about 1: an end nearer to the minimum cannot be told from it


class DescentPathDisplay:
    """Contours of J over two coefficients, and the paths of the solvers.

    Parameters
    ----------
    paths : dict of str to ndarray of shape (n_points, 2)
        The two coefficients along the way, by solver: the start, each point that a gradient was used at (for "sgd",
        one for each batch), and the end.
    excess : dict of str to float
        J - min J at the end of each path.
    minimum : ndarray of shape (2,)
        The two coefficients at the minimum.
    grid : tuple of ndarrays of shape (resolution,)
        Values of the first and of the second coefficient.
    heights : ndarray of shape (resolution, resolution)
        J - min J on that grid, first coefficient along the columns; the other parameters are those of the minimum.
    feature_names : tuple of str
        Of the two coefficients.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Where the paths are.
    contours_ : matplotlib QuadContourSet
        The contours.
    lines_ : dict of str to matplotlib Line2D
        The paths, by solver.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdlogit import DescentPathDisplay, GDLogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GDLogisticRegression(batch_size=8, random_state=0)
    >>> display = DescentPathDisplay.from_estimator(model, X[:, :2], y, solvers=("gd", "auto"), resolution=10)
    >>> bool(display.excess["auto"] < 1e-8 < display.excess["gd"])
    True
    """

    def __init__(self, *, paths, excess, minimum, grid, heights, feature_names):
        self.paths = paths
        self.excess = excess
        self.minimum = minimum
        self.grid = grid
        self.heights = heights
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        features=(0, 1),
        solvers=("sgd", "gd", "nesterov", "auto"),
        n_iter=20,
        resolution=60,
        ax=None,
    ):
        """Run the solvers and draw the ways they take.

        Parameters
        ----------
        estimator : GDLogisticRegression
            Gives C, l1_ratio, fit_intercept, learning_rate, batch_size, tol and random_state; need not be fitted.
        X : array-like of shape (n_samples, n_features)
            The rows: few, as J is computed at resolution * resolution points.
        y : array-like of shape (n_samples,)
            Two classes.
        features : tuple of two ints, default=(0, 1)
            Whose coefficients span the picture.
        solvers : sequence of str, default=("sgd", "gd", "nesterov", "auto")
            Which to run.
        n_iter : int, default=20
            Iterations of each: steps, or epochs of "sgd". "auto" stops at the minimum.
        resolution : int, default=60
            Points of the grid along each axis.
        ax : matplotlib Axes, default=None
            Where; a new figure where not given.

        Returns
        -------
        DescentPathDisplay

        Raises
        ------
        ValueError
            If y does not have two classes, or a solver has another name.
        """
        names = getattr(X, "columns", [f"x{j}" for j in range(np.shape(X)[1])])
        objective = objective_of(estimator, X, y)
        paths = {solver: trace_path(make_method(estimator, solver), objective, n_iter) for solver in solvers}
        minimum = trace_path(make_method(estimator, "auto"), objective, 100)[-1]
        least = objective.at(minimum).value
        features = list(features)
        grid = grid_around(np.vstack([minimum[None], *paths.values()])[:, features, 0], resolution)
        display = cls(
            paths={solver: path[:, features, 0] for solver, path in paths.items()},
            excess={solver: float(objective.at(path[-1]).value - least) for solver, path in paths.items()},
            minimum=minimum[features, 0],
            grid=grid,
            heights=np.maximum(slice_of(objective, minimum, features, grid) - least, 0),
            feature_names=tuple(f"{names[j]}" for j in features),
        )
        return display.plot(ax)

    def plot(self, ax=None):
        """Draw the contours, the paths over them, and the minimum.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where; a new figure where not given.

        Returns
        -------
        DescentPathDisplay
            self.
        """
        plt = pyplot("DescentPathDisplay")
        ax = plt.subplots(figsize=(6.4, 5.6), layout="constrained")[1] if ax is None else ax
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, {}
        levels = self.heights.max() * np.geomspace(1e-4, 0.9, 12)
        self.contours_ = ax.contour(*self.grid, self.heights, levels, colors="0.6", linewidths=0.7)
        ax.clabel(self.contours_, levels[1::2], fmt="%.1g", fontsize=7)
        for i, (solver, path) in enumerate(self.paths.items()):
            label = f"{solver}, {max(self.excess[solver], ROUNDING):.0e}"
            many = len(path) > 100  # the steps of single rows: a cloud of markers would hide them
            looks = style(i) | {"linestyle": "-"} | ({"marker": "", "linewidth": 0.6} if many else {})
            (self.lines_[solver],) = ax.plot(*path.T, label=label, markersize=5, **looks)
        star = {"color": "gold", "markeredgecolor": "black", "markersize": 14, "linestyle": ""}
        ax.plot(*self.minimum, marker="*", label="minimum", zorder=4, **star)
        ax.set(xlabel=f"coefficient of {self.feature_names[0]}", ylabel=f"coefficient of {self.feature_names[1]}")
        title = "contours: J - min J; solvers: J - min J at the end"
        ax.legend(title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, title_fontsize=8)
        return self

    def frame(self):
        """The paths as a pandas DataFrame: one column for each of the two coefficients, then solver, point."""
        import pandas as pd

        parts = [
            pd.DataFrame(path, columns=self.feature_names).assign(solver=solver, point=range(len(path)))
            for solver, path in self.paths.items()
        ]
        return pd.concat(parts, ignore_index=True)


def objective_of(estimator, X, y):
    """The objective of the estimator on two classes."""
    X, y = check_array(X, dtype=np.float64, input_name="X"), column_or_1d(y)
    check_consistent_length(X, y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) != 2:
        raise ValueError(f"y must have two classes; got {len(classes)}.")
    rows = rows_of(X, codes, np.ones(len(y)), intercept=estimator.fit_intercept)
    strength = 1 / (estimator.C * len(y))
    penalty = ElasticNet((1 - estimator.l1_ratio) * strength, estimator.l1_ratio * strength)
    return Objective(rows, Sigmoid(), penalty)


def make_method(estimator, solver):
    """The solver's method, with the parameters of the estimator and random numbers of its own."""
    rng = generator(estimator.random_state)
    methods = {
        "auto": lambda: newton.sketch(estimator.tol, rng),
        "gd": lambda: gradient.batch(estimator.learning_rate),
        "nesterov": lambda: gradient.nesterov(estimator.learning_rate),
        "sgd": lambda: stochastic.minibatch(estimator.learning_rate, estimator.batch_size, rng),
    }
    if solver not in methods:
        raise ValueError(f"solvers must be among {tuple(methods)}; got {solver!r}.")
    return methods[solver]()


def trace_path(method, objective, n_iter):
    """Theta from the origin on: at the start, in every batch, and after every iteration; shape (n_points, p + 1, 1)."""
    path = [np.zeros(objective.shape)]
    objective = _Batchwise(objective, path)
    state = method.start(objective, path[0])
    for _ in range(n_iter):
        state = method.step(objective, state)
        path.append(state.point.theta)
        if state.excess <= 1e-12 or state.rate == 0:
            break
    return np.array(path)


class _Batchwise(Objective):
    """An objective that notes every theta at which the gradient of a batch is taken."""

    def __init__(self, objective, path):
        super().__init__(objective.rows, objective.loss, objective.penalty, objective.total)
        self.path = path

    def batches(self, size, rng):
        for part in super().batches(size, rng):
            yield _Noted(part, self.path)


class _Noted(NamedTuple):
    """A batch, as far as stochastic descent asks: J and dJ."""

    part: Objective
    path: list

    def at(self, theta):
        self.path.append(theta)
        return self.part.at(theta)


def grid_around(points, resolution):
    """Values of the first and of the second coordinate that take in all points, with a margin."""
    span = np.ptp(points, axis=0)
    margin = np.where(span > 0, 0.1 * span, 1.0)  # under a strong l1 penalty none may leave zero
    ends = zip(points.min(axis=0) - margin, points.max(axis=0) + margin, strict=True)
    return tuple(np.linspace(*pair, resolution) for pair in ends)


def slice_of(objective, theta, features, grid):
    """J on a grid of two coefficients, the others as in theta; shape (resolution, resolution)."""
    theta = theta.copy()
    heights = np.empty((len(grid[1]), len(grid[0])))
    for row, second in enumerate(grid[1]):
        for column, first in enumerate(grid[0]):
            theta[features, 0] = first, second
            heights[row, column] = objective.at(theta).value
    return heights
