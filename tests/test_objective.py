"""J over rows: its derivatives by differences and by the graph, what weights mean, and the bounds on its curvature."""

import numpy as np
import pytest
import scipy.sparse as sp
from gradcheck import check_gradient

from gdlogit import graph
from gdlogit.backprop import Sigmoid, Softmax
from gdlogit.data.blocks import without_subnormals
from gdlogit.data.layout import Layout
from gdlogit.data.memory import rows_of
from gdlogit.line import Line, labels_and_weights
from gdlogit.moments import chances, mean_squares, second_moment
from gdlogit.objective import Objective, Overflow, at_random, overflow_raised, tried
from gdlogit.penalty import ElasticNet
from gdlogit.proofs import largest_margin, margin_changes
from gdlogit.smoothness import expected_smoothness, smoothness

N, P = 60, 4


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def make_objective(k=1, intercept=True, weight=None, l2=0.1, dtype=np.float64, holder=np.asarray, layout=None):
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((N, P)) * [1, 1, 3, 0.3], rng.integers(0, max(2, k), N)
    weight = rng.integers(0, 4, N).astype(float) if weight is None else weight
    rows = rows_of(holder(X.astype(dtype)), y, weight, intercept, layout=layout)
    return Objective(rows, Sigmoid() if k == 1 else Softmax(k), ElasticNet(l2))


CASES = {
    "sigmoid": make_objective(),
    "sigmoid, no intercept": make_objective(intercept=False),
    "sigmoid, no penalty": make_objective(l2=0.0),
    "sigmoid, sparse": make_objective(holder=sp.csr_array),
    "softmax": make_objective(k=3),
    "softmax, no intercept": make_objective(k=3, intercept=False),
    "softmax, sparse": make_objective(k=3, holder=sp.csr_array),
}
objectives = pytest.mark.parametrize("objective", CASES.values(), ids=CASES)
outputs = pytest.mark.parametrize("k", [1, 3])


def value_and_derivatives(objective, theta):
    point = objective.at(theta)
    return (
        point.value,
        point.gradient,
        objective.hessian(theta),
        objective.hessian_diagonal(curvature(objective, theta)),
    )


def curvature(objective, theta):
    return objective.curvature(objective.scores(theta))


def assert_same(ours, theirs, rtol=1e-13):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


# --- Derivatives -----------------------------------------------------------------------------------------


@objectives
def test_gradient_is_the_derivative_of_the_value(objective, rng):
    theta = rng.standard_normal(objective.shape)
    if not objective.rows.constant:
        theta[-1] = 0
    check_gradient(lambda t: objective.at(t).value, lambda t: objective.at(t).gradient, theta, rng)


@objectives
def test_hessian_is_the_derivative_of_the_gradient(objective, rng):
    theta, v = rng.standard_normal((2, *objective.shape))
    check_gradient(
        lambda t: np.vdot(v, objective.at(t).gradient),
        lambda t: (objective.hessian(t) @ v.ravel()).reshape(v.shape),
        theta,
        rng,
    )


@objectives
@pytest.mark.parametrize("coefficients", [1, 0])
def test_hessian_products_and_diagonal_are_those_of_the_hessian(objective, coefficients, rng):
    theta, v = rng.standard_normal((2, *objective.shape))
    theta[:-1] *= coefficients
    hessian = objective.hessian(theta)
    np.testing.assert_allclose(hessian, hessian.T, rtol=0, atol=1e-15 * hessian.max())
    c = curvature(objective, theta)
    ours = objective.hessian_product(c)(v).ravel(), objective.hessian_diagonal(c).ravel()
    assert_same(ours, (hessian @ v.ravel(), hessian.diagonal()))
    z = objective.scores(theta)
    along = objective.curvature_along(theta, z, z)
    np.testing.assert_allclose(along, theta.ravel() @ hessian @ theta.ravel(), rtol=1e-13)


@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array], ids=["dense", "csr"])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_least_squares_have_the_gradient_and_the_hessian_of_the_loss(holder, intercept, dtype, rng):
    objective = make_objective(intercept=intercept, l2=0.0, dtype=dtype, holder=holder)
    objective = Objective(objective.rows.centred(), objective.loss, objective.penalty)
    theta = rng.standard_normal(objective.shape) * ([[1]] * P + [[intercept]])
    features, constant = np.array([0, 2, 3]), 10.0
    some = np.append(features, P)
    u, F, centre, squares = objective.least_squares(objective.scores(theta), features, constant)
    F = F.toarray() if sp.issparse(F) else F
    inside = np.eye(4)  # from parameters of features about their centre to those of F's columns
    inside[-1, :-1] = -centre
    inside[-1] /= constant
    hessian = objective.hessian(theta)[np.ix_(some, some)]
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert F.dtype == (dtype if holder is sp.csr_array else np.float64)  # coordinate descent takes both
    assert_same([inside.T @ F.T @ F @ inside, squares], [hessian, hessian.diagonal()], rtol)
    assert_same([inside.T @ (F.T @ u)], [objective.at(theta).gradient[some, 0]], rtol)


