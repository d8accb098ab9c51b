"""The terms that inference adds up over blocks of rows: pure functions of the loss, the contrasts, theta and a block.

They are as in ``gdlogit.summands``, but always in float64, and for contrasts with a reference class: theta (p + 1, k'),
scores z and their derivatives dz (m, k'), P = (p + 1) k' parameters. The leverage of row i is the matrix

    B_i = (I (x) x_i)^T V (I (x) x_i)    (k', k'),    V = A A^T = I^-1,    x_i with the constant feature,

which is the covariance of the row's scores. The hat value of row i is the trace of C_i B_i, with C_i the curvature of
its loss.
"""

import numpy as np

from ..summands import leverage

__all__ = [
    "HatAdjustment",
    "are_flags",
    "columns",
    "deviance_residuals",
    "feature_means",
    "in_float64",
    "influence",
    "information",
    "intercepts",
    "jeffreys_score",
    "largest_change",
    "leverage",
    "meat",
    "pearson_residuals",
    "pseudo_weights",
    "score",
    "scores",
    "scores_and_covariances",
    "scores_of_groups",
    "slopes_of_effects",
    "standardised",
    "third_cumulants",
]

CHUNK = 2**18  # numbers of a temporary array: 2 MB, which stay in cache


def in_float64(f, block, *each):
    """The value of f for the block in float64."""
    return f(block.in_float64(), *each)


def scores(contrasts, theta, block):
    """The scores z (m, k') of the contrasts, with the contrasts of the rows' offset added."""
    z = block.forward(theta)
    return z if block.offset is None else z + contrasts.of(block.offset)


def score(loss, contrasts, theta, block):
    """The weighted loss, and its gradient in theta."""
    losses, dz = at_rows(loss, contrasts, scores(contrasts, theta, block), block.y)
    return float(block.weight @ losses), block.backward(block.weigh(dz))


def information(loss, contrasts, theta, block):
    """The weighted loss, its gradient and its Hessian in theta."""
    z = scores(contrasts, theta, block)
    losses, dz = at_rows(loss, contrasts, z, block.y)
    hessian = contrasts.of_hessian(block.gram(loss.curvature(contrasts.theta(z))))
    return float(block.weight @ losses), block.backward(block.weigh(dz)), hessian


def largest_change(step, block):
    """The largest change of a score by a step, among rows with a nonzero weight."""
    return (float(np.abs(block.forward(step)[block.weight > 0]).max(initial=0.0)),)


def at_rows(loss, contrasts, z, y):
    """The loss of each row and its derivative dz, at the scores z of the contrasts."""
    losses, dz = loss.forward_backward(contrasts.theta(z), y)
    return losses, contrasts.of_slopes(dz)


def curvature(loss, contrasts, z):
    """The curvature C (m, k', k') of the loss in the scores z of the contrasts: a (1 - a), or diag(a) - a a^T.

    The diagonal entry of a class is the sum of its products with the others, because 1 - a would lose its digits.
    """
    c = loss.curvature(contrasts.theta(z))
    if c.shape[1] == 1:
        return c[:, :, None]
    C = -c[:, :, None] * c[:, None, :]
    own = np.einsum("icc->ic", C)
    own[:] = 0
    own[:] = -C.sum(axis=2)
    return C[:, contrasts.others][:, :, contrasts.others]


# --- Leverages ------------------------------------------------------------------------------------------------------


def influence(loss, contrasts, theta, root, weighted, block):
    """Hat value and Cook's distance times P of each row; if ``weighted``, with the row's weight, otherwise without."""
    C, B = weighted_curvature_and_leverage(loss, contrasts, theta, root, weighted, block)
    _, dz = at_rows(loss, contrasts, scores(contrasts, theta, block), block.y)
    left_out = without_itself(block.weigh(dz) if weighted else dz, C, B)
    return np.stack([np.einsum("icd,icd->i", C, B), np.einsum("ic,icd,id->i", left_out, B, left_out)], axis=1)


def without_itself(dz, C, B):
    """The residual of each row in a fit without it, to first order: (I - C B)^-1 dz."""
    if dz.shape[1] == 1:
        return dz / np.maximum(1 - C[:, 0] * B[:, 0], np.finfo(float).tiny)
    return np.linalg.solve(np.eye(dz.shape[1]) - C @ B, dz[:, :, None])[:, :, 0]


def distances(a, B, others):
    """The squared distance of each class from the row's probabilities a in B: q (m, K), and its mean E (m,).

    q_c = (e_c - a)^T B (e_c - a), where the reference class has zeros in B (m, k', k').
    """
    B_a = np.zeros_like(a)
    B_a[:, others] = np.einsum("icd,id->ic", B, a[:, others])
    own = np.zeros_like(a)
    own[:, others] = np.einsum("icc->ic", B)
    q = own - 2 * B_a + (a * B_a).sum(axis=1, keepdims=True)
    return q, (a * q).sum(axis=1)


