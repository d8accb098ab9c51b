"""The terms that an objective adds up over blocks of rows: pure functions of the loss, theta and a block.

The rows call each function with a block. Some functions also take an array with an entry for each of the block's rows,
such as scores z or curvatures c, which ``Rows.each`` has made before. Functions for ``sum`` and ``fold`` return tuples,
which are combined entry by entry. Functions for ``each`` return an array with an entry for each row of the block. No
function captures an objective or rows, or writes to anything, so rows may run a function on any thread, in another
process, and twice.

Scores are affine in theta (``block.scores``); their change along a direction is linear in it (``block.forward``).
"""

from dataclasses import replace

import numpy as np
from scipy.special import xlog1py, xlogy

LOST_CURVATURE = 1e-6  # of a row with a margin of 14: on the wrong side, a secant's is taken for a smaller one
LEAST_ROW_CURVATURE = 1e-12  # of a row, where a number is divided by the root of the curvature
CHUNK = 2**18  # numbers of a temporary array: 2 MB, which stay in cache
LEAST_UNSCALED = 1e-12  # largest number of an array: where it is smaller, others may be below the least float32, 1e-38


def value(loss, theta, block):
    """The weighted loss."""
    losses, _ = loss.forward_backward(block.scores(theta), block.y)
    return (float(block.weight @ losses),)


def value_and_gradient(loss, theta, block):
    """The weighted loss, and its gradient in theta."""
    return value_and_gradient_at(loss, block, block.scores(theta))


def value_and_gradient_at(loss, block, z):
    """The weighted loss at scores z, and its gradient in theta."""
    losses, dz = loss.forward_backward(z, block.y)
    return float(block.weight @ losses), block.backward_sum(block.weigh(dz))


def value_at(loss, block, z):
    """The weighted loss at scores z."""
    losses, _ = loss.forward_backward(z, block.y)
    return (float(block.weight @ losses),)


def slope_along(loss, block, change, z):
    """The slope at scores z along a direction that changes them by a ``change``."""
    _, dz = loss.forward_backward(z, block.y)
    return (float(block.weight @ (change * dz).sum(axis=1)),)


def label(block):
    """The label of each row: for ``each``."""
    return block.y


def weight(block):
    """The weight of each row: for ``each``."""
    return block.weight


def trial(loss, rate, z, change, y, weight):
    """At scores z + rate dz, the sums of s L, of its slope in the rate, of s^2 L^2, s^2 L and s^2, for weights s."""
    return trial_of(loss, rate, z, change, y, weight)[0]


def trial_and_gradient(loss, rate, block, z, change):
    """The same, and the gradient of the loss in theta."""
    sums, dz = trial_of(loss, rate, z, change, block.y, block.weight)
    return *sums, block.backward_sum(block.weigh(dz))


def trial_of(loss, rate, z, change, y, weight):
    """The sums of a trial, and dz."""
    losses, dz = loss.forward_backward(moved(rate, z, change), y)
    weighted = weight * losses.astype(float, copy=False)
    slope = weight @ np.einsum("ij,ij->i", dz, change)
    return (weight @ losses, slope, weighted @ weighted, weight @ weighted, weight @ weight), dz


def moved(rate, z, change):
    """The scores z + rate dz: for ``map``."""
    new = float(rate) * change  # a NumPy number would make float32 float64
    new += z
    return new


def scores(theta, block):
    """The scores at theta: for ``each``."""
    return block.scores(theta)


def score_changes(direction, block):
    """What a direction changes in the scores: for ``each``."""
    return block.forward(direction)


def transposed(block, u):
    """X^T u."""
    return (block.backward_sum(u),)


def weighed(block, c):
    """An array with an entry for each row, times the rows' weights: for ``each``."""
    return block.weight[:, None] * c


def hessian(loss, theta, block):
    """The Hessian at theta."""
    return (block.gram(loss.curvature(block.scores(theta))),)


def hessian_at(block, c):
    """The Hessian where the loss has curvature c."""
    return (block.gram(c),)


def secant_curvature(loss, block, z):
    """The curvature at scores z, of rows on the wrong side a secant's: for ``each``."""
    return loss.secant_curvature(z, block.y)


def second_moment(block):
    """The weighted x x^T."""
    return (block.gram(np.ones((len(block.y), 1), block.X.dtype)),)


def second_moment_product(v, block):
    """The weighted x x^T, times v."""
    return (block.backward_sum(block.weigh(block.forward(v))),)


def weight_of_classes(n_classes, block):
    """The weight of each class's rows."""
    return (np.bincount(block.y, block.weight, n_classes),)