@objectives
def test_gram_and_coupling_make_the_hessian_where_all_rows_curve_alike(objective, rng):
    k = objective.shape[1]
    c = curvature(objective, np.zeros(objective.shape))
    penalty = np.diag(objective.penalty.curvature(np.empty(objective.shape)).ravel())
    hessian = objective.hessian(np.zeros(objective.shape))
    product = np.kron(objective.gram(c), objective.coupling(c)) + penalty
    np.testing.assert_allclose(product, hessian, rtol=0, atol=1e-14 * hessian.max())
    if objective.rows.constant:
        c = curvature(objective, rng.standard_normal(objective.shape))
        units = np.zeros((k, *objective.shape))
        units[range(k), -1, range(k)] = 1
        entries = [objective.hessian_product(c)(unit)[-1] for unit in units]
        np.testing.assert_allclose(objective.coupling(c), entries, rtol=0, atol=1e-14)


@objectives
def test_scores_of_a_point_and_a_direction_give_all_points_of_the_line(objective, rng):
    theta, direction = rng.standard_normal((2, *objective.shape))
    moved = theta + 0.3 * direction
    z = objective.scores(theta) + 0.3 * objective.scores(direction)
    ours, theirs = objective.at_scores(moved, z), objective.at(moved)
    assert_same(ours, theirs)
    assert not objective.scores(np.zeros(objective.shape)).any()


@outputs
@pytest.mark.parametrize("intercept", [True, False])
def test_graph_finds_the_same_value_and_gradient(k, intercept, rng):
    objective = make_objective(k, intercept)
    theta = rng.standard_normal(objective.shape)
    rows, l2 = objective.rows, objective.penalty.l2
    X1 = np.hstack([rows.X, np.full((N, 1), rows.constant)])
    node = graph.Node(theta)
    Z = X1 @ node
    if k == 1:
        L = graph.softplus((1 - 2 * rows.y) * Z[:, 0])
    else:
        L = graph.logsumexp(Z, axis=1) - (np.eye(k)[rows.y] * Z).sum(axis=1)
    J = (rows.weight * L).sum() / rows.weight.sum() + l2 / 2 * (node[:-1] ** 2).sum()
    point = objective.at(theta)
    assert point.value == pytest.approx(float(J.value), rel=1e-13)
    np.testing.assert_allclose(
        point.gradient, graph.backward(J)[node], rtol=0, atol=1e-13 * np.abs(point.gradient).max()
    )


@outputs
def test_float32_is_near_float64(k, rng):
    theta = rng.standard_normal((P + 1, k))
    single, double = (value_and_derivatives(make_objective(k, dtype=dtype), theta) for dtype in (np.float32, float))
    assert_same(single, double, rtol=2e-6)
    assert single[1].dtype == np.float64


@outputs
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_objective_knows_its_size_and_precision(k, dtype):
    objective, theta = make_objective(k, dtype=dtype), np.ones((P + 1, k))
    assert objective.hessian(theta).shape == (objective.n_parameters, objective.n_parameters)
    assert objective.precision == objective.scores(theta).dtype == objective.scores(0 * theta).dtype == dtype
    assert objective.resolution == pytest.approx(10 * np.finfo(dtype).eps)


@objectives
def test_value_is_that_of_the_point(objective, rng):
    theta = rng.standard_normal(objective.shape)
    assert objective.value(theta) == pytest.approx(objective.at(theta).value, rel=1e-14)


# --- Weights, and parts of the rows ----------------------------------------------------------------------


@outputs
def test_weights_count_rows(k, rng):
    objective = make_objective(k)
    theta = rng.standard_normal(objective.shape)
    X, y, weight = objective.rows.X, objective.rows.y, objective.rows.weight
    index = np.repeat(np.arange(N), weight.astype(int))  # a row of weight 0 is gone
    rows = rows_of(X[index], y[index], np.ones(len(index)))
    repeated = Objective(rows, objective.loss, objective.penalty)
    assert repeated.total == objective.total
    assert_same(value_and_derivatives(objective, theta), value_and_derivatives(repeated, theta))


@outputs
def test_a_common_factor_of_the_weights_cancels(k, rng):
    theta = rng.standard_normal((P + 1, k))
    weight = rng.random(N)
    ours, theirs = (value_and_derivatives(make_objective(k, weight=w), theta) for w in (1e6 * weight, weight))
    assert_same(ours, theirs)


