"""The duality gap bounds the excess of J wherever it is asked, and is sharp near the minimum, on any scale."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import rel_entr, softmax
from sklearn.datasets import load_breast_cancer, load_iris, load_wine
from sklearn.exceptions import ConvergenceWarning

from gdlogit import GDLogisticRegression, proofs
from gdlogit.backprop import Sigmoid, Softmax
from gdlogit.data.memory import rows_of
from gdlogit.descent import newton
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.quadratic.metric import LocalModel
from gdlogit.verdict import duality


def make_objective(load, l2=1e-3, weighted=False, intercept=True, l1=0.0, times=1):
    X, y = (np.concatenate([part] * times) for part in load(return_X_y=True))
    weight = np.random.default_rng(1).integers(0, 4, len(y)).astype(float) if weighted else np.ones(len(y))
    loss = Sigmoid() if y.max() == 1 else Softmax(y.max() + 1)
    return Objective(rows_of(X, y, weight, intercept), loss, ElasticNet(l2, l1))


def by_products(objective, formed_parameters=0):
    """The same objective, whose Hessian is known by its products."""
    return Objective(objective.rows, objective.loss, objective.penalty, formed_parameters=formed_parameters)


def gap(objective, point, rng=None):
    return duality.duality_gap(LocalModel(objective, point), rng or np.random.default_rng(0))


def tilted(objective, point, part=None):
    return duality.tilted_bound(objective, LocalModel(part or objective, point))


def sampled(objective, point, rng):
    return duality.tilted_bound(objective, duality.sample_of(LocalModel(objective, point), rng))


def rough(objective, point):
    """A model whose steps are solved to half of the residual."""
    model = LocalModel(objective, point)
    model.metric.hessian.fine, model.metric.hessian.sharp = 0.5, np.inf
    return model


def path(objective):
    """The minimum's J, and the points that Newton's method visits on the way there."""
    points = []
    method = newton.sketch(1e-14, np.random.default_rng(0))
    state = method.start(objective, np.zeros(objective.shape))
    for _ in range(30):
        points.append(state.point)
        state = method.step(objective, state)
    return state.point.value, points


CASES = {
    "sigmoid, raw": make_objective(load_breast_cancer),
    "sigmoid, weak penalty": make_objective(load_breast_cancer, l2=1e-7),
    "sigmoid, weighted": make_objective(load_breast_cancer, weighted=True),
    "sigmoid, no intercept": make_objective(load_breast_cancer, intercept=False),
    "softmax": make_objective(load_iris),
    "softmax, raw, weighted": make_objective(load_wine, weighted=True),
    "softmax, no intercept": make_objective(load_wine, intercept=False),
}
objectives = pytest.mark.parametrize("objective", CASES.values(), ids=CASES)
bounds = pytest.mark.parametrize(
    "bound",
    [gap, sampled, lambda objective, point, _: duality.shrunk_bound(objective, point)],
    ids=["gap", "tilted", "shrunk"],
)


@objectives
@bounds
def test_bound_holds_all_the_way_to_the_minimum(objective, bound):
    minimum, points = path(objective)
    for point in points:
        excess = point.value - minimum
        assert bound(objective, point, np.random.default_rng(0)) >= excess - 1e-15


@objectives
def test_bound_holds_at_random_points(objective):
    minimum, points = path(objective)
    rng = np.random.default_rng(2)
    scale = np.abs(points[-1].theta)
    for _ in range(20):
        point = objective.at(scale * rng.standard_normal(scale.shape))
        assert gap(objective, point, rng) >= point.value - minimum


@objectives
def test_bound_is_within_a_tenth_of_the_excess_near_the_minimum(objective):
    minimum, points = path(objective)
    near = [point for point in points if 1e-13 < point.value - minimum < 1e-7]
    assert near
    for point in near:
        assert gap(objective, point) < 1.1 * (point.value - minimum)


def test_a_share_of_the_rows_proves_a_bound_that_is_larger_by_about_the_share():
    objective = CASES["sigmoid, raw"]
    minimum, points = path(objective)
    point = min((p for p in points if p.value - minimum > 1e-13), key=lambda p: p.value)
    bound = tilted(objective, point, objective.part(124, np.random.default_rng(0)))
    assert 1 < bound / (point.value - minimum) < 40


@objectives
def test_products_alone_prove_a_sharp_bound(objective):
    minimum, points = path(objective)
    for point in points[3:]:
        excess = point.value - minimum
        bound = gap(by_products(objective), point)
        assert bound >= excess - 1e-15
        if 1e-13 < excess < 1e-7:
            assert bound < 20 * excess


def test_a_rough_solution_proves_a_bound_with_its_intercept_set_right():
    objective = CASES["softmax, raw, weighted"]
    minimum, points = path(objective)
    for point in points[-8:]:
        bound = duality.tilted_bound(objective, rough(by_products(objective), point))
        assert point.value - minimum - 1e-15 <= bound < np.inf


@pytest.mark.parametrize("name", ["sigmoid, weighted", "softmax, raw, weighted"])
def test_shrunk_residuals_sum_to_zero(name):
    objective = CASES[name]
    theta = np.random.default_rng(0).standard_normal(objective.shape) * 1e-3
    rho = duality.class_shrinkage(objective, theta)
    (block,) = objective.rows.blocks
    _, dz = objective.loss.forward_backward(block.forward(theta), block.y)
    weighted = dz * block.weight[:, None]
    assert rho.max() == 1
    assert rho.min() > 0
    np.testing.assert_allclose((weighted * rho[block.y][:, None]).sum(axis=0), 0, atol=1e-10 * np.abs(weighted).sum())


@pytest.mark.parametrize("name", ["sigmoid, weighted", "softmax, raw, weighted", "softmax, no intercept"])
def test_shrunk_bound_is_what_its_probabilities_prove(name):
    objective, rng = CASES[name], np.random.default_rng(0)
    rows, l2 = objective.rows, objective.penalty.l2
    theta = rng.standard_normal(objective.shape) / np.append(np.abs(rows.X).max(axis=0), 1)[:, None]
    a = objective.loss.probabilities(rows.X @ theta[:-1] + rows.constant * theta[-1])
    y = np.eye(a.shape[1])[rows.y]
    rho = duality.class_shrinkage(objective, theta)[rows.y][:, None]
    other = y + rho * (a - y)
    residuals = (other - y)[:, -objective.shape[1] :]
    V = l2 * theta[:-1] + rows.X.T @ (rows.weight[:, None] * residuals) / objective.total
    proven = rows.weight @ rel_entr(other, a).sum(axis=1) / objective.total + np.vdot(V, V) / (2 * l2)
    passes = objective.passes
    assert duality.shrunk_bound(objective, objective.at(theta)) == pytest.approx(proven, rel=1e-9)
    assert objective.passes == passes + (3 if rows.constant else 2)  # one of them J's


def near_minimum(objective):
    """The minimum's J; and points whose excess goes from 1e-3 of J down to 1e-12 of it."""
    minimum, points = path(objective)
    lowest = points[-1].theta
    away = np.random.default_rng(0).standard_normal(lowest.shape) * lowest
    curvature = 2 * (objective.at(lowest + 1e-3 * away).value - minimum) / 1e-6
    return minimum, [
        objective.at(lowest + np.sqrt(2 * minimum * part / curvature) * away) for part in np.logspace(-3, -12, 28)
    ]


