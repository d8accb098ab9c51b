r"""Separation: whether J has no minimum, and along which of the features without a penalty.

J falls for ever along a direction d that lowers no row's margin and raises some: the classes are separated along d,
completely or in part (Albert and Anderson). With a_r theta the margins, one for each row of X and, of a softmax, for
each class but the row's own, that is a linear programme,

    max sum_r a_r d    subject to    a_r d >= 0,    |d_j| <= 1 / spread_j,

whose maximum is 0 where the classes overlap (Konis). It is solved only where the last Newton step is not small, as it
is at a minimum, and on few of the margins: those that the solution violates are added until there are none. A second
programme, if it is not too large, makes the direction readable. Of those that raise the same margins, each by at least
as much or by 1, it is the one of least sum_j spread_j |d_j|: few features, and a flag that only one class has gets a
coefficient of 1.

Where the programme fails, the direction is looked for among Newton's steps: they shrink towards a minimum, but go on
along such a direction.

References
----------
Albert and Anderson, "On the existence of maximum likelihood estimates in logistic regression models", Biometrika 71
(1984). Konis, "Linear programming algorithms for detecting separated data in binary logistic regression models", PhD
thesis, University of Oxford (2007).
"""

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from ..penalty import ways_of
from ..quadratic.metric import LocalModel

__all__ = ["separating_direction"]

SUSPICIOUS_RAISE = 0.1  # change of a margin; a step along a separating direction raises some by about 1
READABLE = 10_000_000  # entries, of a programme for the fewest features, which is slow
STEEP = 20  # margins from here on have no curvature that a Hessian singular to rounding could show
LOST = 36  # margins from here on have no slope, e^-LOST, that is not lost in the rounding of the others'
MARGINS = 2000  # that a round adds to a programme, at most
FEATURE_SHARE = 0.02  # of the largest change by a coefficient: less is the rest of a step towards the minimum elsewhere
MOST_CUTS = 100  # of adding the margins that a solution violates, at most
HIGHS_TOLERANCE = 1e-10  # of the programme's margins, in units of the largest entry: HiGHS goes no further
MARGIN_ERROR = 1e-9  # of margins, where the largest coefficient is 1 / spread
LEAST_RAISE = 1e3  # times that is a raise of a margin that can be seen
FALLBACK_STEPS = 20  # for the rest of the step to die away
MOST_RAISE = 10  # change of a margin in one of them
LOWERED_SHARE = 1e-3  # of the largest change


def separating_direction(model):
    """A direction along which J falls for ever, in theta's shape; None where there is none, as with a penalty.

    The direction has nothing but the intercept and features without any penalty.
    """
    objective = model.objective
    ways = ways_of(objective.penalty, objective.shape)
    free = ways[0] | ways[1]
    if not free[:-1].any():
        return None
    step = allowed(model.step[0], ways)
    raised, _ = objective.margin_changes(step)
    if raised < SUSPICIOUS_RAISE and not is_hidden(model):
        return None
    stored = objective.stored()
    theta, step = (objective.theta_in(stored, array) for array in (model.point.theta, step))
    margins = Margins(stored, theta, ways)
    for some in (margins.moved_by(step) & free.ravel(), free.ravel()):
        direction = margins.meet(np.zeros(step.shape), margins.largest_sum, some)
        if direction is None:
            return direction_of_newton(model, ways)
        if stored.margin_changes(direction)[0] >= LEAST_RAISE * margins.rounding:
            readable = margins.meet(direction, margins.fewest_features, some)
            return stored.theta_in(objective, direction if readable is None else readable)
    return None


def is_hidden(model):
    """Whether a direction may have lost its curvature or its slope to rounding, so that no step shows it."""
    objective = model.objective
    if not objective.forms_hessian:
        return False
    largest = objective.largest_margin(model.point.theta)
    return largest > LOST or (largest > STEEP and model.metric.is_singular)