@outputs
@pytest.mark.parametrize("size", [1, 7, 20, N, 10 * N])
def test_mean_over_the_batches_is_j(k, size, rng):
    objective = make_objective(k)
    theta = rng.standard_normal(objective.shape)
    parts = list(objective.batches(size, rng))
    assert sum(part.n_rows for part in parts) == N
    share = [part.n_rows / N for part in parts]
    points = [part.at(theta) for part in parts]
    value = sum(s * point.value for s, point in zip(share, points, strict=True))
    gradient = sum(s * point.gradient for s, point in zip(share, points, strict=True))
    point = objective.at(theta)
    assert_same((value, gradient), (point.value, point.gradient))


def test_batches_are_drawn_anew_each_time_and_seeded():
    objective = make_objective()
    first, second, again = (
        [part.rows.X for part in objective.batches(20, rng)]
        for shared in [np.random.default_rng(5)]
        for rng in (shared, shared, np.random.default_rng(5))
    )
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


@outputs
def test_a_part_is_a_share_of_the_sum(k, rng):
    objective = make_objective(k, l2=0.0)
    theta = rng.standard_normal(objective.shape)
    assert objective.part(N, rng) is objective
    part = objective.part(25, rng)
    assert part.n_rows == len(np.unique(part.rows.X, axis=0)) == 25
    alone = objective.on(np.arange(N))
    assert alone.at(theta).value == pytest.approx(objective.at(theta).value, rel=1e-14)
    mean = part.at(theta).value * objective.total / part.rows.total
    assert part.at(theta).value < objective.at(theta).value
    assert mean == pytest.approx(Objective(part.rows, part.loss, part.penalty).at(theta).value, rel=1e-13)


def test_a_part_has_no_more_rows_than_may_be_copied(rng):
    objective = make_objective()
    objective.largest_sample = 10
    assert objective.part(25, rng).n_rows == 10


@outputs
def test_shares_of_some_rows_and_of_the_others_add_up(k, rng):
    objective = make_objective(k, l2=0.0)
    theta, some = rng.standard_normal(objective.shape), rng.random(N) < 0.3
    shares = [objective.without(rows).without(np.zeros(N, bool)).at(theta).value for rows in (some, ~some)]
    assert sum(shares) == pytest.approx(objective.at(theta).value, rel=1e-13)


@outputs
@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
def test_rows_as_they_are_stored_have_the_same_share_in_j(k, holder, rng):
    part = make_objective(k, holder=holder).part(50, rng)
    centred, moved = part.centred(rng.standard_normal(part.shape))
    stored = centred.stored()
    theta = stored.rows.enter(centred.rows.leave(moved))
    assert stored.at(theta).value == pytest.approx(centred.at(moved).value, rel=1e-12)


@outputs
def test_centred_features_have_the_same_j_for_the_same_model(k, rng):
    objective = make_objective(k).part(50, rng)
    objective.rows.X[:] += 10
    theta = rng.standard_normal(objective.shape)
    centred, moved = objective.centred(theta)
    assert centred.rows.centre.all()
    assert centred.at(moved).value == pytest.approx(objective.at(theta).value, rel=1e-12)
    assert centred.centred(moved)[0] is centred


@outputs
@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
def test_blocks_do_not_change_the_answer(k, holder, rng):
    weight = rng.integers(0, 4, N) * (np.arange(N) > 20.0)  # a block may have no weight at all
    theta = rng.standard_normal((P + 1, k))

    def answers(layout):
        objective = make_objective(k, weight=weight, holder=holder, layout=layout)
        c = curvature(objective, theta)
        sums = *value_and_derivatives(objective, theta), objective.coupling(c), objective.gram(c)
        bounds = margin_changes(objective, theta), largest_margin(objective, theta), expected_smoothness(objective, 7)
        return len(objective.rows.blocks), (*sums, *bounds)

    n_blocks, whole = answers(Layout())
    n_more_blocks, parts = answers(Layout(block_scores=10, block_rows=1))
    assert n_more_blocks > n_blocks == 1
    assert_same(parts, whole)


