"""From a problem to its solution: the coordinates, the descent, and the verdict on its end.

    Problem, Settings -> Coordinates -> Method -> descend -> separation, least norm, duality gap -> Solution

Nothing here knows an estimator. A path over C is a few calls of ``solve``, each from the solution before: the
coordinates are then made once, and each descent starts where the descent before ended.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf, isinf, log
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from .bounds import BoxPenalty
from .data.rows import Rows
from .descent import gradient, newton, products_first, proximal_quasi_newton, quasi_newton, stochastic, truncated
from .descent.loop import NOBODY, DescentResult, Method, Record, Watch, descend, even_if_interrupted, goal_of
from .descent.status import Status
from .objective import ALWAYS_FORMED_PARAMETERS, FORMED_PARAMETERS, Objective, Point
from .penalty import ElasticNet, L1Penalty, Penalty, free_of, lacking
from .problem import Coordinates, Problem
from .quadratic.metric import LocalModel
from .quadratic.sampled import replaces_hessian
from .smoothness import smoothness
from .typing import Solver
from .verdict.duality import duality_gap
from .verdict.least_norm import of_least_norm
from .verdict.separation import separating_direction

__all__ = ["SOLVERS", "TEXTBOOK", "Settings", "Solution", "path", "solve"]

TEXTBOOK = ("gd", "nesterov", "sgd")
SOLVERS: tuple[str, ...] = get_args(Solver)
MOST_NAMED_TERMS = 5  # of a direction
DOUBTFUL_RELATIVE_GAP = 0.01  # gap / J: with an l1 penalty, a larger gap puts the estimate of the excess in doubt
# gap / goal: the same with l2, in float32 or where the Hessian is singular to rounding.
DOUBTFUL_GAP_PER_GOAL = 100
FORMED_TOL, PRODUCTS_TOL = 1e-8, 1e-6  # tol="auto" with and without a formed Hessian, in units of min(1, J)
FORMED_SIZE = 16  # P^2 / rows, beyond which a softmax with l1 descends without Hessians: see docs/decisions
SPAN_ROWS = 20  # for each score: the span of up to this many rows costs about ten passes
LEAST_WEIGHT = 1e-6  # weight of a feature in a direction / largest weight: less is rounding


class Settings(NamedTuple):
    """How to solve a problem: what a user chooses, and the number of parameters at which the method changes.

    A ``tol`` of "auto" is FORMED_TOL, or PRODUCTS_TOL for a descent without a formed Hessian. Such a descent may end
    before its goal, if the goal is far away and J falls too slowly to matter: see ``quasi_newton``.

    A descent ends after ``patience`` iterations in which the loss of the held-out rows has not fallen; an infinite
    patience never ends it. Up to ``formed_parameters`` parameters, the Hessian is formed.
    """

    solver: str = "auto"
    tol: float | Literal["auto"] = "auto"
    max_iter: int = 1000
    learning_rate: float | Literal["auto"] = "auto"
    batch_size: int = 256
    patience: float = inf
    formed_parameters: int = FORMED_PARAMETERS

    @property
    def formed_tol(self) -> float:
        """The tolerance of a descent that forms Hessians."""
        return FORMED_TOL if self.tol == "auto" else self.tol


DEFAULTS = Settings()


class Solution(NamedTuple):
    """The end of a solve, and what is known about it.

    ``theta`` is the user's. ``model`` is the local model of J in ``coordinates``, with the point and the metric.
    ``excess`` is the estimate of J - min J, ``gap`` a proven bound on J - min J, and ``goal`` the excess at which the
    descent was to end. Where the classes are separable, ``direction`` has the terms of a direction along which J falls
    for ever: pairs of an index (feature, score) and a coefficient. ``known`` is for a descent that starts here.
    """

    theta: np.ndarray
    status: Status
    excess: float
    gap: float
    goal: float
    history: list[Record]
    model: LocalModel
    coordinates: Coordinates
    direction: list[tuple[tuple[int, int], float]]
    known: Any = None

    @property
    def point(self) -> Point:
        """Theta in the coordinates of the descent, with J and its gradient there."""
        return self.model.point

    @property
    def has_converged(self) -> bool:
        """Whether J is within the goal of its minimum."""
        return self.status is Status.CONVERGED

    @property
    def is_separable(self) -> bool:
        """Whether J has no minimum."""
        return self.status is Status.SEPARABLE

    @property
    def objective(self) -> Objective:
        """J in the coordinates of the descent."""
        return self.model.objective

    def moved(self, theta: np.ndarray) -> "Solution":
        """A start at another theta of the user's, with these coordinates and what this descent knows."""
        return self._replace(theta=theta, model=self.model.moved(self.coordinates.into(theta)))

    def along(self, names: Sequence[str], classes: Sequence[Any]) -> str:
        """The direction in words: its first terms, with the names of the features; by class where there are several.

        Coefficients are per unit of each feature, and relative to the first.
        """
        if not self.direction:
            return ""
        first = abs(self.direction[0][1])
        by_score: dict[int, list[str]] = {}
        for (feature, score), coefficient in self.direction[:MOST_NAMED_TERMS]:
            by_score.setdefault(score, []).append(f"{coefficient / first:+.3g} {names[feature]}")
        parts = [" ".join(named) for named in by_score.values()]
        if self.theta.shape[1] > 1:
            parts = [f"{part} for class {classes[score]!s}" for score, part in zip(by_score, parts, strict=True)]
        more = f" and {len(self.direction) - MOST_NAMED_TERMS} more" if len(self.direction) > MOST_NAMED_TERMS else ""
        return f", along {'; '.join(parts)}{more}"

    @property
    def tolerance(self) -> float:
        """The goal, in units of min(1, J)."""
        return self.goal / min(1.0, self.point.value) if self.point.value > 0 else self.goal

    def largest_stable_rate(self) -> float:
        """2 / L, where L is the largest curvature of J over the features as given; it takes a few passes."""
        return 2 / smoothness(Objective(self.coordinates.given, self.objective.loss, self.objective.penalty))