def squares(block):
    """The weighted squares of the features."""
    return (block.squared_backward(block.weight[:, None]),)


def leverages(squares, block):
    """The weighted squared norm of each row, in units of the features' mean squares: for ``each``."""
    scale = np.divide(1, squares[:-1], out=np.zeros(len(squares) - 1), where=squares[:-1] > 0)
    return block.weight * (block.squared_norms(scale) + block.constant)


def largest_row(block):
    """The largest weighted |x|^2."""
    return (block.largest_row(),)


def residuals(loss, block, z):
    """The derivative dz of each row's loss at scores z: for ``each``."""
    return loss.forward_backward(z, block.y)[1]


# --- With the curvature c of the loss at each row -------------------------------------------------------------------


def curvature_along(loss, block, change, z):
    """The curvature along a direction that changes scores z by a ``change``."""
    return (block.weight @ (change * loss.bend(loss.curvature(z), change)).sum(axis=1),)


def coupling(loss, block, c):
    """The weighted Hessians (k, k) of the rows in their scores."""
    return (loss.bend_sum(c, block.weight),)


def coupling_at(loss, block, z):
    """The same at scores z, with the curvature that a step can rely on."""
    return (loss.bend_sum(loss.secant_curvature(z, block.y), block.weight),)


def traces(loss, z):
    """The trace of each row's Hessian in its scores: for ``map``."""
    return loss.bend_diagonal(loss.curvature(z)).sum(axis=1)


def gram(loss, block, c):
    """The sum of x x^T, each row weighted by the trace of its Hessian in its scores, too; and the sum of the traces."""
    traces = loss.bend_diagonal(c).sum(axis=1, keepdims=True)
    return block.gram(traces), float(block.weight @ traces[:, 0])


def hessian_diagonal(loss, block, c):
    """The diagonal of the Hessian, in theta's shape."""
    return (block.squared_backward(block.weight[:, None] * loss.bend_diagonal(c)),)


def hessian_product(loss, v, block, c):
    """The Hessian times v; both products run in X's precision, whatever that of c is."""
    dz = block.weigh(loss.bend(c, block.forward(v)))
    if block.X.dtype == float:
        return (block.backward_sum(dz),)
    dz, power = near_one(dz)
    sums = block.backward_sum(dz.astype(block.X.dtype, copy=False))
    return (sums.times_two_to(power) if power else sums,)


def near_one(x):
    """An array over a power of two that float32 can hold, and the exponent: where rows are certain dz is 1e-40, say.

    An ordinary array stays as it is, with an exponent of 0.
    """
    largest = max(x.max(initial=0), -x.min(initial=0))
    if largest == 0 or LEAST_UNSCALED <= largest <= 1 / LEAST_UNSCALED:
        return x, 0
    exponent = int(np.frexp(largest)[1])
    return np.ldexp(x, -exponent), exponent


def least_squares(loss, total, block, z):
    """The loss around scores z as a sum of squares |u + root dz|^2 / 2: root and u, for ``each``."""
    curvature = np.maximum(loss.curvature(z), LEAST_ROW_CURVATURE)
    lost = curvature < LOST_CURVATURE  # on the wrong side, a step would be as long as the curvature is small
    curvature[lost] = np.maximum(curvature, loss.secant_curvature(z, block.y))[lost]
    root_curvature = np.sqrt(curvature)
    _, dz = loss.forward_backward(z, block.y)
    root_weight = np.sqrt(block.weight / total)[:, None]
    return np.hstack([root_weight * root_curvature, root_weight * (dz / root_curvature)])


# --- Of several problems side by side: theta (p + 1, M k), shares (m, F) of the rows' weights -----------------------


def scores_side_by_side(theta, n_problems, block, forward=None):
    """The scores of the rows in each problem, (m, M k)."""
    z = (forward or block.forward)(theta)
    if block.offset is not None:  # which every problem has
        z.reshape(len(block), n_problems, -1)[:] += block.offset[:, None]
    return z


def losses_side_by_side(loss, theta, n_problems, block):
    """The losses of the rows in each problem, (m, M), and dz, (m, M k)."""
    z = scores_side_by_side(theta, n_problems, block)
    losses, dz = loss.forward_backward(z.reshape(-1, loss.n_outputs), np.repeat(block.y, n_problems))
    return losses.reshape(len(block), n_problems), dz.reshape(z.shape)


def weights_side_by_side(weightings, block, shares):
    """The weight of each row in each problem, (m, M)."""
    return block.weight[:, None] * shares[:, weightings]