@outputs
@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("far", [0.0, 1e4])
def test_j_of_some_features_is_j_where_the_others_have_no_coefficient(k, holder, far, rng):
    stored = make_objective(k, holder=lambda X: holder(np.where(X > 0, X, 0) + [0, 0, far, far]))
    whole = stored.centred(np.zeros(stored.shape))[0] if far else stored
    whole.penalty = ElasticNet(np.arange(1.0, P + 1), np.arange(P, 0.0, -1))
    features = np.array([0, 2])
    theta = rng.standard_normal(whole.shape)
    theta[[1, 3]] = 0
    for objective in (whole, whole.part(20, rng)):  # a part divides by the total of all rows
        ours, theirs = objective.restricted(features).at(theta[[0, 2, -1]]), objective.at(theta)
        rounding = 1e-14 * (1 + far)  # products with features that are measured from afar lose digits
        assert ours.value == pytest.approx(theirs.value, rel=10 * rounding)
        np.testing.assert_allclose(ours.gradient, theirs.gradient[[0, 2, -1]], rtol=1e-12, atol=rounding)


@outputs
def test_features_in_units_of_their_own_have_the_same_j_and_get_their_units_once(k, rng):
    scale = np.array([1e-160, 1, 1, 1, 1])  # the squares of the first feature underflow
    given = make_objective(k).rows
    rows = rows_of(given.X * scale[:-1], given.y, given.weight, True, k)
    penalty = ElasticNet(np.array([0, 0.1, 0.2, 0]), np.array([1e-161, 0, 0, 0.3]))
    objective = Objective(rows, make_objective(k).loss, penalty)
    theta = rng.standard_normal(objective.shape) / scale[:, None]
    centred, moved = objective.centred(theta)
    assert np.ndim(centred.rows.unit)
    assert centred.at(moved).value == pytest.approx(objective.at(theta).value, rel=1e-12)
    in_units = Objective(rows.measured_in(rows.own_unit), objective.loss, centred.penalty)
    again, moved = in_units.centred(in_units.rows.enter(theta))
    assert again.at(moved).value == pytest.approx(objective.at(theta).value, rel=1e-12)


def test_a_part_is_of_the_rows_that_a_descent_has_copied(rng):
    objective = make_objective(1, l2=0.0)
    sample = objective.on(np.arange(0, N, 2))
    fewer, as_many, more = (objective.part(size, rng, sample) for size in (10, sample.n_rows, sample.n_rows + 1))
    assert np.shares_memory(fewer.rows.X, sample.rows.X)
    assert 10 <= fewer.n_rows < 20
    assert np.shares_memory(as_many.rows.X, sample.rows.X)
    assert as_many.n_rows == sample.n_rows
    assert more.n_rows == sample.n_rows + 1
    assert fewer.total == as_many.total == more.total == objective.total


@pytest.mark.parametrize("settings", ["ignore", "raise"])
def test_scores_that_overflow_have_an_infinite_j_whatever_the_callers_settings(settings):
    objective = make_objective(1, l2=1.0)
    theta = np.ones(objective.shape)
    with np.errstate(all=settings):
        before = np.geterr()
        lost, point = tried(objective, 1e308 * theta), tried(objective, theta)
        assert np.geterr() == before
    assert lost.value == np.inf
    assert lost.theta.max() == lost.gradient.max() == 1e308
    np.testing.assert_array_equal(point.gradient, objective.at(theta).gradient)


@pytest.mark.parametrize("settings", ["ignore", "raise"])
@pytest.mark.parametrize("operation", [lambda x: x * x, lambda x: x / 0.1 - x / 0.1, lambda x: np.inf * x - np.inf])
def test_a_number_that_is_beyond_the_type_or_none_at_all_is_an_overflow(operation, settings):
    with np.errstate(all=settings), overflow_raised(), pytest.raises(Overflow):
        operation(np.array([1e308]))


# --- Bounds ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "n_rows"), [(1, 1), (1, 7), (5, 7), (7, 7), (300, 1000)])
def test_random_rows_are_in_order_one_of_each_stretch(size, n_rows, rng):
    samples = np.array([at_random(size, n_rows, rng) for _ in range(2000)])
    assert (np.diff(samples) > 0).all()
    ends = np.linspace(0, n_rows, size + 1).astype(int)
    assert (samples >= ends[:-1]).all()
    assert (samples < ends[1:]).all()
    share = np.repeat(1 / np.diff(ends), np.diff(ends))
    seen = np.bincount(samples.ravel(), minlength=n_rows) / 2000
    assert np.abs(seen - share).max() <= 6 * np.sqrt(share.max() / 2000)


@objectives
def test_smoothness_is_above_every_hessian(objective, rng):
    largest = smoothness(objective)
    for scale in (0, 0.1, 1, 10):
        theta = scale * rng.standard_normal(objective.shape)
        assert np.linalg.eigvalsh(objective.hessian(theta))[-1] <= largest * (1 + 1e-9)


@pytest.mark.parametrize("intercept", [True, False])
def test_smoothness_of_a_sigmoid_is_reached_at_zero(intercept):
    objective = make_objective(intercept=intercept, l2=0.0)
    largest = np.linalg.eigvalsh(objective.hessian(np.zeros(objective.shape)))[-1]
    assert smoothness(objective) == pytest.approx(largest, rel=1e-6)