def solve(
    problem: Problem,
    settings: Settings = DEFAULTS,
    start: np.ndarray | Solution | None = None,
    rng: np.random.Generator | None = None,
    watch: Watch = NOBODY,
    held_out: Rows | None = None,
    brief: bool = False,
) -> Solution:
    """Minimise a problem's J.

    Parameters
    ----------
    problem : Problem
        The problem to solve.
    settings : Settings
        The solver, its tolerances and limits.
    start : ndarray, Solution or None
        The start: the user's theta, or the solution of a problem over the same rows, whose coordinates are then used
        again. None is theta = 0.
    rng : numpy Generator or None
        The generator that draws random rows. None is a generator with the seed 0.
    watch : Watch
        ``solve`` calls ``watch.begin(theta)`` before each iteration and ``watch.end(record, theta)`` after it, which
        returns True to stop. ``theta()`` is the user's theta.
    held_out : Rows or None
        Rows whose loss is recorded after each iteration.
    brief : bool
        Whether a proof of two passes is enough, for a smooth penalty without a formed Hessian. Its bound is valid, but
        loose.

    Returns
    -------
    Solution
    """
    rng = rng or np.random.default_rng(0)
    coordinates = coordinates_of(problem, settings, start)
    penalty = coordinates.penalty(problem.penalty)
    objective = Objective(coordinates.rows, problem.loss, penalty, formed_parameters=settings.formed_parameters)
    if settings.solver not in TEXTBOOK and replaces_hessian(objective):
        objective.formed_parameters = 0
    others = held_out and Objective(held_out, problem.loss, ElasticNet(0.0))
    tol = tolerance(settings, objective)
    known = start.known if isinstance(start, Solution) and start.coordinates is coordinates else None
    method, brief = method_of(settings, objective, rng, known), brief and not proves_arrival(objective)

    def theta_of_user(theta):
        return users(theta, objective, coordinates)

    with objective.threads():
        ending = descend(
            method,
            objective,
            better_start(objective, start_in(coordinates, start, problem)),
            tol=tol,
            max_iter=settings.max_iter,
            validate=others and (lambda theta: others.value(theta_of_user(theta))),
            patience=settings.patience,
            watch=watch if watch is NOBODY else watch_of_points(watch, theta_of_user),
        )
        solution = even_if_interrupted(
            lambda status: solution_at(
                ending._replace(status=status), objective, coordinates, settings, tol, rng, brief
            ),
            ending.status,
        )
    if 0 < len(solution.history) < settings.max_iter and rounding_hides_minimum(solution):
        return continued_in_float64(solution, problem, settings, rng, watch, held_out, brief)
    return solution


