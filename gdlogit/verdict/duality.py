r"""The duality gap: a proven bound on J(theta) - min J.

By Fenchel duality, residuals r_i = a'_i - y_i of any probabilities a'_i whose weighted sum is zero (the intercept is
free) prove

    J - min J  <=  1/S sum_i s_i KL(a'_i || a_i)  +  1/(2 l2) |V|^2,     V = l2 W + 1/S sum_i s_i x_i r_i^T,

where a_i are the model's own probabilities. With a' = a the first part is 0 and V = dJ/dW; but l2 is tiny, and dividing
by it makes nonsense of the bound as soon as a feature is in euros. Two better choices of a':

*Tilted.* On some rows B, tilt the probabilities by a step u: a'_i = a_i (1 - t_i), t_i = u^T x_i less its mean under
a_i. That takes H_B u from the gradient, with H_B the rows' part of the Hessian of the loss. So (H_B + l2) u = dJ leaves
V = l2 u, and the whole bound is about 1/2 dJ^T (H_B + l2)^-1 dJ: half the squared Newton decrement, whatever the
scales, in which the rows outside B count for nothing. B is a random sample whose Hessian costs less than a pass,
without the few rows that u would tilt out of [0, 1]; the bound is then the decrement times about n / |B|.

For many parameters H_B is not formed; then B is all rows, and u what conjugate gradients make of (H + l2) u = dJ. What
remains of that equation is part of V, so the bound is proven however rough u is; only u's intercept is set right first,
for the residuals to add up to 0.

*Features without any penalty* are to the proof what the intercept is: the conjugate of a penalty that is 0 is infinite
but at 0, so V_j = 0 must hold, which is sum_i s_i x_ij r_i = 0. The Newton step of a formed H_B leaves V_j = 0 up to
rounding; after conjugate gradients u is set right in all these parameters, as it is in the intercept alone. The
rounding that is left is moved to 0, at the price that ``bound`` states; where more is left, the bound is J itself.

*Shrunk.* Far from the minimum a tilt would leave [0, 1]. Then r = rho_y
(a - y), the residuals of each class shrunk by a factor of its own. With Q_c the sum of s_i (a_i - y_i) over class c,
their sum is zero where rho Q = 0; the rows of Q add up to 0 and only its diagonal is negative, so rho is the stationary
distribution of a Markov chain, scaled to a maximum of 1.

References
----------
Rockafellar, "Convex Analysis" (1970), section 31. Yu, Huang and Lin, "Dual coordinate descent methods for logistic
regression and maximum entropy models", Machine Learning 85 (2011).
"""

from functools import partial

import numpy as np

from ..objective import Overflow, overflow_raised
from ..penalty import Conjugate, lacking
from ..quadratic.curvature import ConjugateGradients, Jacobi
from ..quadratic.metric import LocalModel, Solved

__all__ = ["duality_gap"]

PASS_PARAMETERS = 25  # so many parameters make the Hessian of all rows cost about one pass
TILTED_ROWS_PER_PARAMETER = 4  # at least, in the sample
ROWS_PER_TILTED_ROW = 16  # one row in so many is in the sample, at most, or what its parameters need
LEAST_TILTED_ROWS = 1000  # not worth sampling from
ENOUGH_GAP = 1e-6  # of J: a bound beyond it may come from a feature that the sample misses
SHRUNK_BOUND_RATIO = 10  # times the excess, as roughly estimated, is a bound that many parameters need not improve
SAMPLE_BOUND_RATIO = 2  # times n / |B| times the excess, at most, is the bound of a sample that misses nothing
MOST_DUAL_MOVE = 1e-9  # of a feature's spread, or the rounding of its type: more is a slope, even beside a large offset
CORRECTION_RESIDUAL = 1e-8  # the residual of a correction, relative to what it corrects
CORRECTIONS = 4  # at most, of the step of a tilt where nothing is penalised
TILTS = 5  # at most, each without the rows that the last would have pushed out of [0, 1]


