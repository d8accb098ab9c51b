"""Profile intervals, likelihood-ratio tests, predictions and effects: against R, statsmodels, and plain refits."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from births import DATA, R, birthwt, drawn, fitted, forms, inferred, logit, mnlogit
from scipy.optimize import brentq
from scipy.special import expit, softmax

from gdlogit.inference import profile

PREDICTED = pd.read_csv(DATA / "birthwt_pred.csv")


def maximum(X, y, weight=None):
    """The maximum of the log-likelihood."""
    weight = np.ones(len(y)) if weight is None else weight
    return -fitted(X, y, weight, tol=1e-14).loss_curve_[-1] * weight.sum()


# --- Likelihood-ratio tests -----------------------------------------------------------------------------------------


@forms
def test_the_drop_one_tests_of_R_are_reproduced(form):
    X, y = birthwt()
    test = inferred(form(X.to_numpy()), y).lr_test()
    np.testing.assert_allclose(test.statistic, R.lrt[1:], rtol=1e-9)
    np.testing.assert_allclose(test.pvalue, R.lrtp[1:], rtol=1e-9)
    assert (test.df == 1).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_likelihood_ratio_is_that_of_a_refit(n_classes):
    X, y, weight = drawn(n_classes)
    result = inferred(X, y, weight)
    each, full = result.lr_test(), maximum(X, y, weight)
    for j in range(4):
        statistic = 2 * (full - maximum(np.delete(X, j, axis=1), y, weight))
        assert each.statistic[j] == pytest.approx(statistic, rel=1e-6, abs=1e-7)
        assert result.lr_test(f"x{j}").statistic == pytest.approx(statistic, rel=1e-6, abs=1e-7)
    together = result.lr_test(["x0", "x3"])
    assert together.statistic == pytest.approx(2 * (full - maximum(X[:, 1:3], y, weight)), rel=1e-6)
    assert together.df == 2 * (n_classes - 1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_test_of_all_features_is_the_one_of_the_summary(n_classes):
    X, y, _ = drawn(n_classes)
    result = inferred(X, y)
    test = result.lr_test(["x0", "x1", "x2", "x3"])
    assert (test.statistic, test.pvalue) == pytest.approx((result.llr, result.llr_pvalue), rel=1e-9)


def test_strong_effects_are_tested_as_exactly_as_weak_ones():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 3))
    y = (X @ [6.0, 4.0, 0.1] + rng.logistic(size=150) > 0).astype(int)
    statistic = inferred(X, y).lr_test().statistic
    refits = [2 * (maximum(X, y) - maximum(np.delete(X, j, axis=1), y)) for j in range(3)]
    np.testing.assert_allclose(statistic, refits, rtol=1e-7)


def test_an_aliased_feature_has_no_test():
    X, y, _ = drawn(2)
    test = inferred(np.column_stack([X, X[:, 0]]), y).lr_test()
    assert np.isnan([test.statistic[4], test.pvalue[4]]).all()
    np.testing.assert_allclose(test.statistic[:4], inferred(X, y).lr_test().statistic, rtol=1e-6)


# --- Profile intervals ----------------------------------------------------------------------------------------------


def test_the_profile_limits_of_R_are_reproduced_as_far_as_R_interpolates():
    X, y = birthwt()
    np.testing.assert_allclose(inferred(X, y).conf_int(method="profile"), R[["plo", "phi"]], atol=2e-4)


def deviance_at(X, y, j, value):
    """The least deviance where the coefficient of feature j has a value, by statsmodels with an offset."""
    sm = pytest.importorskip("statsmodels.api")
    rest = sm.add_constant(np.delete(X, j, axis=1))
    return sm.GLM(y, rest, family=sm.families.Binomial(), offset=value * X[:, j]).fit(tol=1e-14).deviance


@forms
@pytest.mark.parametrize("alpha", [0.05, 0.5])
def test_a_profile_limit_is_where_the_deviance_has_risen_by_the_quantile(form, alpha):
    X, y, _ = drawn(2, n=60)
    result = inferred(form(X), y)
    quantile = {0.05: 3.841458820694124, 0.5: 0.454936423119572}[alpha]
    for j, limits in enumerate(result.conf_int(alpha, method="profile")[1:]):
        rises = [deviance_at(X, y, j, limit) + 2 * result.llf for limit in limits]
        assert rises == pytest.approx([quantile, quantile], rel=1e-5)
        assert limits[0] < result.params[j + 1] < limits[1]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_limits_that_are_sought_one_by_one_are_those_found_side_by_side(n_classes, monkeypatch):
    X, y, _ = drawn(n_classes, n=60)
    result = inferred(X, y)
    side_by_side = np.asarray(result.conf_int(method="profile"))
    monkeypatch.setattr(profile, "MOST_SHARED_PASSES", 0)
    one_by_one = np.asarray(inferred(X, y).conf_int(method="profile"))
    errors = np.ravel(result.bse)[:, None]
    assert (np.abs(one_by_one - side_by_side).reshape(-1, 2) < 1e-5 * errors).all()


def test_a_limit_that_is_not_found_is_nan_and_said_to_be(monkeypatch):
    X, y, _ = drawn(2, n=60)
    monkeypatch.setattr(profile, "MOST_SHARED_PASSES", 0)
    monkeypatch.setattr(profile, "MOST_BRACKETS", 1)  # of one standard error, where the limit is at about two
    with pytest.warns(RuntimeWarning, match="10 profile limits were not found and are nan"):
        limits = inferred(X, y).conf_int(method="profile")
    assert np.isnan(limits).all()


def test_the_profile_of_the_intercept_is_its_own():
    X, y, _ = drawn(2, n=60)
    X += 5
    ours = inferred(X, y)
    limits = ours.conf_int(method="profile")[0]
    sm = pytest.importorskip("statsmodels.api")

    def rise(value):
        fit = sm.GLM(y, X, family=sm.families.Binomial(), offset=np.full(len(y), value)).fit(tol=1e-14)
        return fit.deviance + 2 * ours.llf - 3.841458820694124

    ends = [ours.params[0] + step * ours.bse[0] for step in (-6, 6)]
    exact = brentq(rise, ends[0], ours.params[0]), brentq(rise, ours.params[0], ends[1])
    np.testing.assert_allclose(limits, exact, rtol=1e-5)


def test_a_profile_limit_of_a_softmax_is_where_the_likelihood_has_fallen_enough():
    X, y, _ = drawn(3, n=100)
    result = inferred(X, y)
    limit, n_classes = result.conf_int(method="profile")[2, 1, 1], 3

    def loss(rest):  # all contrasts but that of x1 for the second of the two classes
        theta = np.insert(rest, 7, limit).reshape(2, 5).T
        z = np.column_stack([np.zeros(len(y)), np.column_stack([np.ones(len(y)), X]) @ theta])
        p = softmax(z, axis=1)
        slope = np.column_stack([np.ones(len(y)), X]).T @ (p - np.eye(n_classes)[y])[:, 1:]
        return -np.log(p[np.arange(len(y)), y]).sum(), np.delete(slope.T.ravel(), 7)

    from scipy.optimize import minimize

    best = minimize(loss, np.delete(result.params.T.ravel(), 7), jac=True, method="BFGS", options={"gtol": 1e-9})
    assert 2 * (best.fun + result.llf) == pytest.approx(3.841458820694124, rel=1e-6)


def test_profile_limits_of_a_large_table_are_near_those_of_wald():
    X, y, _ = drawn(2, n=100_000)
    result = inferred(X, y)
    np.testing.assert_allclose(result.conf_int(method="profile"), result.conf_int(), atol=1e-2 * result.bse.max())


def test_limits_that_are_not_found_are_nan_and_said_so():
    rng = np.random.default_rng(98)
    X = rng.standard_normal((80, 7))
    y = (X @ rng.standard_normal(7) * 6 + rng.logistic(size=80) > 0).astype(int)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        limits = inferred(X, y).conf_int(method="profile")
    assert np.isnan(limits).any() == any("profile limits" in str(warning.message) for warning in caught)


@pytest.mark.parametrize("asked", [{"cov_type": "HC0"}, {"weights": "sampling"}])
def test_what_needs_the_likelihood_is_refused_without_one(asked):
    X, y = birthwt()
    result = inferred(X, y, **asked)
    with pytest.raises(ValueError, match="needs the likelihood.*wald_test"):
        result.lr_test()
    with pytest.raises(ValueError, match="needs the likelihood.*method='wald'"):
        result.conf_int(method="profile")
    with pytest.raises(ValueError, match="method must be 'wald' or 'profile'; got 'exact'"):
        result.conf_int(method="exact")


# --- Predictions ----------------------------------------------------------------------------------------------------


@forms
def test_the_predictions_of_R_are_reproduced(form):
    X, y = birthwt()
    prediction = inferred(form(X.to_numpy()), y).predict(form(X.to_numpy()[:5]))
    np.testing.assert_allclose(prediction.linear, PREDICTED.fit, rtol=1e-9)
    np.testing.assert_allclose(prediction.se_linear, PREDICTED.se, rtol=1e-7)
    half = 1.959963984540054 * PREDICTED.se
    np.testing.assert_allclose(prediction.lower, expit(PREDICTED.fit - half), rtol=1e-7)
    np.testing.assert_allclose(prediction.upper, expit(PREDICTED.fit + half), rtol=1e-7)


def test_predictions_are_those_of_the_model():
    X, y, _ = drawn(3)
    prediction = inferred(X, y).predict(X[:7])
    np.testing.assert_allclose(prediction.probability, fitted(X, y).predict_proba(X[:7]), rtol=1e-6)
    assert ((prediction.lower < prediction.probability) & (prediction.probability < prediction.upper)).all()
    assert prediction.to_frame().shape == (21, 5)


@pytest.mark.parametrize("reference", [0, 1, 2])
def test_the_errors_of_several_classes_are_those_of_the_delta_method(reference):
    X, y, _ = drawn(3)
    result = inferred(X, y, reference=reference)
    x = np.append(1.0, X[0])

    def log_odds(flat):
        z = np.insert(x @ flat.reshape(2, 5).T, reference, 0.0)
        p = softmax(z)
        return np.log(p / (1 - p))

    flat = result.params.T.ravel()
    slope = np.stack([(log_odds(flat + h) - log_odds(flat - h)) / 2e-6 for h in 1e-6 * np.eye(10)], axis=1)
    expected = np.sqrt(np.einsum("cj,jl,cl->c", slope, result.cov_params(), slope))
    np.testing.assert_allclose(result.predict(X[:1]).se_linear[0], expected, rtol=1e-6)


def test_robust_errors_reach_the_predictions():
    X, y, _ = drawn(2)
    result = inferred(X, y, cov_type="HC3")
    x = np.append(1.0, X[0])
    assert result.predict(X[:1]).se_linear[0] == pytest.approx(np.sqrt(x @ result.cov_params() @ x))


def test_a_pipeline_predicts_from_the_users_columns():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import gdlogit

    X, y = birthwt()
    pipeline = make_pipeline(StandardScaler(), gdlogit.GDLogisticRegression(C=np.inf)).fit(X, y)
    prediction = gdlogit.inference(pipeline, X, y).predict(X.iloc[:5])
    np.testing.assert_allclose(prediction.se_linear, PREDICTED.se, rtol=1e-6)


def test_an_interval_is_a_share():
    X, y = birthwt()
    with pytest.raises(ValueError, match="interval must be between 0 and 1; got 95"):
        inferred(X, y).predict(X, interval=95)


# --- Effects --------------------------------------------------------------------------------------------------------


def test_the_marginal_effects_of_R_are_reproduced():
    effects = inferred(*birthwt()).margins().to_frame()
    assert effects.loc["smoke", ["dy/dx", "std err"]].tolist() == pytest.approx([0.1672766, 0.06829172], rel=1e-6)
    assert effects.loc["ht", ["dy/dx", "std err"]].tolist() == pytest.approx([0.3319895, 0.1156585], rel=1e-6)


@forms
@pytest.mark.parametrize("options", [{"at": "overall"}, {"at": "mean"}, {"dummy": True}])
def test_marginal_effects_agree_with_logit(form, options):
    X, y = birthwt()
    theirs, ours = logit(X, y).get_margeff(**options), inferred(form(X.to_numpy()), y).margins(**options)
    np.testing.assert_allclose(ours.margeff, theirs.margeff, rtol=1e-9)
    np.testing.assert_allclose(ours.margeff_se, theirs.margeff_se, rtol=1e-9)


@forms
@pytest.mark.parametrize("reference", [0, 2])
@pytest.mark.parametrize("at", ["overall", "mean"])
def test_marginal_effects_agree_with_mnlogit(form, at, reference):
    X, y, _ = drawn(3)
    theirs, ours = mnlogit(X, y).get_margeff(at=at), inferred(form(X), y, reference=reference).margins(at=at)
    np.testing.assert_allclose(ours.margeff, theirs.margeff, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(ours.margeff_se, theirs.margeff_se, rtol=1e-7)


def test_marginal_effects_on_several_classes_add_up_to_nothing():
    X, y, weight = drawn(4)
    np.testing.assert_allclose(inferred(X, y, weight).margins().margeff.sum(axis=1), 0, atol=1e-14)


@forms
@pytest.mark.parametrize("measure", ["difference", "ratio", "odds"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_contrast_is_that_of_the_mean_probabilities(n_classes, measure, form):
    X, y, weight = drawn(n_classes)
    result = inferred(form(X), y, weight)
    k = n_classes - 1

    def mean(flat, value):
        x = np.column_stack([np.ones(len(y)), X])
        x[:, 3] = value
        z = np.column_stack([np.zeros(len(y)), x @ flat.reshape(k, 5).T])
        return weight @ softmax(z, axis=1) / weight.sum()

    def contrast(flat):
        high, low = mean(flat, 1.5), mean(flat, -0.5)
        if measure == "difference":
            return high - low
        return np.log(high / low) if measure == "ratio" else np.log(high / (1 - high) * (1 - low) / low)

    flat = result.params.T.ravel()
    slope = np.stack([(contrast(flat + h) - contrast(flat - h)) / 2e-6 for h in 1e-6 * np.eye(5 * k)], axis=1)
    error = np.sqrt(np.einsum("cj,jl,cl->c", slope, result.cov_params(), slope))
    found, some = result.contrast("x2", 1.5, -0.5, measure), [1] if n_classes == 2 else [0, 1, 2]
    values = contrast(flat) if measure == "difference" else np.exp(contrast(flat))
    np.testing.assert_allclose(found.estimate.ravel(), values[some], rtol=1e-9)
    np.testing.assert_allclose(found.se.ravel(), error[some], rtol=1e-6)
    low, high = found.conf_int()[0].T.reshape(2, -1)
    assert ((low < values[some]) & (values[some] < high)).all()


def test_effects_are_told():
    X, y = birthwt()
    result = inferred(X, y)
    contrast = result.contrast("smoke", 1, 0, measure="ratio")
    assert "smoke: 1 vs 0" in repr(contrast)
    assert "<table" in result.margins().summary()._repr_html_()
    assert contrast.cov_params().item() == pytest.approx(contrast.se.item() ** 2)
    assert inferred(*drawn(3)[:2]).margins().to_frame().shape == (12, 6)


def test_an_aliased_feature_has_no_effect():
    X, y, _ = drawn(2)
    result = inferred(np.column_stack([X, X[:, 0]]), y)
    assert np.isnan(result.margins().margeff[4])
    np.testing.assert_allclose(result.margins().margeff[:4], inferred(X, y).margins().margeff, rtol=1e-7)
    with pytest.raises(ValueError, match="x4 is aliased"):
        result.contrast("x4", 1, 0)


@pytest.mark.parametrize(
    ("ask", "match"),
    [
        (lambda r: r.margins(at="zero"), "at must be 'overall' or 'mean'; got 'zero'"),
        (lambda r: r.margins(at="mean", dummy=True), "dummy=True"),
        (lambda r: r.contrast("smoke", 1, 0, "product"), "measure must be one of"),
        (lambda r: r.contrast("const", 1, 0), "feature must be one of age.*got 'const'"),
        (lambda r: r.contrast("snoke", 1, 0), "'snoke' is no term"),
    ],
)
def test_effects_that_do_not_exist_are_refused(ask, match):
    with pytest.raises(ValueError, match=match):
        ask(inferred(*birthwt()))


def test_float32_and_memory_maps_have_the_effects_of_float64(tmp_path):
    X, y, _ = drawn(3)
    np.save(tmp_path / "X.npy", X)
    plain = inferred(X, y).margins()
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_allclose(inferred(mapped, y).margins().margeff_se, plain.margeff_se, rtol=1e-9)
    single = X.astype(np.float32)
    np.testing.assert_allclose(inferred(single, y).margins().margeff_se, plain.margeff_se, rtol=1e-5)
    np.testing.assert_allclose(inferred(sp.csr_array(single), y).margins().margeff_se, plain.margeff_se, rtol=1e-5)