class Margins:
    """Programmes over the margins of an objective, which begin with those that are least at theta.

    A margin is numbered n row + its place among the loss's n margins a row. Coefficients are in units of 1 / spread.
    """

    def __init__(self, objective, theta, ways):
        self.down, self.up = (way.ravel() for way in ways)
        self.objective, self.rounding = objective, max(MARGIN_ERROR, 10 * objective.resolution)
        spread = np.append(objective.spread(), 1.0)
        self.unit = np.repeat(1 / np.where(spread > 0, spread, 1.0)[:, None], objective.shape[1], axis=1)
        self.numbers = np.sort(self.least_margins(theta, np.zeros(objective.shape), np.inf))

    def moved_by(self, step):
        """Which coefficients have a share in the margins that a step raises most, those least at -step; a flat mask."""
        raised = self.objective.margin_matrix(np.sort(self.least_margins(-step, np.zeros(step.shape), np.inf)))
        share = abs(raised @ sp.diags_array(step.ravel())).max(axis=0).toarray().ravel()
        free = share > FEATURE_SHARE * share.max()
        free[-step.shape[1] :] = True
        return free

    def meet(self, reference, programme, free):
        """The solution of a programme with each margin at least that of a reference, or 1 where that is beyond 1.

        The reference 0 asks for margins of at least 0, one that separates for margins that separate as well. Only free
        coefficients are not 0. None where the programme is too large, fails, or goes on missing margins.
        """
        for _ in range(MOST_CUTS):
            if reference.any() and len(self.numbers) * free.sum() > READABLE:
                return None
            matrix = self.objective.margin_matrix(self.numbers) @ sp.diags_array(self.unit.ravel())
            size = abs(matrix).max(axis=1).toarray().ravel()
            size[size == 0] = 1
            floor = np.clip(matrix @ (reference / self.unit).ravel(), 0, 1) / size
            found = programme((sp.diags_array(1 / size) @ matrix).tocsc()[:, free], floor, free)
            if found is None:
                return None
            tolerance = self.rounding * max(1.0, np.abs(found).max())
            solution = np.zeros(self.unit.size)
            solution[free] = found
            solution = solution.reshape(self.unit.shape) * self.unit
            missed = np.setdiff1d(self.least_margins(solution, reference, -tolerance), self.numbers)
            if not len(missed):
                return solution
            self.numbers = np.union1d(self.numbers, missed)
        return None

    def largest_sum(self, matrix, floor, free):
        """The direction in the box that raises the sum of all margins most."""
        zero = np.zeros(self.unit.shape), self.objective.scores_of_zero()
        slope = self.objective.at_scores(*zero).gradient * self.unit  # minus the sum, but for a factor
        slope = slope.ravel()[free]
        return solved(
            slope / (np.abs(slope).max() or 1.0), matrix, floor, np.column_stack([-1.0 * self.down, self.up])[free]
        )

    def fewest_features(self, matrix, floor, free):
        """The direction of least absolute sum, the intercept free."""
        cost = np.ones(self.unit.shape)
        cost[-1] = 0
        most = np.where(np.append(self.up[free], self.down[free]), np.inf, 0.0)
        bounds = np.column_stack([np.zeros(len(most)), most])
        parts = solved(np.tile(cost.ravel()[free], 2), sp.hstack([matrix, -matrix]), floor, bounds)
        return None if parts is None else np.subtract(*np.split(parts, 2))

    def least_margins(self, direction, reference, below):
        """The numbers of the margins that a direction raises least, less what ``meet`` asks, and below a bound."""
        numbers, excess = self.objective.least_margins(direction, reference, MARGINS)
        return numbers[excess < below]


def solved(cost, matrix, floor, bounds):
    """The x within bounds that minimises the cost with matrix x >= floor; None where HiGHS gives up."""
    exact = {"primal_feasibility_tolerance": HIGHS_TOLERANCE, "dual_feasibility_tolerance": HIGHS_TOLERANCE}
    with np.errstate(all="ignore"):
        result = linprog(cost, A_ub=-matrix, b_ub=-floor, bounds=bounds, method="highs", options=exact)
    return result.x if result.success else None


def allowed(step, ways):
    """A step without what no direction may have: see ``ways_of``."""
    down, up = ways
    return np.where(np.where(step < 0, down, up), step, 0.0)


def direction_of_newton(model, ways):
    """A step of Newton's method that raises some margins and lowers none to speak of; None where its steps die away.

    What is free of any penalty makes the direction.
    """
    objective = model.objective
    for _ in range(FALLBACK_STEPS):
        step = allowed(model.step[0], ways)
        raised, lowered = objective.margin_changes(step)
        if raised < SUSPICIOUS_RAISE:
            return None
        if lowered <= LOWERED_SHARE * raised:
            return step
        model = LocalModel(objective, objective.at(model.point.theta + min(1.0, MOST_RAISE / raised) * model.step[0]))
    return None