def test_all_rows_are_tilted_where_a_sample_proves_too_little():
    objective = make_objective(load_breast_cancer, times=16)
    objective, _ = objective.centred(np.zeros(objective.shape))
    minimum, points = near_minimum(objective)
    verdicts = []
    for point in points:
        some = sampled(objective, point, np.random.default_rng(0))
        passes = objective.passes
        bound = gap(objective, point)
        verdicts.append(bool(some <= duality.ENOUGH_GAP * point.value))
        assert bound == pytest.approx(some) if verdicts[-1] else bound < 1.1 * (point.value - minimum) + 1e-15
        assert (objective.passes < passes + 1) == verdicts[-1]
    assert verdicts == sorted(verdicts)
    assert 5 < sum(verdicts) < len(verdicts) - 5


def test_a_tilt_takes_two_passes_over_its_rows_and_needs_no_intercept_set_right_where_the_step_is_exact(monkeypatch):
    objective = CASES["sigmoid, raw"]
    point = path(objective)[1][-1]
    monkeypatch.setattr(Objective, "coupling", None)
    part = objective.part(300, np.random.default_rng(0))
    passes = objective.passes
    assert tilted(objective, point, part) < 1e-9
    assert objective.passes == passes + 2 * 300 / objective.n_rows


def test_residuals_that_do_not_add_up_to_zero_prove_nothing(monkeypatch):
    objective = CASES["softmax, raw, weighted"]
    point = path(objective)[1][8]
    model = rough(by_products(objective), point)
    assert duality.tilted_bound(objective, model) < np.inf
    monkeypatch.setattr(Objective, "coupling", lambda *_: np.zeros((3, 3)))
    assert duality.tilted_bound(objective, model) == np.inf