@objectives
def test_smoothness_in_other_units_is_above_every_hessian_in_these_units(objective, rng):
    p, k = objective.shape
    units = 10.0 ** rng.uniform(-2, 2, p)
    scale = np.repeat(units, k)
    exact = smoothness(objective, units)
    for theta in (np.zeros((p, k)), rng.standard_normal((p, k))):
        assert np.linalg.eigvalsh(scale[:, None] * objective.hessian(theta) * scale)[-1] <= exact * (1 + 1e-9)
    assert exact <= smoothness(objective, units, 0.01) * (1 + 1e-9) <= 1.02 * exact


def test_smoothness_of_features_that_are_all_zero_is_that_of_the_penalty():
    rows = rows_of(np.zeros((4, 2)), np.array([0, 1, 0, 1]), np.ones(4), intercept=False)
    objective = Objective(rows, Sigmoid(), ElasticNet(0.1))
    assert smoothness(objective) == pytest.approx(0.1)
    units = np.array([2.0, 3.0, 5.0])  # the last is that of the intercept, which has no penalty
    assert smoothness(objective, units) == pytest.approx(0.1 * 3.0**2)


@outputs
def test_expected_smoothness_goes_from_the_largest_row_to_all_rows(k):
    objective = make_objective(k, l2=0.1)
    squares = (objective.rows.X**2).sum(axis=1) + 1
    largest = objective.loss.max_curvature * (objective.rows.weight * squares).max() * N / objective.total + 0.1
    found = [expected_smoothness(objective, size) for size in (1, 2, 10, 50, N)]
    assert found[0] == pytest.approx(largest)
    assert found == sorted(found, reverse=True)
    assert found[-1] == expected_smoothness(objective, 10 * N) == pytest.approx(smoothness(objective))


@pytest.mark.parametrize("n", [1, 2])
def test_expected_smoothness_of_one_or_two_rows(n):
    objective = make_objective().on(np.arange(n))
    objective.rows.weight[:] = 1
    squares = (objective.rows.X**2).sum(axis=1) + 1
    alone = Objective(objective.rows, objective.loss, objective.penalty)
    assert expected_smoothness(alone, 1) == pytest.approx(squares.max() / 4 + 0.1)
    assert expected_smoothness(alone, n) == pytest.approx(smoothness(alone))


def test_no_loss_is_below_the_separation_value_while_a_row_is_on_the_wrong_side(rng):
    objective = make_objective(l2=0.0)
    assert make_objective(l2=0.1).separation_value == 0
    for _ in range(50):
        theta = 30 * rng.standard_normal(objective.shape)
        wrong = ((objective.rows.X @ theta[:-1] + theta[-1] > 0)[:, 0] != objective.rows.y) & (
            objective.rows.weight > 0
        )
        assert wrong.any()
        assert objective.at(theta).value > objective.separation_value


def test_separation_value_is_the_loss_of_the_lightest_row_on_the_boundary():
    rows = rows_of(np.array([[-1.0], [1.0], [0.0], [0.0]]), np.array([0, 1, 0, 1]), np.array([2.0, 3.0, 0.5, 0.0]))
    objective = Objective(rows, Sigmoid(), ElasticNet(0.0))
    assert objective.at(np.array([[1e3], [0.0]])).value == pytest.approx(objective.separation_value, rel=1e-15)
    assert Objective(rows, Sigmoid(), ElasticNet(0.0, 0.1)).separation_value == 0


@outputs
def test_margin_changes_are_those_of_the_weighted_rows(k, rng):
    objective = make_objective(k)
    rows = objective.rows
    for _ in range(20):
        direction = rng.standard_normal(objective.shape)
        margins = objective.loss.margins(rows.X @ direction[:-1] + direction[-1], rows.y)[rows.weight > 0]
        np.testing.assert_allclose(margin_changes(objective, direction), (margins.max(), -margins.min()), rtol=1e-12)


def test_a_separating_direction_lowers_no_margin():
    rows = rows_of(np.array([[-2.0], [1.0], [3.0]]), np.array([0, 1, 1]), np.ones(3))
    objective, direction = Objective(rows, Sigmoid(), ElasticNet(0.0)), np.array([[0.125], [0.0]])
    assert margin_changes(objective, direction) == (0.375, 0)
    assert margin_changes(objective, -direction) == (0, 0.375)


# --- At known scores -------------------------------------------------------------------------------------


