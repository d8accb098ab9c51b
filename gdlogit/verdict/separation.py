r"""Separation: whether J has no minimum, and along which of the features without a penalty J falls for ever.

J falls for ever along a direction d that lowers no row's margin and raises at least one: the classes are separated
along d, completely or in part (Albert and Anderson). Write the margins as a_r theta: two classes have one margin for
each row of X, a softmax has one for each row and each class other than the row's own. The linear programme

    max sum_r a_r d    subject to    a_r d >= 0,    |d_j| <= 1 / spread_j

has the maximum 0 where the classes overlap (Konis). The programme is solved only where the last Newton step is large,
for the step is small at a minimum. It begins with few margins, and margins that its solution violates are added until
there are none.

A second programme, if it is not too large, makes the direction readable. It takes the directions that raise the same
margins, each by at least as much as the first direction does, or by 1. Of these it finds the one of least
sum_j spread_j |d_j|. That direction has few features, and a flag that only one class has gets a coefficient of 1.

Where a programme fails, the direction is looked for among Newton's steps: the steps shrink on the way to a minimum, but
not along a separating direction.

References
----------
Albert and Anderson, "On the existence of maximum likelihood estimates in logistic regression models", Biometrika 71
(1984). Konis, "Linear programming algorithms for detecting separated data in binary logistic regression models", PhD
thesis, University of Oxford (2007).
"""

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from .. import proofs
from ..penalty import ways_of
from ..quadratic.metric import LocalModel

__all__ = ["separating_direction"]

SUSPICIOUS_RAISE = 0.1  # change of a margin. A step along a separating direction raises a margin by about 1
MOST_READABLE_ENTRIES = 10_000_000  # of the second programme, which is slow
FLAT_MARGIN = 20  # where the Hessian is singular to rounding, a larger margin may have lost its curvature in it
LOST_MARGIN = 36  # the slope of a larger margin, e^-36, is below the rounding of the other slopes
MARGINS_PER_ROUND = 2000  # that are added to a programme
FEATURE_SHARE = 0.02  # share of the largest change by a coefficient: a smaller one does not separate, it converges
MOST_CUTS = 100  # rounds of adding the margins that a solution violates
HIGHS_TOLERANCE = 1e-10  # the smallest that HiGHS accepts; of the margins, each divided by its largest entry
MARGIN_ERROR = 1e-9  # error of a margin from HiGHS, where the largest coefficient is 1 / spread
LEAST_RAISE = 1e3  # raise of a margin, in units of its error: a direction that raises all by less does not separate
FALLBACK_STEPS = 20  # Newton steps: enough for the part that converges to die away
MOST_RAISE = 10  # change of a margin in one such step
LOWERED_SHARE = 1e-3  # largest fall of a margin / largest raise: a step with less lowers no margin


def separating_direction(model):
    """A direction along which J falls for ever, in theta's shape; None where there is none.

    Only the intercept and features without any penalty have entries other than 0.
    """
    objective = model.objective
    ways = ways_of(objective.penalty, objective.shape)
    unpenalised = ways[0] | ways[1]
    if not unpenalised[:-1].any():
        return None
    step = allowed(model.step[0], ways)
    raised, _ = proofs.margin_changes(objective, step)
    if raised < SUSPICIOUS_RAISE and not is_hidden(model):
        return None
    stored = objective.stored()
    theta, step = (objective.theta_in(stored, array) for array in (model.point.theta, step))
    margins = Margins(stored, theta, ways)
    for included in (margins.moved_by(step) & unpenalised.ravel(), unpenalised.ravel()):
        direction = margins.meet(np.zeros(step.shape), margins.largest_sum, included)
        if direction is not None and proofs.margin_changes(stored, direction)[0] >= LEAST_RAISE * margins.rounding:
            readable = margins.meet(direction, margins.fewest_features, included)
            return stored.theta_in(objective, direction if readable is None else readable)
    return direction_of_newton(model, ways) if direction is None else None


def is_hidden(model):
    """Whether rounding may hide a separating direction's curvature or slope, so that no Newton step shows it."""
    objective = model.objective
    if not objective.forms_hessian:
        return False
    largest = proofs.largest_margin(objective, model.point.theta)
    return largest > LOST_MARGIN or (largest > FLAT_MARGIN and model.metric.is_singular)