def test_rows_that_a_tilt_takes_to_a_probability_of_0_or_beyond_are_named():
    rows = rows_of(
        np.array([[2.0], [-2.0], [1.9], [3.0], [3.0]]), np.array([0, 1, 0, 1, 0]), np.array([1.0, 1, 1, 1, 0])
    )
    objective = Objective(rows, Sigmoid(), ElasticNet(0.1))
    point = objective.at(np.zeros((2, 1)))
    _, _, outside = duality.tilt(objective, point, np.array([[1.0], [0.0]]))  # t is half of the feature, both ways
    assert outside.tolist() == [True, True, False, True, False]
    assert duality.tilt(objective, point, np.array([[0.1], [0.0]]))[2] is None


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_row_takes_a_part_of_a_tilt_that_is_too_strong(n_classes):
    rng = np.random.default_rng(n_classes)
    X, y, weight = rng.standard_normal((40, 3)), rng.integers(0, n_classes, 40), rng.uniform(1, 2, 40)
    loss = Sigmoid() if n_classes == 2 else Softmax(n_classes)
    objective = Objective(rows_of(X, y, weight), loss, ElasticNet(0.1))
    theta, u = rng.standard_normal((2, *objective.shape))
    z, v = (np.hstack([X, np.ones((40, 1))]) @ part for part in (theta, u))
    if n_classes == 2:
        z, v = (np.hstack([np.zeros((40, 1)), part]) for part in (z, v))
    a = softmax(z, axis=1)
    t = v - (a * v).sum(axis=1, keepdims=True)
    t *= np.minimum(1, 0.9 / t.max(axis=1))[:, None]
    assert (np.abs(t.max(axis=1) - 0.9) < 1e-12).sum() > 5
    kl, change, outside = proofs.tilt(objective, theta, u, 0.9)
    assert outside is None
    np.testing.assert_allclose(kl, weight @ rel_entr(a * (1 - t), a).sum(axis=1), rtol=1e-10)
    residuals = (a * t)[:, -objective.shape[1] :]
    expected = np.hstack([X, np.ones((40, 1))]).T @ (weight[:, None] * residuals) / weight.sum()
    np.testing.assert_allclose(change, expected, atol=1e-13)


def test_rows_that_a_tilt_would_take_out_have_no_part_in_it():
    objective, found = CASES["sigmoid, raw"], 0
    for point in path(objective)[1]:
        outside = duality.zero_sum_tilt(LocalModel(objective, point))[2]
        if outside is None:
            continue
        rest = objective.without(outside)
        if duality.zero_sum_tilt(LocalModel(rest, point))[2] is None:
            assert tilted(objective, point) == tilted(objective, point, rest) < np.inf
            found += 1
    assert found


@pytest.mark.parametrize("name", ["sigmoid, raw", "softmax", "l1", "elastic net, softmax"])
@pytest.mark.parametrize("dense", [0, 1500])
def test_where_no_tilt_proves_anything_the_shrunk_residuals_do(name, dense, monkeypatch):
    objective = (CASES | SPARSE)[name]
    theta = 1 / np.append(np.sqrt(np.mean(objective.rows.X**2, axis=0)), 1)[:, None] * np.ones(objective.shape)
    point = objective.at(theta)
    monkeypatch.setattr(duality, "tilted_bound", lambda *_: np.inf)
    model = LocalModel(by_products(objective, dense), point)
    bound = duality.proven_bound(model, np.random.default_rng(0), 0.0)
    assert bound == duality.shrunk_bound(objective, point) < np.inf