def rounding_hides_minimum(solution: Solution) -> bool:
    """Whether the rounding of float32 may hide the minimum from a descent that has ended.

    A feature without a penalty may be a sum of others but for that rounding, and float64 would fit the rounding.
    """
    objective, has_ended = solution.objective, solution.status in (Status.UNPROVEN, Status.STALLED)
    is_float32 = objective.precision == "float32" and objective.is_in_memory
    return has_ended and is_float32 and objective.penalty.is_smooth and objective.penalty_curvature[:-1].all()


def continued_in_float64(
    solution: Solution, problem: Problem, settings: Settings, rng, watch: Watch, held_out, brief
) -> Solution:
    """The end of a descent that goes on with its float32 rows read in float64.

    The gap is at least the rounding of J in float32 nevertheless, for the user's coefficients are float32, too.
    """
    last, resolution = solution.history[-1], solution.objective.resolution

    def after(record):
        return record._replace(
            iteration=last.iteration + record.iteration,
            passes=last.passes + record.passes,
            seconds=last.seconds + record.seconds,
        )

    settings = settings._replace(max_iter=settings.max_iter - last.iteration)
    going_on = Watch(watch.begin, lambda record, theta: watch.end(after(record), theta))
    try:
        end = solve(problem.in_float64(), settings, solution.theta, rng, going_on, held_out, brief)
    except KeyboardInterrupt:  # before the first step
        return solution._replace(status=Status.INTERRUPTED)
    gap = max(end.gap, resolution * end.point.value)
    return end._replace(gap=gap, history=[*solution.history, *map(after, end.history)])


def watch_of_points(watch: Watch, theta_of_user: Callable[[np.ndarray], np.ndarray]) -> Watch:
    """A watch that takes points, and passes functions that make the user's theta on to another watch."""

    def theta_at(point):
        return lambda: theta_of_user(point.theta)

    return Watch(
        lambda point: watch.begin(theta_at(point)),
        lambda record, point: watch.end(record, theta_at(point)),
    )


def path(problem: Problem, penalties: Iterable[Penalty], settings: Settings = DEFAULTS, rng=None) -> Iterator[Solution]:
    """The solutions for one penalty after another, each from the solution before, all in the same coordinates."""
    solution = None
    for penalty in penalties:
        solution = solve(problem._replace(penalty=penalty), settings, solution, rng)
        yield solution