def per_row(objective, theta):
    """Features with the constant one, weights, losses and their slopes in the scores, by the formulae, row by row."""
    rows, k = objective.rows, objective.shape[1]
    X1 = np.hstack([rows.X.toarray() if sp.issparse(rows.X) else rows.X, np.full((N, 1), rows.constant)])
    z = X1 @ theta
    z = np.hstack([np.zeros((N, 1)), z]) if k == 1 else z
    a = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    losses, dz = -np.log(a[np.arange(N), rows.y]), a - np.eye(max(2, k))[rows.y]
    return X1, rows.weight, losses, dz[:, 1:] if k == 1 else dz, a


@objectives
def test_a_trial_is_j_on_the_line_with_its_slope_and_standard_error(objective, rng):
    theta, direction = rng.standard_normal((2, *objective.shape))
    z, change = objective.scores(theta), objective.score_changes(direction)
    line = Line(objective, labels_and_weights(objective), z, change)
    moved = theta + 0.3 * direction
    passes, point = objective.passes, objective.at(moved)
    trial = line.loss(0.3)
    assert objective.passes == passes + 1  # of ``at``: a trial costs none
    _, weight, losses, _, _ = per_row(objective, moved)
    S = weight.sum()
    mean = weight @ losses / S
    error = np.sqrt((weight**2 * (losses - mean) ** 2).sum()) / S
    slope = np.vdot(point.gradient - objective.penalty.gradient(moved), direction)
    np.testing.assert_allclose([trial.mean, trial.error, trial.slope], [mean, error, slope], rtol=1e-11)
    with_gradient = line.loss_and_gradient(0.3)
    assert objective.passes == passes + 1.5
    np.testing.assert_allclose(with_gradient[:3], trial[:3], rtol=1e-11)
    at = line.scores_at(0.3)
    for found in (line.point(moved, at, trial), line.point(moved, at, with_gradient)):
        assert found.value == pytest.approx(point.value, rel=1e-12)
        np.testing.assert_allclose(found.gradient, point.gradient, rtol=0, atol=1e-13 * np.abs(point.gradient).max())
    assert objective.passes == passes + 2  # a trial without a gradient leaves half a pass to be made


@outputs
def test_rows_that_all_have_the_same_loss_leave_no_doubt_about_its_mean(k):
    objective = make_objective(k)
    z = objective.scores_of_zero()
    loss = Line(objective, labels_and_weights(objective), z, z).loss(0.0)
    assert loss.error <= np.sqrt(4 * N * np.finfo(float).eps) * loss.mean  # a root of what sums of squares round off


@objectives
def test_curvature_at_known_scores_is_that_of_the_formulae(objective, rng):
    theta = rng.standard_normal(objective.shape)
    z, c = objective.scores(theta), curvature(objective, theta)
    dz = per_row(objective, theta)[3]
    np.testing.assert_allclose(objective.hessian_at(c), objective.hessian(theta), rtol=0, atol=1e-13)
    np.testing.assert_allclose(objective.residuals(z), dz, rtol=0, atol=1e-14)


@objectives
def test_coupling_at_scores_is_the_mean_curvature_where_no_row_is_on_the_wrong_side(objective, rng):
    k = objective.shape[1]
    own = np.eye(k)[objective.rows.y] if k > 1 else 2.0 * objective.rows.y[:, None] - 1
    z = objective.scores_of_zero() + (own if k == 1 else 5 * own) + 0.1 * rng.random((N, k))
    c = objective.secant_curvature(z)
    np.testing.assert_allclose(objective.coupling_at(z), objective.coupling(objective.curvature(z)), atol=1e-14)
    np.testing.assert_allclose(objective.coupling_at(z), objective.coupling(c), atol=1e-14)


@objectives
def test_leverages_are_those_of_the_inverse_hessian(objective, rng):
    theta = rng.standard_normal(objective.shape)
    k, (X1, *_) = objective.shape[1], per_row(objective, theta)
    A = rng.standard_normal((objective.n_parameters, 3))
    units = np.einsum("ip,kl->ikpl", X1, np.eye(k)).reshape(N, k, -1)  # (I (x) x_i)^T
    np.testing.assert_allclose(objective.leverages(A), units @ (A @ A.T) @ units.transpose(0, 2, 1), rtol=1e-11)


# --- Second moments of the features ----------------------------------------------------------------------


@objectives
def test_second_moments_are_weighted_means(objective):
    X1, weight, *_ = per_row(objective, np.zeros(objective.shape))
    moment = (weight[:, None] * X1).T @ X1 / weight.sum()
    squares = mean_squares(objective)
    np.testing.assert_allclose(squares, moment.diagonal(), rtol=1e-13)
    for size in (N, N + 1):
        ours = second_moment(objective, size, squares, None)  # of all rows: nothing is drawn
        np.testing.assert_allclose(ours, moment, rtol=0, atol=1e-13 * moment.max())