class Margins:
    """Linear programmes over the margins of an objective. The first margins are those that are least at theta.

    Where the loss has n margins in each row, the number of a margin is n row + its place in the row. Coefficients are
    in units of 1 / spread. ``included`` is a flat mask of the coefficients that may differ from 0.
    """

    def __init__(self, objective, theta, ways):
        self.down, self.up = (way.ravel() for way in ways)
        self.objective, self.rounding = objective, max(MARGIN_ERROR, 10 * objective.resolution)
        spread = np.append(objective.spread(), 1.0)
        self.unit = np.repeat(1 / np.where(spread > 0, spread, 1.0)[:, None], objective.shape[1], axis=1)
        self.numbers = np.sort(self.least_margins(theta, np.zeros(objective.shape), np.inf))

    def moved_by(self, step):
        """A mask of the coefficients with a share in the margins that a step raises most, those least at -step."""
        raised = proofs.margin_matrix(self.objective, np.sort(self.least_margins(-step, np.zeros(step.shape), np.inf)))
        share = abs(raised @ sp.diags_array(step.ravel())).max(axis=0).toarray().ravel()
        included = share > FEATURE_SHARE * share.max()
        included[-step.shape[1] :] = True
        return included

    def meet(self, reference, programme, included):
        """The solution of a programme in which each margin is at least that of a reference, or at least 1.

        The reference 0 asks for margins of at least 0. A reference that separates asks for margins that separate at
        least as well. None where the programme is too large or fails, or where each solution violates other margins.
        """
        for _ in range(MOST_CUTS):
            if reference.any() and len(self.numbers) * included.sum() > MOST_READABLE_ENTRIES:
                return None
            matrix = proofs.margin_matrix(self.objective, self.numbers) @ sp.diags_array(self.unit.ravel())
            row_scale = abs(matrix).max(axis=1).toarray().ravel()
            row_scale[row_scale == 0] = 1
            floor = np.clip(matrix @ (reference / self.unit).ravel(), 0, 1) / row_scale
            found = programme((sp.diags_array(1 / row_scale) @ matrix).tocsc()[:, included], floor, included)
            if found is None:
                return None
            tolerance = self.rounding * max(1.0, np.abs(found).max())
            solution = np.zeros(self.unit.size)
            solution[included] = found
            solution = solution.reshape(self.unit.shape) * self.unit
            missed = np.setdiff1d(self.least_margins(solution, reference, -tolerance), self.numbers)
            if not len(missed):
                return solution
            self.numbers = np.union1d(self.numbers, missed)
        return None

    def largest_sum(self, matrix, floor, included):
        """The direction in the box that raises the sum of all margins most."""
        zero = np.zeros(self.unit.shape), self.objective.scores_of_zero()
        slope = self.objective.at_scores(*zero).gradient * self.unit  # minus the sum of the margins, up to a factor
        slope = slope.ravel()[included]
        box = np.column_stack([-1.0 * self.down, self.up])[included]
        return solved(slope / (np.abs(slope).max() or 1.0), matrix, floor, box)

    def fewest_features(self, matrix, floor, included):
        """The direction with the least sum of absolute coefficients, the intercept not counted."""
        cost = np.ones(self.unit.shape)
        cost[-1] = 0
        largest = np.where(np.append(self.up[included], self.down[included]), np.inf, 0.0)
        bounds = np.column_stack([np.zeros(len(largest)), largest])
        halves = solved(np.tile(cost.ravel()[included], 2), sp.hstack([matrix, -matrix]), floor, bounds)
        return None if halves is None else np.subtract(*np.split(halves, 2))

    def least_margins(self, direction, reference, below):
        """The numbers of the margins with the least surplus over what ``meet`` asks, where it is below a bound."""
        numbers, surplus = proofs.least_margins(self.objective, direction, reference, MARGINS_PER_ROUND)
        return numbers[surplus < below]


def solved(cost, matrix, floor, bounds):
    """The x within bounds that minimises the cost with matrix x >= floor; None where HiGHS gives up.

    HiGHS may give up a programme that it has made smaller ("presolve"), and yet solve the programme as it is.
    """
    options = {"primal_feasibility_tolerance": HIGHS_TOLERANCE, "dual_feasibility_tolerance": HIGHS_TOLERANCE}
    for presolve in (True, False):
        options["presolve"] = presolve
        with np.errstate(all="ignore"):
            result = linprog(cost, A_ub=-matrix, b_ub=-floor, bounds=bounds, method="highs", options=options)
        if result.success:
            return result.x
    return None


def allowed(step, ways):
    """A step, with 0 in the coefficients that a direction may not have, or not with that sign: see ``ways_of``."""
    down, up = ways
    return np.where(np.where(step < 0, down, up), step, 0.0)


def direction_of_newton(model, ways):
    """A Newton step that raises margins and lowers none, nearly; None where the steps die away.

    Only parameters without any penalty have entries other than 0.
    """
    objective = model.objective
    for _ in range(FALLBACK_STEPS):
        step = allowed(model.step[0], ways)
        raised, lowered = proofs.margin_changes(objective, step)
        if raised < SUSPICIOUS_RAISE:
            return None
        if lowered <= LOWERED_SHARE * raised:
            return step
        model = LocalModel(objective, objective.at(model.point.theta + min(1.0, MOST_RAISE / raised) * model.step[0]))
    return None