def duality_gap(model, rng, tol=0.0, excess=0.0, brief=False):
    """Bound J(theta) - min J at a model's point; infinite without a penalty.

    A ``brief`` one takes two passes, however far the bound is.

    The bound is at most J itself, and at least the rounding of J: no smaller excess can be seen. Without a penalty, J
    need not have a minimum. The bound is infinite for a penalty whose conjugate is not known, too: then nothing is
    proven. Where more passes would make the bound sharper, they are made only down to tol J, which is what the descent
    was asked for, or to what a sample can prove of an ``excess`` known to be small.
    """
    objective, value = model.objective, model.point.value
    if objective.penalty.is_none or lacking(objective.penalty, Conjugate):
        return np.inf
    bound = shrunk_bound(objective, model.point) if brief else proven_bound(model, rng, tol, excess)
    return float(np.clip(bound, objective.resolution * value, value))


def proven_bound(model, rng, tol, excess=0.0):
    """The least bound of those below that is worth its price."""
    objective, point = model.objective, model.point
    goal = max(tol, objective.resolution) * point.value
    wanted = max(goal, ENOUGH_GAP * point.value)
    if objective.penalty.is_smooth and not objective.forms_hessian:
        enough = SHRUNK_BOUND_RATIO * model.metric.preconditioner_excess(point)
        cheap, dear = partial(shrunk_bound, objective, point), partial(tilted_bound, objective, model, wanted)
        first, second = (dear, cheap) if isinstance(model.metric, Solved) else (cheap, dear)
        bound = first()
        return bound if bound <= max(goal, enough) else min(bound, second())
    some = sample_of(model, rng) if objective.forms_hessian else model
    wanted = max(wanted, SAMPLE_BOUND_RATIO * objective.n_rows / some.objective.n_rows * min(excess, point.value))
    bound = tilted_bound(objective, some, goal if objective.forms_hessian else wanted)
    if bound > wanted and some is not model:
        bound = min(bound, tilted_bound(objective, model, wanted))
    return bound if np.isfinite(bound) else shrunk_bound(objective, point)