def has_one_score(loss):
    """Whether a row has one score in each problem and one label: then the scores are stored by column."""
    return loss.n_outputs == 1 and loss.is_labelled


def scores_by_column(theta, block):
    """The scores of the rows in each problem, (m, M), stored by column: a number of each row meets whole columns."""
    return scores_side_by_side(theta, theta.shape[1], block, block.forward_by_column)


def weights_by_column(weightings, factor, shares):
    """The weight of each row in each problem, (m, M), stored by column, from a factor of each row."""
    return (shares.T * factor)[weightings].T


def values_and_gradients(loss, theta, weightings, block, shares):
    """The weighted loss of each problem, (M,), and its gradient, (p + 1, M k); a problem's weighting is a column."""
    if has_one_score(loss):
        sign = loss.signs(block.y)
        losses, e = loss.losses(scores_by_column(theta, block), sign)
        weight = weights_by_column(weightings, block.weight, shares)
        values = np.einsum("mi,mi->m", weight.T, losses.T)
        dz = np.divide(e, np.add(e, 1, out=losses), out=e)  # sigma(t)
        dz *= weight
        dz *= sign[:, None]
        return values, block.backward_sum(dz)
    losses, dz = losses_side_by_side(loss, theta, len(weightings), block)
    weight = weights_side_by_side(weightings, block, shares)
    dz *= weight if loss.n_outputs == 1 else np.repeat(weight, loss.n_outputs, axis=1)
    return np.einsum("im,im->m", weight, losses), block.backward_sum(dz)


def gradients(loss, theta, weightings, block, shares):
    """The gradients of ``values_and_gradients`` alone, which take half of the time for one score."""
    if not has_one_score(loss):
        return values_and_gradients(loss, theta, weightings, block, shares)[1:]
    sign = loss.signs(block.y)
    weight = weights_by_column(weightings, block.weight * sign, shares)
    return (block.backward_sum(loss.backward(scores_by_column(theta, block), sign, weight)),)


def curvatures_by_column(loss, theta, weightings, block, shares):
    """The weighted curvature of each row's loss in each problem, (m, M), for one score: for ``each``."""
    return loss.curvature(scores_by_column(theta, block)) * weights_by_column(weightings, block.weight, shares)


def capped_values(loss, theta, n_problems, largest_loss, block):
    """The weighted loss of each problem, each row's loss capped at ``largest_loss``; rows of weight 0 take no time."""
    if not block.weight.all():
        block = block[np.flatnonzero(block.weight)]
        if not len(block):
            return (np.zeros(n_problems),)
    if has_one_score(loss):
        losses, _ = loss.losses(scores_by_column(theta, block), loss.signs(block.y))
    else:
        losses, _ = losses_side_by_side(loss, theta, n_problems, block)
    return (block.weight @ np.minimum(losses, largest_loss),)


def weight_totals(block, shares):
    """The sum of the weights in each weighting."""
    return (block.weight @ shares,)


def hessians_of_groups(loss, theta, n_groups, block, group):
    """The Hessian at theta of each group of rows."""
    c = loss.curvature(block.scores(theta))
    p, k = theta.shape
    grams = np.zeros((n_groups, p * k, p * k))
    for number in np.unique(group):
        mine = np.flatnonzero(group == number)
        grams[number] = block[mine].gram(c[mine])
    return (grams,)


def hessians_near(loss, theta, own, factor, n_groups, block, group, shares):
    """``hessians_of_groups`` without the rows whose curvature differs at some weighting's own theta, for one score.

    And the Hessian of these rows in each weighting, (F, P, P), at its own theta. Nothing is subtracted: rounding would
    stay where there is no curvature.
    """
    c = loss.curvature(block.scores(theta))
    moved = loss.curvature(scores_by_column(own, block))
    far = (np.maximum(moved, c) > factor * np.minimum(moved, c)).any(axis=1)
    grams, own_grams = (np.zeros((n, len(theta), len(theta))) for n in (n_groups, own.shape[1]))
    for number in np.unique(group):
        mine = np.flatnonzero((group == number) & ~far)
        if len(mine):
            grams[number] = block[mine].gram(c[mine])
    mine = np.flatnonzero(far)
    if len(mine):
        some = block[mine]
        for number in range(own.shape[1]):
            weighted = replace(some, weight=some.weight * shares[mine, number])
            own_grams[number] = weighted.gram(moved[mine, number, None])
    return grams, own_grams


def hessian_of_weighting(loss, theta, number, block, shares):
    """The Hessian at theta in one weighting."""
    return hessian(loss, theta, replace(block, weight=block.weight * shares[:, number]))