def jeffreys_score(loss, contrasts, theta, root, block):
    """The derivative of 1/2 log |I|, which Firth's correction adds to the score; for two classes h (1/2 - a)."""
    if contrasts.n_outputs == 1:
        z = scores(contrasts, theta, block)
        slopes = -0.5 * np.tanh(0.5 * z) * loss.curvature(z) * leverage(root, block)[:, :, 0]
        return (block.backward(block.weigh(slopes)),)
    a = contrasts.probabilities(scores(contrasts, theta, block), loss)
    q, mean = distances(a, leverage(root, block), contrasts.others)
    slopes = 0.5 * a * (q - mean[:, None])
    return (block.backward(block.weigh(slopes[:, contrasts.others])),)


def pseudo_weights(loss, contrasts, theta, root, block):
    """The weights w_c (m, K) of rows (x, c) whose scores add up to Firth's correction: a_c (q_c + E) / 2.

    For two classes both weights are half the hat value. Any multiple of a_c, in the place of a_c E / 2, would give the
    same score.
    """
    a = contrasts.probabilities(scores(contrasts, theta, block), loss)
    q, mean = distances(a, leverage(root, block), contrasts.others)
    return 0.5 * a * (q + mean[:, None])


def intercepts(loss, contrasts, theta, block):
    """The weighted slope of the loss in the intercepts (k',), and its curvature (k', k')."""
    z = scores(contrasts, theta, block)
    _, dz = at_rows(loss, contrasts, z, block.y)
    return block.weight @ dz, np.einsum("i,icd->cd", block.weight, curvature(loss, contrasts, z))


def weighted_curvature_and_leverage(loss, contrasts, theta, root, weighted, block):
    """C, times the row's weight if ``weighted``, and B."""
    C = curvature(loss, contrasts, scores(contrasts, theta, block))
    return C * block.weight[:, None, None] if weighted else C, leverage(root, block)


def deviance_residuals(loss, contrasts, theta, block):
    """The root of twice the loss of each row; for two classes with the sign of y - p."""
    losses, dz = loss.forward_backward(contrasts.theta(scores(contrasts, theta, block)), block.y)
    sign = -np.sign(dz[:, 0]) if dz.shape[1] == 1 else 1.0
    return (sign * np.sqrt(2 * losses))[:, None]


def pearson_residuals(loss, contrasts, theta, block):
    """(y - p) / sqrt(p (1 - p)), for the second of two classes, or for each of three or more."""
    z = contrasts.theta(scores(contrasts, theta, block))
    _, dz = loss.forward_backward(z, block.y)
    return -dz / np.sqrt(np.maximum(loss.bend_diagonal(loss.curvature(z)), np.finfo(float).tiny))


def scores_and_covariances(contrasts, theta, root, block):
    """The scores of each row and their covariance, flattened: for ``each``."""
    return np.hstack([scores(contrasts, theta, block), leverage(root, block).reshape(len(block), -1)])


# --- Robust covariances ---------------------------------------------------------------------------------------------


def meat(loss, contrasts, theta, weighted, adjust, block):
    """The sum of u_i u_i^T, u_i = x_i (x) dz_i: times the frequency or, if ``weighted``, with dz_i times the weight.

    ``adjust`` is a function of dz and the block, for HC2 and HC3.
    """
    _, dz = at_rows(loss, contrasts, scores(contrasts, theta, block), block.y)
    if adjust is not None:
        dz = adjust(dz, block)
    if weighted:
        dz = dz * np.sqrt(block.weight)[:, None]  # the Gram matrix multiplies by the weight once more
    (_, k), p = dz.shape, block.X.shape[1] + 1
    if k == 1:
        return (block.gram(dz**2),)
    meat = -block.gram(dz)  # right between two different classes, whatever dz is: see ``Block.gram``
    for c in range(k):
        meat.reshape(p, k, p, k)[:, c, :, c] = block.gram(dz[:, [c]] ** 2)
    return (meat,)


class HatAdjustment:
    """The residuals that each row would have in a fit without it: (I - C B)^-power dz; 1/2 for HC2, 1 for HC3."""

    def __init__(self, loss, contrasts, theta, root, weighted, power):
        self.of, self.power = (loss, contrasts, theta, root, weighted), power

    def __call__(self, dz, block):
        """The adjusted dz of the block's rows."""
        C, B = weighted_curvature_and_leverage(*self.of, block)
        if self.power == 1:
            return without_itself(dz, C, B)
        if dz.shape[1] == 1:
            return dz / np.sqrt(np.maximum(1 - C[:, 0] * B[:, 0], np.finfo(float).tiny))
        L = np.linalg.cholesky(B)  # C B = L^-T (L^T C L) L^T
        LT = L.transpose(0, 2, 1)
        values, vectors = np.linalg.eigh(LT @ C @ L)
        rotated = vectors.transpose(0, 2, 1) @ (LT @ dz[:, :, None])
        return np.linalg.solve(LT, vectors @ (rotated / np.sqrt(1 - values)[:, :, None]))[:, :, 0]


