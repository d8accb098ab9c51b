r"""The duality gap: a proven bound on J(theta) - min J.

Take any probabilities a'_i whose residuals r_i = a'_i - y_i have a weighted sum of zero, because the intercept is not
penalised. By Fenchel duality they prove

    J - min J  <=  1/S sum_i s_i KL(a'_i || a_i)  +  1/(2 l2) |V|^2,     V = l2 W + 1/S sum_i s_i x_i r_i^T,

where a_i are the model's own probabilities. With a' = a the first term is 0 and V = dJ/dW. But l2 is tiny, and 1 / l2
makes the bound useless as soon as a feature has a large scale. Two other choices of a' do better.

*Tilted.* On a set B of rows, tilt the probabilities by a step u: a'_i = a_i (1 - t_i), where t_i is u^T x_i less the
mean of u^T x_i under a_i. The tilt takes H_B u from the gradient, where H_B is what the rows of B add to the Hessian of
the loss. So the u that solves (H_B + l2) u = dJ leaves V = l2 u, and the bound is about 1/2 dJ^T (H_B + l2)^-1 dJ. That
is half the squared Newton decrement of the rows of B: it does not depend on any feature's scale. B is a random sample
whose Hessian costs less than a pass, without the few rows that u would tilt out of [0, 1]. The bound is then about
n / |B| times the decrement of all rows. With l1, rows that u would tilt out of [0, 1] take a part of their tilt: they
are nearly certain, so V moves by less than their small probabilities.

For many parameters H_B is not formed. Then B is all rows, and conjugate gradients solve (H + l2) u = dJ. The residual
of that equation is a term of V, so the bound is proven for a rough u, too. Only the intercept of u is corrected first,
so that the residuals r_i add up to 0.

*Features without any penalty* are like the intercept. The conjugate of a penalty of 0 is infinite except at 0, so the
proof needs V_j = 0, that is sum_i s_i x_ij r_i = 0. The Newton step of a formed H_B leaves V_j = 0 up to rounding.
After conjugate gradients, u is corrected in all these parameters, as in the intercept. What rounding leaves of V_j is
set to 0, and ``bound`` adds the price of that. Where V_j is larger than its rounding, the bound is J itself.

*Features with hardly any penalty*, as in large units, are like these: V_j^2 is divided by their penalty. Where a few
such features make most of the bound after conjugate gradients, one Newton step in these features corrects u.

*Shrunk.* Far from the minimum a tilt would leave [0, 1]. Then r_i = rho_c (a_i - y_i): the residuals of the rows of
class c, times a factor rho_c. With Q_c the sum of s_i (a_i - y_i) over class c, the sum of all r_i is zero where
rho Q = 0. The rows of Q add up to 0 and only the diagonal of Q is negative, so rho is the stationary distribution of a
Markov chain, scaled to a maximum of 1.

References
----------
Rockafellar, "Convex Analysis" (1970), section 31. Yu, Huang and Lin, "Dual coordinate descent methods for logistic
regression and maximum entropy models", Machine Learning 85 (2011).
"""

from functools import partial

import numpy as np

from .. import proofs
from ..objective import Overflow, overflow_raised, tried
from ..penalty import Conjugate, lacking
from ..quadratic.curvature import ConjugateGradients, Jacobi
from ..quadratic.metric import LocalModel, Solved, metric_of

__all__ = ["duality_gap"]

PASS_PARAMETERS = 25  # with this many parameters, the Hessian of all rows costs about one pass
PRODUCTS = 10  # passes: a Hessian that costs more is known by its products
TILTED_ROWS_PER_PARAMETER = 4  # the least size of the sample
ROWS_PER_TILTED_ROW = 16  # the sample has at most one row in 16, unless its parameters need more
LEAST_TILTED_ROWS = 1000  # a table of up to this many rows is not sampled
ENOUGH_GAP = 1e-6  # relative to J. A larger bound may come from a feature that the sample misses
LOOSE_GAP = 0.01  # relative to J: with l1, a larger bound is worth another solve, which is finer
FINER_STEPS = 3  # that such a solve is repeated, at most
FINER_WORK = 1.5e10  # multiplications in products of one such solve, at most: up to 9 s of one thread
SHRUNK_BOUND_RATIO = 10  # bound / rough estimate of the excess: for many parameters, a shrunk bound below it will do
SAMPLE_BOUND_RATIO = 2  # bound / (excess n / |B|): a sample with a larger bound has missed a feature
MOST_DUAL_MOVE = 1e-9  # in units of a feature's spread: a larger V_j is a slope, not rounding
CORRECTION_RESIDUAL = 1e-8  # residual of a correction, relative to the V that it corrects
CORRECTIONS = 4  # of a tilt's step, in the parameters without a penalty
MOST_TILT, SHIFTS = 0.999, 5  # of a row that takes a part of its tilt; corrections of the intercept, at most
MOST_CORRECTED = 100  # parameters in which a step is corrected: their Hessian costs less than the tilts
CORRECTED_SHARE = 8  # features / most features that are copied for it
LEFT_BY_CORRECTION = 0.1  # share of the bound that a correction leaves at most
TILTS = 5  # at most. Each leaves out the rows that the tilt before would have pushed out of [0, 1]