@pytest.mark.parametrize("l1", [0.0, 1e-3])
@pytest.mark.parametrize("dense", [0, 1500])
def test_far_out_where_no_row_curves_the_shrunk_bound_is_the_one(l1, dense):
    X, y = np.array([[-1.0], [1.0], [1.0], [-1.0]]), np.array([0, 1, 0, 0])
    objective = Objective(rows_of(X, y, np.array([1.0, 1.0, 1e-3, 1.0])), Sigmoid(), ElasticNet(1e-9, l1))
    objective = by_products(objective, dense)
    point = objective.at(np.array([[900.0], [0.0]]))
    shrunk = duality.shrunk_bound(objective, point)
    assert tilted(objective, point) == np.inf
    assert gap(objective, point) == min(shrunk, point.value)


@pytest.mark.parametrize("n_parameters", [2, 101, 1000])
@pytest.mark.parametrize("n_rows", [100, 10_000, 1_000_001])
def test_hessian_of_the_sample_costs_a_pass_or_takes_what_the_parameters_need(n_rows, n_parameters):
    objective = SimpleNamespace(n_rows=n_rows, n_parameters=n_parameters, part=lambda size, *_: size)
    model = SimpleNamespace(objective=objective, point=None, sample=None, rough=None)
    size, least = duality.sample_of(model, None).objective, max(4 * n_parameters, 1000)
    assert isinstance(size, int)
    assert size >= least
    assert size == least or size * n_parameters <= 25 * n_rows and 16 * size <= n_rows
    assert (size + 1) * n_parameters > 25 * n_rows or 16 * (size + 1) > n_rows


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize(
    "parameters", [{}, {"C": 1e-6}, {"C": 1e12}, {"l1_ratio": 1.0}, {"l1_ratio": 1.0, "C": 1e-9}], ids=str
)
@pytest.mark.parametrize("load", [load_breast_cancer, load_iris])
def test_the_gap_is_at_least_the_rounding_of_j(load, parameters, dtype):
    X, y = load(return_X_y=True)
    model = GDLogisticRegression(tol=0.0, random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(X.astype(dtype), y)
    value = model.loss_curve_[-1]
    assert np.finfo(dtype).eps * value < model.duality_gap_ <= value


@pytest.mark.parametrize("name", ["sigmoid, raw", "softmax, raw, weighted", "softmax, no intercept"])
@pytest.mark.parametrize("formed_parameters", [1500, 0])
def test_without_a_penalty_on_some_features_a_step_is_corrected_until_their_slopes_are_0(name, formed_parameters):
    """R* is infinite unless V is 0 there; a step that is half of Newton's leaves slopes that prove nothing."""
    objective = CASES[name]
    l2 = np.full(objective.shape[0] - 1, 1e-3)
    l2[[0, 3]] = 0.0
    objective = Objective(objective.rows, objective.loss, ElasticNet(l2), formed_parameters=formed_parameters)
    objective, _ = objective.centred(np.zeros(objective.shape))
    minimum, points = path(Objective(objective.rows, objective.loss, objective.penalty))
    free = objective.penalty.unpenalised(len(l2))
    for point in points[9:12]:
        u = -0.5 * LocalModel(Objective(objective.rows, objective.loss, objective.penalty), point).step[0]
        _, V, infeasible = duality.tilt_without_slopes(objective, point, u, free)
        rounding = np.append(duality.rounding_of_slopes(objective, objective), objective.resolution)[:, None]
        assert infeasible is None
        assert (np.abs(V) <= rounding)[free].all()
        excess = point.value - minimum
        assert excess - 1e-15 <= gap(objective, point)
    assert gap(objective, points[-1]) <= 1e-10


def test_bound_is_infinite_without_a_penalty():
    objective = make_objective(load_iris, l2=0.0)
    point = objective.at(np.zeros(objective.shape))
    assert gap(objective, point) == np.inf


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_bound_holds_beside_an_offset_of_a_million_spreads_in_float32():
    X = (np.random.default_rng(0).standard_normal((3, 3)) + [0, 0, 1e6]).astype(np.float32)
    y = [1, 0, 0]
    model = GDLogisticRegression(solver="sgd", max_iter=20, random_state=0).fit(X, y)
    lowest = GDLogisticRegression(tol=1e-12).fit(X.astype(float), y).loss_curve_[-1]
    assert model.duality_gap_ >= model.loss_curve_[-1] - lowest > 0.03


SPARSE = {
    "l1": make_objective(load_breast_cancer, l2=0.0, l1=1e-2),
    "l1, weighted": make_objective(load_breast_cancer, l2=0.0, l1=1e-2, weighted=True),
    "l1, no intercept": make_objective(load_breast_cancer, l2=0.0, l1=1e-2, intercept=False),
    "elastic net": make_objective(load_breast_cancer, l2=1e-3, l1=1e-2),
    "l1, softmax": make_objective(load_iris, l2=0.0, l1=1e-2),
    "elastic net, softmax": make_objective(load_wine, l2=1e-3, l1=1e-2),
}


@pytest.mark.parametrize("objective", SPARSE.values(), ids=SPARSE)
@bounds
def test_bound_holds_with_an_l1_part_all_the_way_to_the_minimum(objective, bound):
    minimum, points = path(objective)
    for point in points:
        assert bound(objective, point, np.random.default_rng(0)) >= point.value - minimum - 1e-15


@pytest.mark.parametrize("objective", SPARSE.values(), ids=SPARSE)
def test_products_alone_prove_a_bound_with_an_l1_part(objective, monkeypatch):
    minimum, points = path(objective)
    objective = by_products(objective)
    monkeypatch.setattr(duality, "sample_of", None)  # it would miss rare features
    for point in points:
        assert gap(objective, point) >= point.value - minimum - 1e-15
    assert gap(objective, points[-1]) <= 1e-6


@pytest.mark.parametrize("name", ["l1", "l1, weighted", "l1, softmax"])
def test_a_part_of_the_dual_point_that_l1_allows_proves_what_its_probabilities_do(name):
    objective, rng = SPARSE[name], np.random.default_rng(0)
    rows, penalty = objective.rows, objective.penalty
    theta = rng.standard_normal(objective.shape) / np.append(np.abs(rows.X).max(axis=0), 1)[:, None]
    a = objective.loss.probabilities(rows.X @ theta[:-1] + theta[-1])
    y = np.eye(a.shape[1])[rows.y]
    other = y + duality.class_shrinkage(objective, theta)[rows.y][:, None] * (a - y)
    V = rows.X.T @ (rows.weight[:, None] * (other - y)[:, -objective.shape[1] :]) / objective.total
    rho = penalty.l1 / np.abs(V).max()
    assert rho < 1
    divergence, loss = (rows.weight @ rel_entr(p, a).sum(axis=1) / objective.total for p in (other, y))
    proven = rho * divergence + (1 - rho) * loss + penalty.value(theta) + rho * np.vdot(theta[:-1], V)
    assert duality.shrunk_bound(objective, objective.at(theta)) == pytest.approx(proven, rel=1e-9)


@pytest.mark.parametrize("objective", SPARSE.values(), ids=SPARSE)
def test_bound_with_an_l1_part_is_finite_everywhere_and_sharp_at_the_minimum(objective):
    minimum, points = path(objective)
    rng = np.random.default_rng(0)
    scale = 1 / np.append(np.sqrt(np.mean(objective.rows.X**2, axis=0)), 1)[:, None]
    for size in (0.01, 0.1, 1.0):
        point = objective.at(size * scale * rng.standard_normal(objective.shape))
        proven = gap(objective, point, rng)
        assert np.isfinite(proven)
        assert proven >= point.value - minimum
    assert gap(objective, points[-1], rng) <= 1e-9


STAMP = float(1.7e18 // 2**20 * 2**20)  # nanoseconds since 1970, whole in float64 beside spreads that are, too


def stamped(n, n_classes, spread):
    """Two features and a time of some days to years about 0, and labels that hang on all three."""
    rng = np.random.default_rng(n + n_classes)
    X = np.column_stack([rng.standard_normal((n, 2)), np.round(rng.uniform(-spread, spread, n) / 2**10) * 2**10])
    scores = X / [1, 1, spread] @ rng.standard_normal((3, n_classes)) + rng.gumbel(size=(n, n_classes))
    return X, scores.argmax(axis=1)


@pytest.mark.parametrize(("dtype", "offset", "share"), [(float, 1e4, 1e-10), (float, 1e12, 1e-9), ("f4", 1e6, 2e-6)])
def test_what_passes_for_the_rounding_of_a_slope_is_a_small_part_of_a_spread(dtype, offset, share):
    X = (np.random.default_rng(0).standard_normal((1000, 2)) * [1, 1e8] + [0, 1e8 * offset]).astype(dtype)
    rows = rows_of(X, np.arange(1000) % 2, np.ones(1000)).centred()
    rounding = duality.rounding_of_slopes(objective := Objective(rows, Sigmoid(), ElasticNet(1e-3)), objective)
    spread = (X - X.mean(axis=0, dtype=float)).std(axis=0)
    assert (np.finfo(dtype).eps * spread < rounding).all()
    assert (rounding < 1.1 * share * spread).all()


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("C", [1e-2, 1.0, 1e4])
@pytest.mark.parametrize("spread", [1e14, 1e17])
@pytest.mark.parametrize(("n", "n_classes"), [(300, 2), (20_000, 2), (300, 3)])
def test_the_rounding_of_a_time_in_nanoseconds_does_not_blow_up_the_bound(n, n_classes, spread, C, l1_ratio):
    X, y = stamped(n, n_classes, spread)
    settings = {"C": C, "l1_ratio": l1_ratio, "random_state": 0}
    model = GDLogisticRegression(**settings).fit(X + [0, 0, STAMP], y)  # a ConvergenceWarning would be an error
    about_0 = GDLogisticRegression(**settings).fit(X, y)  # the same J, but for the intercept
    assert model.converged_
    assert model.duality_gap_ < 1e-7
    assert model.loss_curve_[-1] == pytest.approx(about_0.loss_curve_[-1], abs=1e-8)


@pytest.mark.parametrize("spread", [1e14, 1e17])
@pytest.mark.parametrize("l2", [1e-5, 1e-2])
def test_the_bound_beside_a_time_in_nanoseconds_is_no_less_than_the_excess(l2, spread):
    X, y = stamped(500, 2, spread)
    scale = np.array([1, 1, spread, 1])
    A, strength = np.c_[X, np.ones(500)] / scale, l2 / scale**2 * [1, 1, 1, 0]

    def J(w):
        return np.logaddexp(0, np.where(y, -1, 1) * (A @ w)).mean() + strength @ w**2 / 2

    w = np.zeros(4)
    for _ in range(30):  # Newton's method on features of about 1, each with its own strength
        a = 1 / (1 + np.exp(-A @ w))
        hessian = A.T @ ((a * (1 - a))[:, None] * A) / 500 + np.diag(strength)
        w -= np.linalg.solve(hessian, A.T @ (a - y) / 500 + strength * w)
    rows = rows_of(X + [0, 0, STAMP], y, np.ones(500)).centred()
    objective = Objective(rows.copied_if_few(), Sigmoid(), ElasticNet(l2))
    for away in (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1):
        at = w + away * np.array([0.0, 0.0, 1.0, 0.0])
        theta = np.append((at / scale)[:3], at[3] + (rows.centre - [0, 0, STAMP]) @ (at / scale)[:3])
        point, excess = objective.at(theta[:, None]), J(at) - J(w)
        bound = gap(objective, point)
        assert excess - 1e-13 <= bound <= 1.2 * excess + duality.ENOUGH_GAP * point.value  # made no sharper than that


def test_a_proof_by_products_in_the_metric_of_the_descent_is_a_bound_and_near_the_excess():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1500, 40))
    y = (X @ rng.standard_normal((40, 15)) + rng.gumbel(size=(1500, 15))).argmax(axis=1)
    coarse = GDLogisticRegression(tol=1e-5, random_state=0).fit(X, y)
    fine = GDLogisticRegression(tol=1e-12, random_state=0).fit(X, y)
    excess = coarse.loss_curve_[-1] - fine.loss_curve_[-1]
    assert 0 < excess <= coarse.duality_gap_ <= 1e-4


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_a_rough_step_bounds_the_excess_where_a_few_features_have_hardly_any_penalty(k, form):
    rng = np.random.default_rng(0)
    flags = (rng.random((2000, 60)) < 0.1).astype(float)
    X, y = np.hstack([flags, 1e4 * rng.exponential(size=(2000, 3))]), rng.integers(0, k, 2000)
    rows = rows_of(form(X), y, np.ones(2000), n_scores=k if k > 2 else 1).centred()
    objective = Objective(rows, Sigmoid() if k == 2 else Softmax(k), ElasticNet(1e-5))
    least, points = path(objective)
    nearly = by_products(objective).at(points[-1].theta + 1e-4 * (points[0].theta - points[-1].theta))
    model = LocalModel(by_products(objective), nearly)
    model.metric.hessian.sharp, model.metric.hessian.fine = np.inf, 0.3
    assert nearly.value - least <= duality.tilted_bound(model.objective, model) <= 1e-5 * least