class GroupSums:
    """The scores u_g of groups, which can be added up over blocks; a group without a row so far has zeros."""

    def __init__(self, groups, sums, n_groups):
        self.groups, self.sums, self.n_groups = groups, sums, n_groups
        self.all = None

    def __add__(self, other):
        """Add other sums to these sums, in place."""
        total = self.total()
        if other.all is None:
            total[other.groups] += other.sums
        else:
            total += other.all
        return self

    def total(self):
        """The sums u_g (n_groups, P) of all groups."""
        if self.all is None:
            self.all = np.zeros((self.n_groups, self.sums.shape[1]))
            self.all[self.groups] = self.sums
        return self.all


def scores_of_groups(loss, contrasts, theta, n_groups, block, group):
    """The weighted scores x_i (x) dz_i, added up by group."""
    _, dz = at_rows(loss, contrasts, scores(contrasts, theta, block), block.y)
    groups, group = np.unique(group, return_inverse=True)
    sums = block.sums_by(block.weigh(dz), group, len(groups))
    return (GroupSums(groups, sums.reshape(len(groups), -1), n_groups),)


# --- Effects --------------------------------------------------------------------------------------------------------


def third_cumulants(a, others):
    """The derivatives of a_d (1[d = c] - a_c) in the scores of the contrasts: yield c and (m, k', k'), for each class.

    These are the third derivatives of the logarithm of the softmax's denominator, which are symmetric in c, d and e.
    """
    unit = np.eye(a.shape[1])
    for c in range(a.shape[1]):
        from_c = unit[c] - a  # (m, K): 1[c = d] - a_d
        both = a[:, :, None] * (unit - a[:, None, :])  # the covariance of d and e
        third = a[:, c, None, None] * (from_c[:, :, None] * from_c[:, None, :] - both)
        yield c, third[:, others][:, :, others]


def slopes_of_effects(loss, contrasts, theta, block):
    """The weighted sums of a_d (1[d = c] - a_c), (k', K), and of its derivatives in theta, (p + 1, k', k', K)."""
    a = contrasts.probabilities(scores(contrasts, theta, block), loss)
    others, K = contrasts.others, a.shape[1]
    moments = (block.weight[:, None] * a)[:, others].T @ a
    covariance = np.eye(K)[others] * (block.weight @ a) - moments
    derivatives = np.empty((len(theta), len(others), len(others), K))
    for c, third in third_cumulants(a, others):
        columns = block.backward(block.weigh(third.reshape(len(block), -1)))
        derivatives[..., c] = columns.reshape(derivatives.shape[:3])
    return covariance, derivatives


def standardised(loss, contrasts, theta, feature, value, block):
    """The weighted sums of P (K,) if a feature had one value in all rows, and of its derivatives (p + 1, k', K)."""
    unit = np.zeros((len(theta), 1))
    unit[feature] = 1
    change = value - block.forward(unit)
    a = contrasts.probabilities(scores(contrasts, theta, block) + change * theta[feature], loss)
    others, K = contrasts.others, a.shape[1]
    slopes = a[:, others, None] * (np.eye(K)[others] - a[:, None, :])
    flat = block.weigh(slopes.reshape(len(block), -1))
    derivatives = block.backward(flat)
    derivatives[feature] = value * flat.sum(axis=0)
    return block.weight @ a, derivatives.reshape(len(theta), len(others), K)


def feature_means(block):
    """The weighted sums of the features, and of the constant feature."""
    return (block.backward(block.weight[:, None])[:, 0],)


def are_flags(block):
    """Which features are 0 or 1 in all rows."""
    return (block.are_flags(),)


# --- Several problems -----------------------------------------------------------------------------------------------


def columns(loss, contrasts, thetas, block):
    """The weighted losses (M,) of M thetas (p + 1, k', M), and their gradients in that shape."""
    p, k, M = thetas.shape
    flat = thetas.reshape(p, -1)
    parts = [columns_of_piece(loss, contrasts, flat, M, piece) for piece in block.cut(len(block) * k * M // CHUNK)]
    losses, gradients = map(sum, zip(*parts, strict=True))
    return losses, gradients.reshape(p, k, M)


def columns_of_piece(loss, contrasts, flat, M, block):
    """``columns`` for few rows; a row has the scores of the M problems, one problem after another."""
    m = len(block)
    z = block.forward(flat).reshape(m, -1, M)
    if block.offset is not None:
        z += contrasts.of(block.offset)[:, :, None]
    z = z.swapaxes(1, 2).reshape(m * M, -1)
    losses, dz = at_rows(loss, contrasts, z, np.repeat(block.y, M))
    dz = dz.reshape(m, M, -1).swapaxes(1, 2).reshape(m, -1)
    return block.weight @ losses.reshape(m, M), block.backward(block.weigh(dz))