def sample_of(model, rng):
    """The share in J of some rows, whose Hessian costs less than a pass, at the point; of all where they are few."""
    objective = model.objective
    n, n_parameters = objective.n_rows, objective.n_parameters
    size = max(
        min(PASS_PARAMETERS * n // n_parameters, n // ROWS_PER_TILTED_ROW),
        TILTED_ROWS_PER_PARAMETER * n_parameters,
        LEAST_TILTED_ROWS,
    )
    part = objective.part(size, rng, model.sample)
    return model if part is objective else LocalModel(part, model.point)


def tilted_bound(objective, model, wanted=0.0):
    """The bound from tilting the rows of a model, which are a part of the objective's or all.

    Infinite where the tilt is too strong, or beyond all numbers. Where it is more than what is wanted, what it makes of
    the rounding of V is left out, for a pass over these rows.
    """
    point, _ = model.point, model.metric  # an overflow there is that of X, and named as such
    try:
        with overflow_raised():
            for _ in range(TILTS):
                part = model.objective
                kl, V, outside = zero_sum_tilt(model)
                objective.passes += (2 if outside is None else 3) * part.n_rows / objective.n_rows
                if outside is None:
                    if np.abs(V[-1]).max() > objective.resolution:
                        return np.inf
                    V = V - objective.penalty.gradient(point.theta)
                    proven = bound(objective, point, kl, V)
                    if proven <= wanted:
                        return proven
                    return min(proven, bound(objective, point, kl, V, rounding_of_slopes(objective, part)))
                if objective.penalty.is_smooth and not objective.forms_hessian:
                    break  # another tilt would take as many products as the first
                model = LocalModel(part.without(outside), point)
    except Overflow:  # of a step where hardly a row has any curvature left
        pass
    return np.inf


def zero_sum_tilt(model):
    """The ``tilt`` by Newton's step, its intercept such that the residuals add up to 0."""
    part, point, u = model.objective, model.point, -model.step[0]
    free = part.penalty.unpenalised(len(u) - 1)
    if free[:-1].any():
        return tilt_without_slopes(part, point, u, free)
    tilted = tilt(part, point, u)
    remainder = tilted[1][-1]  # of V, the sum of the residuals
    if np.abs(remainder).max() <= part.resolution:
        return tilted
    intercepts = part.coupling(part.curvature(part.scores(point.theta)))
    rounding = len(intercepts) * np.finfo(float).eps  # a softmax does not see a shift of all intercepts
    shift = np.linalg.pinv(intercepts, rcond=rounding, hermitian=True) @ remainder
    return tilt(part, point, np.vstack([u[:-1], u[-1] + shift]))


def tilt_without_slopes(part, point, u, free):
    """The ``tilt`` by a step u that is set right where nothing is penalised, for V to be 0 there, up to rounding."""
    rounding = np.append(rounding_of_slopes(part, part), part.resolution)[:, None]
    for _ in range(CORRECTIONS):
        tilted = tilt(part, point, u)
        V = tilted[1]
        if (np.abs(V) <= rounding)[free].all():
            break
        u = u + correction(part, point.theta, V, free[:, None])
    return tilted


def correction(part, theta, V, free):
    """The d that a tilt's step lacks: H_ff d_f = V_f, with f for the parameters that are free of any penalty."""
    if V.shape[1] > 1:
        V = V - V.mean(axis=1, keepdims=True)  # rounding: a softmax has no curvature there
    c = part.curvature(part.scores(theta))
    product, diagonal = part.hessian_product(c), free * part.hessian_diagonal(c)
    for iterate in ConjugateGradients(lambda v: free * product(v), Jacobi(diagonal), lambda r: np.inf).iterates(
        free * V
    ):
        if iterate.residual <= CORRECTION_RESIDUAL:
            break
    return iterate.x


def tilt(part, point, u):
    """S KL(a' || a); V, from which u takes H_B u; and which rows it takes out of [0, 1], None where none."""
    kl, change, outside = part.tilt(point.theta, u)
    return kl, point.gradient - change, outside


def shrunk_bound(objective, point):
    """The bound from shrinking the residuals of each class."""
    return bound(objective, point, *objective.shrunk(point.theta, class_shrinkage(objective, point.theta)))


def rounding_of_slopes(objective, part):
    """By how much sums of x r, of residuals of at most 1, are rounded: a number for each feature, of little weight."""
    spread = part.spread()
    largest = max(objective.resolution, MOST_DUAL_MOVE) * spread
    return np.minimum(objective.resolution * (spread + np.abs(objective.centre)), largest)


def bound(objective, point, kl, V, rounding=None):
    """The bound that a dual point proves, with kl and V as sums; where l1 wants a smaller V, from a part rho of it.

    The residuals rho r' belong to the probabilities rho a' + (1 - rho) y, whose KL is at most the mean of the two.

    V is a sum of x r, known to the ``rounding`` of each feature, of which the gap makes V^2 / (2 l2), or a tiny rho. A
    V moved by e, within that, proves the bound but for <e, W* - W>: W's part is added, that of the minimum's W* is the
    rounding of a score.
    """
    penalty, theta, moved = objective.penalty, point.theta, 0.0
    if rounding is not None:
        nearest = penalty.nearest_dual(theta, V, rounding)
        V, moved = nearest, float(np.abs((nearest - V) * theta)[:-1].sum())
    rho, loss = penalty.dual_scale(V), point.value - penalty.value(theta)
    return float(rho * max(kl, 0.0) / objective.total + (1 - rho) * loss + penalty.fenchel_gap(theta, rho * V)) + moved


def class_shrinkage(objective, theta):
    """rho: one factor a class, the largest 1."""
    if not objective.has_intercept:  # no intercept, no constraint on the sum
        return np.ones(objective.n_classes)
    rho = np.abs(np.linalg.svd(objective.flows(theta).T)[2][-1])  # what the flows' transpose takes to 0
    return rho / rho.max()
