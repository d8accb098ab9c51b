"""Firth's bias reduction against R's logistf and brglm2, and by relations that must hold."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from births import DATA, birthwt, drawn, forms
from scipy.special import expit
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning

from gdlogit import GDLogisticRegression


def firth(X, y, weight=None, **parameters):
    """A fit with bias reduction, at default parameters."""
    return GDLogisticRegression(C=np.inf, bias_reduction="firth", **parameters).fit(X, y, weight)


def sex2():
    """The data of logistf's manual: features, labels, and how often each row occurs."""
    data = pd.read_csv(DATA / "sex2.csv")
    return data[["age", "oc", "vic", "vicl", "vis", "dia"]].astype(float), data.case, data.n


def endometrial():
    """The data of Heinze and Schemper, which NV separates."""
    data = pd.read_csv(DATA / "endometrial.csv")
    return data[["NV", "PI", "EH"]], data.HG


def theta(model):
    """The intercept and the coefficients, of more than two classes less those of the first; one class a row."""
    both = np.column_stack([model.intercept_, model.coef_])
    return both if len(both) == 1 else both[1:] - both[0]


def penalised(X, y, theta, weight=1.0):
    """L + log |I| / 2 of two classes, at a theta (p + 1,) with the intercept first; without our code."""
    x = np.column_stack([np.ones(len(y)), X])
    z = x @ theta
    p = expit(z)
    information = (x * (weight * p * (1 - p))[:, None]).T @ x
    return np.sum(weight * (y * z - np.logaddexp(0, z))) + 0.5 * np.linalg.slogdet(information)[1]


# --- R --------------------------------------------------------------------------------------------------------------


@forms
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_brglm2_is_reproduced(form, dtype):
    X, y = birthwt()
    table = pd.read_csv(DATA / "birthwt_firth.csv")
    model = firth(form(X.to_numpy(dtype)), y)
    np.testing.assert_allclose(theta(model)[0], table.coef, rtol=1e-6 if dtype == np.float64 else 1e-5)
    assert model.converged_
    assert len(model.history_) <= 11  # and one evaluation at the start: each has a Hessian and the leverages
    np.testing.assert_allclose(model.inference(form(X.to_numpy(dtype)), y).bse, table.se, rtol=1e-6)


@forms
def test_a_separated_feature_has_the_estimate_of_R(form):
    X, y = endometrial()
    model = firth(form(X.to_numpy()), y)
    np.testing.assert_allclose(theta(model)[0], [3.77455971, 2.92927335, -0.03475176, -2.60416393], rtol=1e-6)
    result = model.inference(form(X.to_numpy()), y)
    np.testing.assert_allclose(result.bse, [1.48869166, 1.55076373, 0.03957815, 0.77601764], rtol=1e-6)
    np.testing.assert_allclose(result.conf_int()[1], [0.60972, 7.85463], rtol=1e-5)
    assert result.lr_test("x0").pvalue == pytest.approx(0.0091237, rel=1e-4)
    assert result.pvalues[1] == pytest.approx(0.0091237, rel=1e-4)


def test_logistf_is_reproduced():
    X, y, weight = sex2()
    model = firth(X, y, weight)
    coef = [0.120254, -1.105981, -0.068817, 2.268875, -2.111408, -0.788317, 3.096012]
    errors = [0.485542, 0.423660, 0.443793, 0.548416, 0.543082, 0.417368, 1.675008]
    np.testing.assert_allclose(theta(model)[0], coef, atol=1e-6)
    result = model.inference(X, y, weight)
    np.testing.assert_allclose(result.bse, errors, atol=2e-6)
    np.testing.assert_allclose(result.conf_int()[6], [0.774568, 8.030294], rtol=1e-6)
    assert result.pvalues[6] == pytest.approx(0.004952, abs=5e-7)
    assert result.llf == pytest.approx(-132.53938, abs=1e-5)
    assert result.nobs == 239