@objectives
def test_a_sampled_second_moment_is_right_on_average(objective, rng):
    squares = mean_squares(objective)
    moment = second_moment(objective, N, squares, None)
    passes = objective.passes
    draws = np.array([second_moment(objective, 20, squares, rng) for _ in range(400)])
    assert objective.passes == passes + 800
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert (np.abs(draws.mean(axis=0) - moment) <= 5 * error + 1e-12).all()
    assert draws.std(axis=0).max() > 0


def test_a_sample_has_the_rare_feature_of_a_few_rows(rng):
    """A flag in 2 of 1,000 rows has half of its squared norm in each: both rows are drawn nearly always."""
    X = np.hstack([rng.standard_normal((1000, 2)), np.zeros((1000, 1))])
    X[[3, 500], 2] = 1.0
    objective = Objective(rows_of(X, np.arange(1000) % 2, np.ones(1000), True), Sigmoid(), ElasticNet(0.1))
    squares = mean_squares(objective)
    found = [second_moment(objective, 100, squares, rng)[2, 2] > 0 for _ in range(20)]
    assert all(found)


@pytest.mark.parametrize("expected", [1.0, 7.5, 19.0])
def test_chances_add_up_and_are_in_proportion_where_none_is_sure(expected, rng):
    size = rng.random(20) ** 4 + 1e-3
    chance = chances(size, expected)
    assert chance.max() <= 1
    assert chance.sum() == pytest.approx(expected, rel=0.05)
    unsure = chance < 1
    np.testing.assert_allclose(chance[unsure] / size[unsure], chance[unsure][0] / size[unsure][0], rtol=1e-12)


def test_no_chance_is_beyond_1_where_each_row_is_far_smaller_than_the_one_before():
    chance = chances(3.0 ** -np.arange(20), 18)
    assert chance.max() == 1
    assert (np.diff(chance) <= 0).all()


@objectives
def test_the_largest_margin_is_that_of_a_row_with_a_weight(objective, rng):
    theta = rng.standard_normal(objective.shape)
    X1, weight, *_ = per_row(objective, theta)
    z, y = X1 @ theta, objective.rows.y
    margins = (2 * y[:, None] - 1) * z if objective.shape[1] == 1 else z[np.arange(N), y][:, None] - z
    passes = objective.passes
    assert largest_margin(objective, theta) == pytest.approx(max(0, margins[weight > 0].max()), rel=1e-13)
    assert objective.passes == passes + 0.5


# --- Passes ----------------------------------------------------------------------------------------------


def test_a_pass_is_counted_once():
    objective = make_objective()
    theta = np.zeros(objective.shape)
    objective.at(theta)
    assert objective.passes == 1
    objective.scores(theta)  # those of 0 are known
    assert objective.passes == 1
    z = objective.scores(theta + 1)
    margin_changes(objective, theta)
    assert objective.passes == 2  # half a pass each: forward alone
    objective.at_scores(theta + 1, z)
    assert objective.passes == 2.5  # backward alone
    c = objective.curvature(z)
    objective.hessian_product(c)(theta)
    objective.hessian_diagonal(c)
    assert objective.passes == 4.5
    objective.value(theta)
    objective.at(theta)
    assert objective.passes == 6
    objective.least_squares(z, np.arange(2), 1.0)
    assert objective.passes == 7
    mean_squares(objective)
    assert objective.passes == 8


@pytest.mark.parametrize("centred", [False, True])
def test_a_rough_product_is_exact_to_the_rounding_of_float32(centred):
    """Rows that are certain of their class have curvatures of 1e-40, which float32 does not know as normal numbers."""
    rng = np.random.default_rng(0)
    X, k = rng.standard_normal((60, 7)) + 100 * centred, 4
    rows = rows_of(X, rng.integers(0, k, 60), rng.uniform(0.5, 2, 60), n_scores=k)
    objective = Objective(rows.centred() if centred else rows, Softmax(k), ElasticNet(0.0))
    z = 5 * rng.standard_normal((60, k))
    z[::3] += 90 * np.eye(k)[0]
    c, v = objective.curvature(z), rng.standard_normal(objective.shape)
    exact, rough = objective.hessian_product(c)(v), objective.hessian_product(c, rough=True)(v)
    assert objective.passes == 2
    # The sum of the sizes of all terms of the product, each rounded a few dozen times.
    sizes = np.hstack([np.abs(rows.centred().block.measured() if centred else X), np.ones((60, 1))])
    terms = sizes.T @ (rows.weight[:, None] * (sizes @ np.abs(v)).max(axis=1, keepdims=True) * c) / objective.total
    assert (np.abs(rough - exact) <= 50 * np.finfo(np.float32).eps * terms).all()