def coordinates_of(problem: Problem, settings: Settings, start: np.ndarray | Solution | None) -> Coordinates:
    """The coordinates in which to solve a problem: those of the solution to start from, if it has the same rows."""
    if settings.solver in TEXTBOOK:
        return Coordinates.as_given(problem.rows)
    k = problem.loss.n_outputs
    max_rows = max(settings.formed_parameters // k, SPAN_ROWS * k) if problem.penalty.is_rotation_invariant else 0
    in_spreads = problem.penalty.is_none
    if isinstance(start, Solution) and start.coordinates.serve(problem.rows, max_rows, in_spreads):
        return start.coordinates
    forms_no_hessian = k * problem.shape[0] > settings.formed_parameters and problem.penalty.is_smooth
    return Coordinates.of_newton(problem.rows, max_rows, in_spreads, forms_no_hessian)


def start_in(coordinates: Coordinates, start: np.ndarray | Solution | None, problem: Problem) -> np.ndarray:
    """The start of the descent, in the descent's coordinates."""
    if isinstance(start, Solution):
        return start.point.theta if start.coordinates is coordinates else coordinates.into(start.theta)
    if start is None:
        return coordinates.zero(problem.loss.n_outputs)
    return coordinates.into(start)


def users(theta: np.ndarray, objective: Objective, coordinates: Coordinates) -> np.ndarray:
    """The user's theta for a theta of the descent.

    A softmax does not change where all coefficients of a feature change by the same amount. Where no penalty decides,
    the coefficients of a feature add up to 0.
    """
    theta = coordinates.out_of(theta if objective.penalty.is_smooth else objective.penalty.prox(theta, 0.0))
    if theta.shape[1] > 1:
        unpenalised = free_of(objective.penalty, objective.shape[0] - 1)
        if len(unpenalised) != len(theta):  # the descent's parameters are those of the rows' span
            unpenalised = np.full(len(theta), unpenalised.all())
        theta[unpenalised] -= theta[unpenalised].mean(axis=1, keepdims=True)
    return theta


def better_start(objective: Objective, theta: np.ndarray) -> np.ndarray:
    """Theta, or zero where J is lower at zero: theta may come from a fit to features on other scales."""
    theta = objective.penalty.prox(theta, 0.0)  # J is infinite out of bounds
    if not theta.any():
        return theta
    zero = objective.penalty.prox(np.zeros_like(theta), 0.0)
    is_known = not objective.has_offset and not zero.any()
    at_zero = log(objective.n_classes) if is_known else objective.value(zero)  # each class as likely as another
    return theta if objective.value(theta) <= at_zero else zero


def tolerance(settings: Settings, objective: Objective) -> float:
    """The tolerance that the settings ask for."""
    return settings.formed_tol if settings.tol != "auto" or is_fine(settings, objective) else PRODUCTS_TOL


def is_fine(settings: Settings, objective: Objective) -> bool:
    """Whether tol="auto" is the tolerance of a descent that forms Hessians."""
    is_small = objective.penalty.is_smooth and objective.n_parameters <= settings.formed_parameters
    is_formed = settings.solver in TEXTBOOK or descends_by_hessians(objective)
    return is_formed or is_small or has_working_set(objective)


def descends_by_hessians(objective: Objective) -> bool:
    """Whether the default descent forms Hessians.

    With l1 and P parameters, a step on a formed Hessian costs tens of P^3, and a step of a proximal quasi-Newton
    descent about n P.
    """
    penalty, size = objective.penalty, objective.n_parameters
    is_dear = size > ALWAYS_FORMED_PARAMETERS and size**2 > FORMED_SIZE * objective.n_counted
    has_other = objective.shape[1] > 1 and not penalty.is_smooth and not lacking(penalty, L1Penalty)
    return objective.forms_hessian and not (is_dear and has_other and lacking(penalty, BoxPenalty))


def has_working_set(objective: Objective) -> bool:
    """Whether the descent takes truncated Newton steps on a working set: with l1, and one score or wide dense rows.

    With several scores, CSR rows often become certain of their class, and then Newton's step leads nowhere.
    """
    is_l1 = not objective.penalty.is_smooth and bool(lacking(objective.penalty, BoxPenalty))
    return is_l1 and (objective.has_least_squares or objective.is_wide and not objective.is_sparse)


def method_of(settings: Settings, objective: Objective, rng: np.random.Generator, known: Any = None) -> Method:
    """The method of a named solver; "auto" chooses by the number of parameters and the penalty.

    ``known`` is what a descent that ended at the start of this one knew.
    """
    tol = tolerance(settings, objective)
    match settings.solver:
        case "gd":
            return gradient.batch(settings.learning_rate)
        case "nesterov":
            return gradient.nesterov(settings.learning_rate)
        case "sgd":
            return stochastic.minibatch(settings.learning_rate, settings.batch_size, rng)
        case _ if descends_by_hessians(objective):
            return newton.sketch(tol, rng)
        case _ if not lacking(objective.penalty, BoxPenalty):
            return gradient.diagonal_nesterov()
        case _ if objective.penalty.is_smooth and is_fine(settings, objective):
            return products_first.products_first(tol, rng)
        case _ if objective.penalty.is_smooth:
            settles = settings.tol == "auto"
            return quasi_newton.quasi_newton(tol, rng, settles, known)
        case _ if has_working_set(objective):
            return truncated.truncated()
        case _:
            return proximal_quasi_newton.proximal_quasi_newton(tol, rng, settles=settings.tol == "auto")


def solution_at(
    ending: DescentResult, objective: Objective, coordinates: Coordinates, settings: Settings, tol: float, rng, brief
) -> Solution:
    """The solution at the end of a descent: tested for separation, of least norm, with a proven gap."""
    model, status, theta = ending.model, ending.status, users(ending.point.theta, objective, coordinates)
    if model.objective is not objective:  # the model of a textbook's descent has centred features
        coordinates = coordinates.measured_like(model.objective.rows)
    direction = None if status.is_asked_for else separating_direction(model)
    if direction is not None:
        status = Status.SEPARABLE
    if not status.is_asked_for and not coordinates.is_spanned:
        least_norm = of_least_norm(model)
        if least_norm is not model.point.theta:
            model, theta = model.moved(least_norm), users(least_norm, objective, coordinates)
    converged_excess = ending.excess if status is Status.CONVERGED else 0.0
    brief = status is Status.INTERRUPTED or (brief and status is Status.CONVERGED)
    gap = duality_gap(model, rng, tol, converged_excess, brief)
    if status is Status.CONVERGED and is_doubtful(model, gap, ending.goal, tol):
        status = Status.UNPROVEN
    elif status in (Status.MAX_ITER, Status.STALLED) and gap <= ending.goal:  # proven, whatever the estimate
        status = Status.CONVERGED
    if status is Status.DIVERGED and (settings.learning_rate == "auto" or settings.solver not in TEXTBOOK):
        status = Status.ABOVE_START
    terms = [] if direction is None else terms_of(direction, coordinates)
    excess, history = min(ending.excess, gap), ending.history
    return Solution(theta, status, excess, gap, ending.goal, history, model, coordinates, terms, ending.known)


def proves_arrival(objective: Objective) -> bool:
    """Whether the gap may tell that a descent has not arrived after all: see ``is_doubtful``."""
    return objective.forms_hessian or not objective.penalty.is_smooth


def is_doubtful(model: LocalModel, gap: float, reached: float, tol: float) -> bool:
    """Whether the gap is so large that the estimate of the excess at a model's point may be wrong.

    A descent that settled before its goal, at a larger excess that it ``reached``, has said so.
    """
    objective = model.objective
    goal = goal_of(objective, model.point, tol)
    if isinf(gap) or reached > goal:  # nothing can be proven for this penalty, or is to be proven
        return False
    if not objective.penalty.is_smooth:
        return gap > max(DOUBTFUL_RELATIVE_GAP * model.point.value, goal)
    if gap <= DOUBTFUL_GAP_PER_GOAL * goal or not objective.forms_hessian:
        return False
    return objective.precision == "float32" or model.metric.hessian.is_singular


def terms_of(direction: np.ndarray, coordinates: Coordinates) -> list[tuple[tuple[int, int], float]]:
    """A direction as pairs of an index (feature, score) and a coefficient, ordered by weight, the largest first."""
    W = coordinates.out_of(direction)[:-1]
    weight = np.abs(coordinates.centred.in_units(W)) * coordinates.centred.spread()[:, None]
    order = [divmod(flat, W.shape[1]) for flat in weight.argsort(axis=None)[::-1].tolist()]
    return [(index, float(W[index])) for index in order if weight[index] > LEAST_WEIGHT * weight.max()]