def test_the_corrected_intercepts_of_R_are_reproduced():
    X, y, weight = sex2()
    flic, flac = (firth(X, y, weight, intercept_correction=name) for name in ("flic", "flac"))
    assert flic.intercept_[0] == pytest.approx(0.1315391, rel=1e-6)
    np.testing.assert_array_equal(flic.coef_, firth(X, y, weight).coef_)
    coef = [0.12226743, -1.09634, -0.06602631, 2.28220298, -2.11416934, -0.78731686, 3.18173484]
    np.testing.assert_allclose(theta(flac)[0], coef, rtol=1e-6)
    X, y = endometrial()
    assert firth(X, y, intercept_correction="flic").intercept_[0] == pytest.approx(3.78608317, rel=1e-6)


@forms
def test_brmultinom_is_reproduced_on_separated_classes(form):
    X, y = load_iris(return_X_y=True)
    table = pd.read_csv(DATA / "iris_brmultinom.csv")
    np.testing.assert_allclose(theta(firth(form(X), y)).T.ravel(), table.coef, rtol=1e-6)


# --- Relations ------------------------------------------------------------------------------------------------------


@forms
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_weight_of_two_is_the_row_twice(n_classes, form):
    X, y, weight = drawn(n_classes, n=100)
    several = np.repeat(np.arange(len(y)), weight)
    for correction in (None, "flic"):
        weighted = firth(form(X), y, weight, intercept_correction=correction)
        repeated = firth(form(X[several]), y[several], intercept_correction=correction)
        np.testing.assert_allclose(theta(weighted), theta(repeated), rtol=1e-6)


@pytest.mark.parametrize("n_classes", [3, 4])
def test_the_order_of_the_classes_does_not_matter(n_classes):
    X, y, _ = drawn(n_classes, n=60)
    model, turned = firth(X, y), firth(X, (y + 1) % n_classes)
    np.testing.assert_allclose(np.roll(model.coef_, 1, axis=0), turned.coef_, rtol=1e-5, atol=1e-6)
    results = [model.inference(X, y, reference=label) for label in (0, 1)]
    np.testing.assert_allclose(results[1].params[:, 0], -results[0].params[:, 0], rtol=1e-6)
    np.testing.assert_allclose(results[1].llf, results[0].llf)


def test_units_and_offsets_do_not_matter():
    X, y, _ = drawn(2, n=60)
    scale, offset = np.array([1e-6, 1.0, 1e3, 1e7]), np.array([0.0, 2024.0, -1e5, 0.0])
    plain, raw = firth(X, y), firth(X * scale + offset, y)
    np.testing.assert_allclose(raw.coef_ * scale, plain.coef_, rtol=1e-5)
    np.testing.assert_allclose(raw.loss_curve_[:8], plain.loss_curve_[:8], rtol=1e-6)


def test_the_penalised_likelihood_is_at_its_maximum():
    X, y, weight = drawn(2, n=60)
    top = theta(firth(X, y, weight))[0]
    value = penalised(X, y, top, weight)
    for direction in np.random.default_rng(0).standard_normal((20, 5)):
        assert penalised(X, y, top + 1e-2 * direction, weight) < value
    slope = [(penalised(X, y, top + h, weight) - penalised(X, y, top - h, weight)) / 2e-4 for h in 1e-4 * np.eye(5)]
    np.testing.assert_allclose(slope, 0, atol=1e-5)


def test_the_correction_for_two_classes_is_that_of_the_hat_values():
    X, y, _ = drawn(2, n=60)
    model = firth(X, y)
    hat, p = model.inference(X, y).hat, model.predict_proba(X)[:, 1]
    score = np.column_stack([np.ones(len(y)), X]).T @ (y - p + hat * (0.5 - p))
    np.testing.assert_allclose(score, 0, atol=1e-5)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_flic_predicts_as_many_rows_of_each_class_as_there_are(n_classes):
    X, y, weight = drawn(n_classes, n=80)
    model = firth(X, y, weight, intercept_correction="flic")
    np.testing.assert_allclose(weight @ model.predict_proba(X), np.bincount(y, weight), rtol=1e-9)


