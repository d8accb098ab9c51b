"""Features on scales whose squares no floating-point number holds: the fit is that of the same features on others."""

import numpy as np
import pytest
import scipy.sparse as sp

from gdlogit import GDLogisticRegression, GDLogisticRegressionCV, c_min
from gdlogit.data.memory import rows_of
from gdlogit.data.units import unit_of
from gdlogit.penalty import LEFT_OUT, ElasticNet

N = 240
SCALES = {  # powers of two, of which a square is no number, or has lost its digits
    "tiny, float32": (np.float32, -80, -110),
    "huge, float32": (np.float32, 70, 120),
    "tiny, float64": (np.float64, -540, -1000),
    "huge, float64": (np.float64, 520, 1000),
}
scales = pytest.mark.parametrize(("dtype", "first", "second"), SCALES.values(), ids=SCALES)


def drawn(n_classes=2):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((N, 4)) + [0, 3, 0, 0]
    X[:, 3] *= rng.random(N) < 0.3
    return X, (X @ rng.standard_normal((4, n_classes)) + rng.gumbel(size=(N, n_classes))).argmax(axis=1)


def in_two_batches(model, X, y):
    return model.fit_batches([(X[:100], y[:100]), (X[100:], y[100:])])


def in_a_stream(model, X, y):
    for start in range(0, N, 40):
        model.partial_fit(X[start : start + 40], y[start : start + 40], classes=np.unique(y))
    return model


WAYS = {
    "dense": lambda model, X, y: model.fit(X, y),
    "CSR": lambda model, X, y: model.fit(sp.csr_array(X), y),
    "batches": in_two_batches,
    "stream": in_a_stream,
    "counts": lambda model, X, y: model.fit_proba(X, np.eye(y.max() + 1)[y]),
}
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def fitted(way, X, y, **parameters):
    return way(GDLogisticRegression(**{"C": np.inf, "random_state": 0} | parameters), X, y)


def in_units_of_one(model, exponent):
    """The coefficients of features that are 2^exponent times as large."""
    return np.ldexp(model.coef_.astype(float), exponent)


@ways
@scales
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("intercept", [True, False])
def test_a_power_of_two_of_X_divides_the_coefficients_exactly(way, dtype, first, second, n_classes, intercept):
    X, y = drawn(n_classes)
    at = [fitted(way, np.ldexp(X, k).astype(dtype), y, fit_intercept=intercept) for k in (first, second)]
    np.testing.assert_array_equal(in_units_of_one(at[0], first), in_units_of_one(at[1], second))
    np.testing.assert_array_equal(at[0].intercept_, at[1].intercept_)
    plain = fitted(way, X, y, fit_intercept=intercept)
    rtol = 3e-3 if way is in_a_stream or dtype == np.float32 else 1e-6  # a fit ends within tol of the minimum
    np.testing.assert_allclose(in_units_of_one(at[0], first), plain.coef_, rtol=rtol, atol=rtol)


@scales
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_penalty_in_the_same_units_gives_the_same_model(dtype, first, second, l1_ratio, n_classes):
    X, y = drawn(n_classes)
    k = -310 if first < -300 else 310 if first > 300 else first  # C is a number
    strength = 2 if l1_ratio == 0 else 1  # of a mixture the l1 part alone can be the same
    if strength * k > 330:
        pytest.skip("C would be less than 1e-100")
    model = fitted(WAYS["dense"], np.ldexp(X, k).astype(dtype), y, C=2.0 ** (-strength * k), l1_ratio=l1_ratio)
    if l1_ratio == 0.5:
        assert model.duality_gap_ <= 1e-5
        return
    plain = fitted(WAYS["dense"], X, y, C=1.0, l1_ratio=l1_ratio)
    np.testing.assert_allclose(in_units_of_one(model, k), plain.coef_, rtol=2e-3, atol=1e-4)
    assert model.loss_curve_[-1] == pytest.approx(plain.loss_curve_[-1], rel=1e-5)


@ways
def test_one_feature_on_such_a_scale_beside_others(way):
    X, y = drawn()
    units = np.array([1e-200, 1.0, 1e200, 1e-25])
    model, plain = fitted(way, X * units, y), fitted(way, X, y)
    np.testing.assert_allclose(model.coef_ * units, plain.coef_, rtol=1e-6)


@scales
def test_probabilities_are_those_of_the_same_features_on_other_scales(dtype, first, second):
    X, y = drawn()
    X = X.astype(dtype)
    far, plain = np.ldexp(X, second), fitted(WAYS["dense"], X, y).predict_proba(X)
    np.testing.assert_allclose(fitted(WAYS["dense"], far, y).predict_proba(far), plain, atol=1e-4)