def duality_gap(model, rng, tol=0.0, excess=0.0, brief=False):
    """Bound J(theta) - min J at a model's point; infinite without a penalty.

    A ``brief`` one takes two passes, however far the bound is.

    The bound is at most J itself, and at least the rounding of J, because no smaller excess can be seen. Without a
    penalty, J need not have a minimum. The bound is also infinite for a penalty whose conjugate is not known. Further
    passes that would make the bound sharper end at a bound of tol J, which is what the descent was asked for; where the
    ``excess`` is known to be small, they end at the bound that a sample can prove of it.
    """
    objective, value = model.objective, model.point.value
    if objective.penalty.is_none or lacking(objective.penalty, Conjugate):
        return np.inf
    bound = shrunk_bound(objective, model.point) if brief else proven_bound(model, rng, tol, excess)
    return float(np.clip(bound, objective.resolution * value, value))


def proven_bound(model, rng, tol, excess=0.0):
    """The smallest of the bounds below that are worth their passes."""
    objective, point = model.objective, model.point
    goal = max(tol, objective.resolution) * point.value
    wanted = max(goal, ENOUGH_GAP * point.value)
    if objective.penalty.is_smooth and not objective.forms_hessian and model.sample is None:
        enough = SHRUNK_BOUND_RATIO * model.metric.preconditioner_excess(point)
        cheap, dear = partial(shrunk_bound, objective, point), partial(tilted_bound, objective, model, wanted)
        first, second = (dear, cheap) if isinstance(model.metric, Solved) else (cheap, dear)
        bound = first()
        return bound if bound <= max(goal, enough) else min(bound, second())
    has_sample = objective.forms_hessian or model.sample is not None
    some = sample_of(model, rng, goal) if has_sample else model
    wanted = max(wanted, SAMPLE_BOUND_RATIO * objective.n_rows / some.objective.n_rows * min(excess, point.value))
    bound = tilted_bound(objective, some, goal if has_sample else wanted)
    if bound > wanted and some is not model:
        bound = min(bound, tilted_bound(objective, model, wanted))
    loose = LOOSE_GAP * point.value
    if bound > loose > excess and isinstance(model.metric, Solved):
        bound = min(bound, finer_bound(objective, point, loose))
    return bound if np.isfinite(bound) else shrunk_bound(objective, point)