@forms
@pytest.mark.parametrize("n_classes", [2, 3])
def test_flac_is_the_maximum_for_rows_that_stand_for_the_correction(n_classes, form):
    X, y, weight = drawn(n_classes, n=80)
    model = firth(form(X), y, weight, intercept_correction="flac")
    plain = firth(X, y, weight)
    assert 0 < np.abs(model.coef_ - plain.coef_).max() < 0.2 * np.abs(plain.coef_).max()
    np.testing.assert_allclose(weight @ model.predict_proba(X), np.bincount(y, weight), rtol=0.1)


def test_inference_tests_are_those_of_the_penalised_likelihood():
    from scipy.optimize import minimize

    X, y = endometrial()
    x, result = X.to_numpy(float), firth(X, y).inference(X, y)

    def held(j, value):
        def loss(rest):
            return -penalised(x, y, np.insert(rest, j, value))

        return -minimize(loss, np.delete(result.params, j), method="BFGS", options={"gtol": 1e-8}).fun

    top = penalised(x, y, result.params)
    assert result.llf == pytest.approx(top, rel=1e-9)
    test = result.lr_test()
    for j in (1, 2, 3):
        assert test.statistic[j - 1] == pytest.approx(2 * (top - held(j, 0.0)), rel=1e-4)
        assert [2 * (top - held(j, limit)) for limit in result.conf_int()[j]] == pytest.approx(
            [3.8414588] * 2, rel=1e-4
        )
    np.testing.assert_allclose(result.conf_int(method="wald")[:, 0], result.params - 1.959963984540054 * result.bse)


def test_a_summary_has_the_tests_of_the_penalised_likelihood():
    X, y = endometrial()
    result = firth(X, y).inference(X, y)
    text = str(result.summary())
    assert "Firth" in text
    assert "P>chi2" in text
    assert list(result.to_frame(tidy=True).columns)[3:5] == ["statistic", "p.value"]
    assert np.isnan([result.aic, result.bic, result.prsquared]).all()
    assert result.predict(X[:3]).probability == pytest.approx(firth(X, y).predict_proba(X[:3])[:, 1], rel=1e-6)
    assert result.margins().margeff.shape == (3,)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("correction", [None, "flic", "flac"])
def test_an_offset_in_the_span_of_the_features_moves_their_coefficients_alone(n_classes, correction):
    X, y, weight = drawn(n_classes, n=100)
    k = 1 if n_classes == 2 else n_classes
    known = np.random.default_rng(0).standard_normal((4, k))
    known -= known.mean(axis=1, keepdims=True) if k > 1 else 0
    model = GDLogisticRegression(C=np.inf, bias_reduction="firth", intercept_correction=correction)
    plain = firth(X, y, weight, intercept_correction=correction)
    moved = model.fit(X, y, weight, offset=X @ known)
    np.testing.assert_allclose(moved.coef_ + known.T, plain.coef_, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(moved.intercept_ - moved.intercept_.mean() * (k > 1), plain.intercept_, rtol=1e-5)
    if correction is None:
        theirs, ours = plain.inference(X, y, weight), moved.inference(X, y, weight, offset=X @ known)
        np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-5)
        assert ours.llf == pytest.approx(theirs.llf)


# --- The estimator --------------------------------------------------------------------------------------------------


def test_the_warning_of_separation_names_the_remedy_that_works():
    X, y = endometrial()
    with pytest.warns(ConvergenceWarning, match=r"along \+1 NV.*bias_reduction='firth'"):
        GDLogisticRegression(C=np.inf).fit(X, y)
    assert np.abs(firth(X, y).coef_).max() < 5


def test_collinear_features_are_left_at_zero_and_said_so():
    X, y = endometrial()
    X = X.assign(twice=2 * X.PI, sum=X.EH + X.NV)
    with pytest.warns(ConvergenceWarning, match="twice, sum are linear functions of the features before"):
        model = firth(X, y)
    np.testing.assert_array_equal(model.coef_[0, 3:], 0)
    np.testing.assert_allclose(model.coef_[0, :3], firth(*endometrial()).coef_[0], rtol=1e-6)
    result = model.inference(X, y)
    assert result.aliased == ("twice", "sum")
    assert np.isnan(result.pvalues[4:]).all()