# --- Leverages ------------------------------------------------------------------------------------------------------


def leverage(root, block):
    """B = (I (x) x)^T A A^T (I (x) x) of each row, (m, k, k), for a root A (P, rank); it costs as much as a Hessian."""
    p, m = block.X.shape[1] + 1, len(block)
    k = len(root) // p
    columns = root.reshape(p, k, -1)
    B, step = np.zeros((m, k, k)), max(1, CHUNK // (m * k))
    for start in range(0, columns.shape[2], step):
        some = columns[:, :, start : start + step]
        z = block.forward(some.reshape(p, -1)).reshape(m, k, -1)
        B += z @ z.transpose(0, 2, 1) if k > 1 else np.einsum("icr,icr->i", z, z)[:, None, None]
    return B


# --- For proofs -----------------------------------------------------------------------------------------------------


def tilt(loss, theta, u, most, block):
    """KL(a' || a) of probabilities tilted by u; the sum of x (a - a')^T; the number of rows that u tilts out of [0, 1].

    A row whose largest tilt t is beyond ``most`` takes a part of its tilt, up to ``most``. All sums are weighted.
    """
    z, v = block.scores(theta), block.forward(u)
    kl, change, largest = loss.tilt(z, v)
    if (largest > most).any():
        kl, change, largest = loss.tilt(z, v * np.minimum(1, most / np.maximum(largest, most))[:, None])
    n_infeasible = np.count_nonzero(~(largest < 1) & (block.weight != 0))
    return float(block.weight @ kl), block.backward_sum(block.weigh(change)), n_infeasible


def infeasible(loss, theta, u, block):
    """Which rows with a nonzero weight the tilt takes out of [0, 1]: for ``each``."""
    _, _, largest = loss.tilt(block.scores(theta), block.forward(u))
    return ~(largest < 1) & (block.weight != 0)


def shrunk(loss, theta, factors, block):
    """KL(a' || a) where each class's residuals are multiplied by a factor; the sum of x times these residuals."""
    z, total, slope = block.scores(theta), 0.0, 0.0
    for share, y in loss.labelled(block.y):  # KL is convex: the KL of a mixture is at most the mean of the KLs
        losses, dz = loss.of_labels.forward_backward(z, y)
        rho = factors[y]
        miss = rho * np.abs(dz).max(axis=1)  # 1 - a'_y
        kl = xlogy(miss, rho) + xlog1py(1 - miss, -miss) + (1 - miss) * losses
        total += float(block.weight @ (share * kl[:, None])[:, 0])
        dz *= rho[:, None] * share
        slope = slope + dz
    return total, block.backward_sum(block.weigh(slope))


def flows(loss, theta, n_classes, block):
    """The weighted sum of the residuals of each class's rows."""
    z, flows = block.scores(theta), 0.0
    for share, y in loss.labelled(block.y):
        _, dz = loss.of_labels.forward_backward(z, y)
        flows = flows + block.by_class(share * dz, y, n_classes)
    return (flows,)


def margin_changes(loss, direction, block):
    """The largest rise of a margin along a direction, and the largest fall."""
    margins = loss.margins(block.forward(direction), block.y)[block.weight > 0]
    return margins.max(initial=0.0), -margins.min(initial=0.0)


def largest_margin(loss, theta, block):
    """The largest margin at theta."""
    margins = loss.margins(block.scores(theta), block.y)[block.weight > 0]
    return (margins.max(initial=0.0),)


def least_margins(loss, direction, reference, n_least, block):
    """The numbers of the ``n_least`` margins of least surplus, and the surpluses.

    The surplus is the rise of a margin along a direction, less the rise along a reference, clipped to [0, 1]. Where the
    loss has n margins in each row, the number of a margin is n row + its place in the row.
    """
    surplus = loss.margins(block.forward(direction), block.y)
    surplus -= np.clip(loss.margins(block.forward(reference), block.y), 0, 1)
    surplus[block.weight == 0] = np.inf
    surplus[~loss.is_margin(block.y)] = np.inf
    m, n = surplus.shape
    numbers = np.arange(block.first * n, (block.first + m) * n)
    return (smallest(n_least, (numbers, surplus.ravel())),)


def smallest(n_least, *pairs):
    """The ``n_least`` smallest values and their numbers, from pairs (numbers, values)."""
    numbers, values = map(np.concatenate, zip(*pairs, strict=True))
    if len(values) > n_least:
        least = np.argpartition(values, n_least)[:n_least]
        numbers, values = numbers[least], values[least]
    return numbers, values