@scales
def test_errors_and_intervals_are_in_the_units_of_the_features(dtype, first, second):
    X, y = drawn()
    X = X.astype(dtype)
    results, first = [], max(-400, min(first, 400))  # beyond, a variance is no number
    for k in (0, first):
        far = np.ldexp(X, k)
        results.append(fitted(WAYS["dense"], far, y, tol=1e-10).inference(far, y))
    plain, result = results
    unit = 2.0 ** np.append(0, np.full(4, first))
    rtol = 1e-3 if dtype == np.float32 else 1e-5
    np.testing.assert_allclose(result.bse * unit, plain.bse, rtol=rtol)
    np.testing.assert_allclose(result.pvalues, plain.pvalues, rtol=50 * rtol)
    expected, ends = (r.conf_int(method="profile") for r in results)
    np.testing.assert_allclose(ends * unit[:, None], expected, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("k", [-540, 540])
@pytest.mark.filterwarnings("ignore:The best score is at")
def test_a_path_of_C_is_that_of_features_on_other_scales(k):
    X, y = drawn()
    Cs = np.array([1.0, 10.0, np.inf])
    far = GDLogisticRegressionCV(Cs=Cs * (1e250 if k < 0 else 1.0), cv=3).fit(np.ldexp(X, k), y)
    assert np.isfinite(far.coef_).all()
    assert far.converged_
    last = GDLogisticRegression(C=np.inf).fit(X, y)
    np.testing.assert_allclose(np.ldexp(far.coef_path_[0, -1], k), last.coef_, rtol=1e-4)


@pytest.mark.parametrize("k", [-540, 540])
def test_c_min_divides_as_the_features_do(k):
    X, y = drawn()
    assert c_min(np.ldexp(X, k), y) == pytest.approx(np.ldexp(c_min(X, y), -k), rel=1e-12)


@pytest.mark.parametrize("k", [-540, 540])
def test_bounds_factors_and_firth_are_in_the_units_of_the_features(k):
    X, y = drawn()
    far = np.ldexp(X, k)
    for parameters, scaled in (
        ({"coef_bounds": (-0.1, 0.1)}, {"coef_bounds": (-np.ldexp(0.1, -k), np.ldexp(0.1, -k))}),
        ({"monotonic_cst": [1, -1, 1, 0]},) * 2,
        ({"bias_reduction": "firth"},) * 2,
        ({"penalty_factor": [0, 0, 0, np.inf], "C": 1.0},) * 2,
    ):
        plain, model = fitted(WAYS["dense"], X, y, **parameters), fitted(WAYS["dense"], far, y, **scaled)
        np.testing.assert_allclose(np.ldexp(model.coef_, k), plain.coef_, rtol=1e-6, atol=1e-9)


@ways
@pytest.mark.parametrize("n_classes", [2, 3])
def test_features_whose_coefficients_are_no_numbers_are_named(way, n_classes):
    X, y = drawn(n_classes)
    model = GDLogisticRegression(C=np.inf)
    before = vars(model).copy()
    with pytest.raises(ValueError, match="X is too small for float64"):
        way(model, np.ldexp(X, -1050), y)
    assert vars(model) == before


def test_a_coefficient_that_float32_does_not_hold_is_named_and_float64_has_it():
    X, y = drawn()
    tiny = np.ldexp(X, -135)
    with pytest.raises(ValueError, match="X is too small for float32.*or use float64"):
        fitted(WAYS["dense"], tiny.astype(np.float32), y)
    assert fitted(WAYS["dense"], tiny, y).converged_


@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_textbook_solver_does_not_take_tiny_features_for_none(solver):
    X, y = drawn()
    model = fitted(WAYS["dense"], np.ldexp(X, -80).astype(np.float32), y, solver=solver, max_iter=20)
    assert not model.converged_


def test_ordinary_features_are_not_copied():
    X, y = drawn()
    rows = rows_of(X, y, np.ones(N))
    assert rows.centred().X is X
    assert rows.centred().unit == 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_unit_is_no_larger_than_it_must_be(dtype):
    sizes = np.array([0.0, 1.0, np.finfo(dtype).smallest_subnormal, np.finfo(dtype).max])
    unit = unit_of(sizes, np.dtype(dtype))
    inside = sizes / unit
    assert (unit[:2] == 1).all()
    assert np.square(inside[1:].astype(dtype)).min() > np.finfo(dtype).tiny
    assert np.isfinite(1e6 * np.square(inside.astype(dtype))).all()
    assert (unit[2] < 1 < unit[3], unit_of(sizes[:2], np.dtype(dtype))) == (True, 1.0)


def test_a_feature_that_is_left_out_stays_out_in_every_unit():
    penalty = ElasticNet(np.array([1.0, 1.0]), np.array([LEFT_OUT, 0.0])).in_units(np.array([1e150, 1e-200]))
    assert penalty.l1_strengths((3, 1)).ravel().tolist() == [LEFT_OUT, 0, 0]
    assert np.isfinite(penalty.curvature(np.zeros((3, 1)))).all()