def sample_of(model, rng, enough=0.0):
    """The local model of a sample of rows whose Hessian costs less than a pass; the model itself where rows are few.

    Where that Hessian costs many passes, it is known by products; a solve ends at an excess of ``enough``.
    """
    objective = model.objective
    n, n_parameters = objective.n_rows, objective.n_parameters
    size = max(
        min(PASS_PARAMETERS * n // n_parameters, n // ROWS_PER_TILTED_ROW),
        TILTED_ROWS_PER_PARAMETER * n_parameters,
        LEAST_TILTED_ROWS,
    )
    is_dear = size * n_parameters > PRODUCTS * PASS_PARAMETERS * n
    if model.rough is not None and (is_dear or not objective.forms_hessian):
        part = objective if model.sample is None else objective.part(model.sample.n_rows, rng, model.sample)
        return model.by_products(part, enough)
    part = objective.part(size, rng, model.sample)
    return model if part is objective else LocalModel(part, model.point)


def finer_bound(objective, point, loose):
    """The bound from Newton's steps whose slopes are small beside the l1 strengths; they end below ``loose``.

    A dual point is scaled until its slopes are within the strengths. If one slope is 8% beyond a tiny strength, 8% of J
    are lost, however near theta is to the minimum.

    A solve that has not come so far goes on where its step leads, as a dual point bounds J at every theta.
    """
    value, best = point.value, np.inf
    most = FINER_WORK / (2 * objective.work * objective.shape[1])
    for _ in range(FINER_STEPS):
        solved = Solved(*LocalModel(objective, point).metric.step_and_fall(point, 0.0, most))
        proven = tilted_bound(objective, LocalModel(objective, point, solved), loose)
        best = min(best, value - point.value + proven)
        if best <= loose:
            break
        moved = tried(objective, point.theta + solved.direction)
        if not moved.value <= value:
            break
        point = moved
    return best


def tilted_bound(objective, model, wanted=0.0):
    """The bound from tilting the rows of a model, which are all rows of the objective or a sample of them.

    It is infinite where the tilt is too strong, or overflows. Rows whose tilt is too strong are left out. With l1 they
    take a part of it first; without l1, what this leaves of the slopes would be divided by a tiny l2.
    """
    best, _ = np.inf, model.metric  # an overflow in the metric is an overflow in X, and is reported as such
    try:
        with overflow_raised():
            for _ in range(TILTS):
                *tilted, infeasible = zero_sum_tilt(model)
                count_passes(objective, model, 2 if infeasible is None else 3)
                if infeasible is None:
                    best = min(best, bound_of_tilt(objective, model, *tilted, wanted))
                    finer = corrected(model, tilted[1], wanted) if wanted < best < np.inf else None
                    return best if finer is None else min(best, bound_of_step(objective, finer, wanted))
                partly = may_tilt_partly(objective)
                if partly:
                    *tilted, infeasible_still = zero_sum_tilt(model, MOST_TILT)
                    count_passes(objective, model, 2)
                    if infeasible_still is None:
                        best = min(best, bound_of_tilt(objective, model, *tilted, wanted))
                if best <= wanted or not objective.forms_hessian and (partly or objective.penalty.is_smooth):
                    break  # by products, another tilt would take as many as the first
                model = LocalModel(model.objective.without(infeasible), model.point)
    except Overflow:  # the step overflows where hardly a row has any curvature left
        pass
    return best


def bound_of_step(objective, model, wanted):
    """The bound from tilting the rows of a model once; infinite where the tilt is too strong."""
    *tilted, infeasible = zero_sum_tilt(model)
    count_passes(objective, model, 2 if infeasible is None else 3)
    return np.inf if infeasible is not None else bound_of_tilt(objective, model, *tilted, wanted)


def corrected(model, V, wanted):
    """The model with a step that leaves nearly nothing of V in a few features, if these make most of the bound.

    The bound divides V_j^2 by the penalty of a feature. A feature in large units has hardly any, so V_j must be far
    smaller than conjugate gradients leave it. A Newton step in these features and the intercept makes it so. None where
    no few features make most of the bound.
    """
    objective = model.objective
    penalty, (p, k) = objective.penalty_curvature[:-1], objective.shape
    if objective.forms_hessian or not (objective.penalty.is_smooth and objective.is_in_memory and penalty.all()):
        return None
    shares = (V[:-1] ** 2 / (2 * penalty)).sum(axis=1)
    order = np.argsort(-shares)
    left = shares.sum() - np.cumsum(shares[order])
    number = min(np.count_nonzero(left > wanted / 2) + 1, MOST_CORRECTED // k, p // CORRECTED_SHARE)
    if number == 0 or left[number - 1] > LEFT_BY_CORRECTION * shares.sum():
        return None
    features = np.sort(order[:number])
    some, which = objective.restricted(features), np.append(features, p - 1)
    H = metric_of(some, some.hessian_at(objective.curvature(objective.scores(model.point.theta)))).hessian
    step, fall = model.step
    step = step.copy()
    step[which] -= H.solve(V[which])
    return LocalModel(objective, model.point, Solved(step, fall))


def may_tilt_partly(objective):
    """Whether rows may take a part of their tilt: with l1, and where no feature needs slopes of exactly 0."""
    penalty = objective.penalty
    return not penalty.is_smooth and not penalty.unpenalised(objective.shape[0] - 1)[:-1].any()


def count_passes(objective, model, number):
    """Count passes over the rows of a model, in passes over all rows."""
    objective.passes += number * model.objective.n_rows / objective.n_rows


def bound_of_tilt(objective, model, kl, V, wanted):
    """The bound of the dual point of a tilt. Where it is above ``wanted``, one without the rounding of V, too.

    It is infinite where the residuals do not add up to 0.
    """
    if np.abs(V[-1]).max() > objective.resolution:
        return np.inf
    point, V = model.point, V - objective.penalty.gradient(model.point.theta)
    proven = bound(objective, point, kl, V)
    if proven <= wanted:
        return proven
    return min(proven, bound(objective, point, kl, V, rounding_of_slopes(objective, model.objective)))


def zero_sum_tilt(model, most=np.inf):
    """The ``tilt`` by Newton's step, with an intercept for which the residuals add up to 0.

    The tilts of a row go up to ``most``.
    """
    objective, point, u = model.objective, model.point, -model.step[0]
    unpenalised = objective.penalty.unpenalised(len(u) - 1)
    if unpenalised[:-1].any():
        return tilt_without_slopes(objective, point, u, unpenalised)
    tilted, inverse = tilt(objective, point, u, most), None
    for _ in range(1 if most == np.inf else SHIFTS):
        residual_sum = tilted[1][-1]  # the last row of V
        if np.abs(residual_sum).max() <= objective.resolution:
            break
        if inverse is None:
            intercepts = objective.coupling(objective.curvature(objective.scores(point.theta)))
            rounding = len(intercepts) * np.finfo(float).eps  # a softmax does not see a shift of all intercepts
            inverse = np.linalg.pinv(intercepts, rcond=rounding, hermitian=True)
        u = np.vstack([u[:-1], u[-1] + inverse @ residual_sum])
        tilted = tilt(objective, point, u, most)
    return tilted


def tilt_without_slopes(objective, point, u, unpenalised):
    """The ``tilt`` by a corrected step u, for which V is 0 up to rounding in the parameters without a penalty."""
    rounding = np.append(rounding_of_slopes(objective, objective), objective.resolution)[:, None]
    for _ in range(CORRECTIONS):
        tilted = tilt(objective, point, u)
        V = tilted[1]
        if (np.abs(V) <= rounding)[unpenalised].all():
            break
        u = u + correction(objective, point.theta, V, unpenalised[:, None])
    return tilted


def correction(objective, theta, V, unpenalised):
    """The d that a tilt's step lacks: H_uu d_u = V_u, with u for the parameters without a penalty."""
    if V.shape[1] > 1:
        V = V - V.mean(axis=1, keepdims=True)  # the mean is rounding: a softmax has no curvature along it
    c = objective.curvature(objective.scores(theta))
    product, diagonal = objective.hessian_product(c), unpenalised * objective.hessian_diagonal(c)
    solver = ConjugateGradients(lambda v: unpenalised * product(v), Jacobi(diagonal), lambda r: np.inf)
    for iterate in solver.iterates(unpenalised * V):
        if iterate.residual <= CORRECTION_RESIDUAL:
            break
    return iterate.x


def tilt(objective, point, u, most=np.inf):
    """The tilt of all rows by u: S KL(a' || a); V; and the rows that u would take out of [0, 1], None where none."""
    kl, change, infeasible = proofs.tilt(objective, point.theta, u, most)
    return kl, point.gradient - change, infeasible


def shrunk_bound(objective, point):
    """The bound from shrinking the residuals of each class."""
    return bound(objective, point, *proofs.shrunk(objective, point.theta, class_shrinkage(objective, point.theta)))


def rounding_of_slopes(objective, tilted):
    """The rounding of the sum of x r for each feature, with residuals r of at most 1; small beside the spread."""
    spread = tilted.spread()
    largest = max(objective.resolution, MOST_DUAL_MOVE) * spread
    return np.minimum(objective.resolution * (spread + np.abs(objective.centre)), largest)


def bound(objective, point, kl, V, rounding=None):
    """The bound that a dual point (kl, V) proves, both as sums over rows; scaled by rho where l1 asks for a smaller V.

    The residuals rho r' belong to the probabilities rho a' + (1 - rho) y. Their KL is at most the mean of the KLs of a'
    and y, with weights rho and 1 - rho.

    V is a sum of x r, and is known up to the ``rounding`` of each feature. The rounding alone may add V^2 / (2 l2) to
    the gap, or make rho tiny. So V is moved by some e within its rounding. The moved V proves the bound up to
    <e, W* - W>, where W* is at the minimum. The bound adds <e, W>; <e, W*> is no more than the rounding of a score.
    """
    penalty, theta, price = objective.penalty, point.theta, 0.0
    if rounding is not None:
        nearest = penalty.nearest_dual(theta, V, rounding)
        V, price = nearest, float(np.abs((nearest - V) * theta)[:-1].sum())
    rho, loss = penalty.dual_scale(V), point.value - penalty.value(theta)
    return float(rho * max(kl, 0.0) / objective.total + (1 - rho) * loss + penalty.fenchel_gap(theta, rho * V)) + price


def class_shrinkage(objective, theta):
    """rho: one factor for each class, the largest of them 1."""
    if not objective.has_intercept:  # without an intercept the sum of the residuals is not constrained
        return np.ones(objective.n_classes)
    rho = np.abs(np.linalg.svd(proofs.flows(objective, theta).T)[2][-1])  # the null vector of the flows' transpose
    return rho / rho.max()