def test_fits_in_batches_are_those_of_all_rows():
    X, y = birthwt()
    X, y = X.to_numpy(), y.to_numpy()
    model = GDLogisticRegression(C=np.inf, bias_reduction="firth").fit_batches([(X[:100], y[:100]), (X[100:], y[100:])])
    np.testing.assert_allclose(model.coef_, firth(X, y).coef_, rtol=1e-8)
    with pytest.raises(ValueError, match="'flac' copies all rows"):
        model.set_params(intercept_correction="flac").fit_batches([(X, y)])


def test_a_fit_has_a_history_and_callbacks_and_held_out_rows():
    X, y = birthwt()
    model = GDLogisticRegression(C=np.inf, bias_reduction="firth", verbose=0).fit(X, y, X_val=X, y_val=y)
    assert (np.diff(model.loss_curve_) <= 1e-15).all()
    assert (model.loss_curve_ > 0).all()
    assert len(model.validation_loss_curve_) == model.n_iter_[0]
    assert model.duality_gap_ == np.inf


def test_a_warm_start_takes_fewer_steps():
    X, y = birthwt()
    model = firth(X, y, warm_start=True)
    assert model.fit(X, y).n_iter_[0] < 4


def test_a_fit_that_is_stopped_early_warns():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="max_iter=3"):
        firth(X, y, max_iter=3)


def test_other_rows_are_refused():
    X, y = birthwt()
    model = firth(X, y)
    with pytest.raises(ValueError, match="not the rows"):
        model.inference(X, 1 - y)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"bias_reduction": "jeffreys"}, "bias_reduction must be 'firth' or None; got 'jeffreys'"),
        ({"bias_reduction": "firth", "C": 1.0}, "needs C=inf; got 1.0"),
        ({"bias_reduction": "firth", "l1_ratio": 0.5}, "needs l1_ratio=0; got 0.5"),
        ({"bias_reduction": "firth", "early_stopping": True}, "needs early_stopping=False"),
        ({"bias_reduction": "firth", "penalty_factor": [1.0] * 9}, "needs penalty_factor=None"),
        ({"bias_reduction": "firth", "solver": "gd"}, "solver must be 'auto'; got 'gd'"),
        ({"bias_reduction": "firth", "intercept_correction": "flak"}, "must be 'flic', 'flac' or None; got 'flak'"),
        (
            {"bias_reduction": "firth", "intercept_correction": "flic", "fit_intercept": False},
            "needs fit_intercept=True",
        ),
        ({"intercept_correction": "flic"}, "corrects the intercept of bias_reduction='firth'"),
    ],
)
def test_parameters_that_do_not_go_together_are_named(parameters, match):
    X, y = birthwt()
    with pytest.raises(ValueError, match=match):
        GDLogisticRegression(**{"C": np.inf} | parameters).fit(X, y)


@pytest.mark.parametrize("asked", [{"cov_type": "HC0"}, {"weights": "sampling"}, {"method": "debiased"}])
def test_other_kinds_of_inference_are_refused(asked):
    X, y = birthwt()
    with pytest.raises(ValueError, match="has its own tests and intervals"):
        firth(X, y).inference(X, y, **asked)
    with pytest.raises(ValueError, match="intercept_correction='flic' is for predictions"):
        firth(X, y, intercept_correction="flic").inference(X, y)


def test_a_stream_has_no_bias_reduction():
    assert not hasattr(GDLogisticRegression(C=np.inf, bias_reduction="firth"), "partial_fit")


def test_too_many_parameters_are_named():
    X = sp.random_array((50, 1600), density=0.01, format="csr", random_state=np.random.default_rng(0))
    with pytest.raises(ValueError, match="at most 1500 parameters; the model has 1601"):
        firth(X, np.arange(50) % 2)


def test_tol_is_kept_where_J_no_longer_shows_the_excess():
    X, y = load_iris(return_X_y=True)
    rough, exact = (GDLogisticRegression(C=np.inf, bias_reduction="firth", tol=tol).fit(X, y) for tol in (1e-12, 1e-14))
    assert exact.n_iter_[0] > rough.n_iter_[0]
    np.testing.assert_allclose(rough.coef_, exact.coef_, rtol=1e-6)