@pytest.mark.parametrize(("curvature", "length"), [(1e-80, 1e60), (1e-80, 1.0), (1.0, 1e60), (0.1, 1.0), (1e-80, 0.0)])
@pytest.mark.parametrize("holder", [np.asarray, sp.csr_array])
def test_a_product_in_float32_holds_where_rows_are_certain_and_steps_are_long(holder, curvature, length, rng):
    exact, rough = (make_objective(k=3, l2=0.0, dtype=dtype, holder=holder) for dtype in (np.float64, np.float32))
    c, v = curvature * rng.uniform(0.1, 0.3, (N, 3)), length * rng.standard_normal((P + 1, 3))
    expected = exact.hessian_product(c)(v)
    with overflow_raised():
        product = rough.hessian_product(c)(v)
    np.testing.assert_allclose(product, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def test_features_beyond_the_range_of_float32_keep_their_precision():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20, 3)) * [1.0, 1e-60, 1e60]
    rows = rows_of(X, rng.integers(0, 2, 20), np.ones(20))
    np.testing.assert_array_equal(rows.in_float32().X, X)
    assert rows_of(X[:, :1], rows.y, rows.weight).in_float32().dtype == np.float32


def test_no_product_with_subnormal_numbers():
    """A BLAS takes a hundred times as long for each of them."""
    dz = np.array([[1.0, 1e-40], [-1e-35, 1e-20]], np.float32)
    np.testing.assert_array_equal(without_subnormals(dz), np.array([[1, 0], [0, 1e-20]], np.float32))
    assert without_subnormals(dz.astype(float))[0, 1] != 0


def test_value_and_slope_at_scores_are_those_of_the_point():
    rng = np.random.default_rng(2)
    X, k = rng.standard_normal((40, 5)), 3
    rows = rows_of(X, rng.integers(0, k, 40), rng.uniform(0.5, 2, 40), n_scores=k)
    objective = Objective(rows, Softmax(k), ElasticNet(0.1, 0.2))
    theta, direction = rng.standard_normal((2, *objective.shape))
    z, change, point = objective.scores(theta), objective.score_changes(direction), objective.at(theta)
    passes = objective.passes
    assert objective.value_at_scores(theta, z) == pytest.approx(point.value, rel=1e-13)
    slope = objective.slope_along(theta, direction, change, z)
    assert slope == pytest.approx(np.vdot(point.gradient, direction), rel=1e-11)
    assert objective.passes == passes


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("centred", [False, True])
def test_scores_of_few_coefficients_are_those_of_all(order, centred):
    rng = np.random.default_rng(3)
    X, W = np.asarray(rng.standard_normal((30, 1200)) + 3, order=order), np.zeros((1201, 2))
    W[rng.choice(1200, 20, replace=False)], W[-1] = rng.standard_normal((20, 2)), [1.0, 2.0]
    rows = rows_of(X, rng.integers(0, 2, 30), np.ones(30), n_scores=2)
    block = (rows.centred() if centred else rows).block
    expected = block.measured() @ W[:-1] + W[-1]
    np.testing.assert_allclose(block.forward(W), expected, rtol=1e-12, atol=1e-12)


def test_a_block_in_fortran_order_has_a_page_of_each_feature():
    """Blocks of a few rows would be strips of memory, each on a page of its own."""
    X, y = np.empty((2000, 5000)), np.zeros(2000, int)
    heights = {
        order: {len(block) for block in rows_of(np.asarray(X, order=order), y, np.ones(2000)).blocks} for order in "CF"
    }
    assert max(heights["C"]) < 512 <= min(heights["F"])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_newtons_step_of_a_row_far_on_the_wrong_side_is_at_most_twice_its_margin(dtype):
    """Its curvature is 1e-26, and the step along a feature of its own was 1e12 long: no rate in float32 is so small."""
    z = np.array([[60.0], [60.0], [-60.0], [1.0]], dtype)
    objective = Objective(rows_of(np.eye(4, dtype=dtype), np.array([0, 1, 1, 0]), np.ones(4)), Sigmoid(), ElasticNet(0))
    u, F, *_ = objective.least_squares(z, np.arange(4), 1.0)
    steps = -u / F.diagonal()
    assert (np.abs(steps[[0, 2]]) <= 2 * 60 * (1 + 1e-5)).all()
    assert (steps[[0, 2]] * z[[0, 2], 0] < 0).all()
    p = 1 / (1 + np.exp(-1.0))
    assert steps[3] == pytest.approx(-p / (p * (1 - p)), rel=1e-5)  # elsewhere it is Newton's
