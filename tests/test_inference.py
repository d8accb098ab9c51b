"""Inference against R's tables, against statsmodels, and by relations that must hold."""

import pickle

import numpy as np
import pandas as pd
import pytest
from births import COVARIANCES, DATA, R, birthwt, drawn, fitted, forms, inferred, logit, mnlogit
from sklearn.compose import make_column_transformer
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import gdlogit
from gdlogit import GDLogisticRegression

# --- R --------------------------------------------------------------------------------------------------------------


@forms
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_table_of_R_is_reproduced(form, dtype):
    X, y = birthwt()
    result = inferred(form(X.to_numpy(dtype)), y)
    for ours, column in ((result.params, "coef"), (result.bse, "se"), (result.zvalues, "z"), (result.pvalues, "p")):
        np.testing.assert_allclose(ours, R[column], rtol=1e-7)
    np.testing.assert_allclose(result.conf_int(), R[["wlo", "whi"]], rtol=1e-6)


@forms
@pytest.mark.parametrize("cov_type", COVARIANCES)
def test_the_robust_errors_of_R_are_reproduced(form, cov_type):
    X, y = birthwt()
    groups = X.age if cov_type == "cluster" else None
    result = inferred(form(X.to_numpy()), y, cov_type=cov_type, groups=groups)
    np.testing.assert_allclose(result.bse, R[{"nonrobust": "se", "cluster": "CL1"}.get(cov_type, cov_type)], rtol=1e-7)


def test_the_summary_numbers_of_R_are_reproduced():
    result = inferred(*birthwt())
    assert result.llf == pytest.approx(-100.642397528, rel=1e-10)
    assert (result.aic, result.bic) == pytest.approx((221.284795056, 253.702265206), rel=1e-10)
    assert result.prsquared == pytest.approx(0.142271773705, rel=1e-9)
    assert (result.llr, result.llr_pvalue) == pytest.approx((33.38720, 1.143272e-4), rel=1e-6)
    assert (result.nobs, result.df_model, result.df_resid, result.rank) == (189, 9, 179, 10)


# --- statsmodels ----------------------------------------------------------------------------------------------------


@forms
@pytest.mark.parametrize("cov_type", ["nonrobust", "HC0"])
def test_mnlogit_agrees(form, cov_type):
    X, y, _ = drawn(4)
    theirs, ours = mnlogit(X, y, cov_type=cov_type), inferred(form(X), y, cov_type=cov_type)
    np.testing.assert_allclose(ours.params, theirs.params, rtol=1e-9)
    np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-9)
    np.testing.assert_allclose(ours.cov_params(), theirs.cov_params(), rtol=1e-7, atol=1e-12)
    names = ("llf", "llnull", "llr", "llr_pvalue", "aic", "bic", "prsquared", "nobs", "df_model", "df_resid")
    assert [getattr(ours, name) for name in names] == pytest.approx([getattr(theirs, name) for name in names], rel=1e-9)


def test_logit_agrees_with_clusters():
    X, y, groups = drawn(2)
    theirs = logit(X, y, cov_type="cluster", cov_kwds={"groups": groups})
    np.testing.assert_allclose(inferred(X, y, cov_type="cluster", groups=groups).bse, theirs.bse, rtol=1e-9)


def test_diagnostics_of_rows_agree_with_statsmodels():
    X, y, _ = drawn(2)
    theirs, ours = logit(X, y), inferred(X, y)
    influence = theirs.get_influence()
    np.testing.assert_allclose(ours.hat, influence.hat_matrix_diag, rtol=1e-9)
    np.testing.assert_allclose(ours.cooks_distance, influence.cooks_distance[0], rtol=1e-9)
    np.testing.assert_allclose(ours.resid_deviance, theirs.resid_dev, rtol=1e-9)
    np.testing.assert_allclose(ours.resid_pearson, theirs.resid_pearson, rtol=1e-9)


def test_a_wald_test_agrees_with_statsmodels():
    X, y, _ = drawn(2)
    theirs, ours = logit(X, y).wald_test(np.eye(5)[[1, 3]], scalar=True), inferred(X, y)
    for test in (ours.wald_test(["x0", "x2"]), ours.wald_test(np.eye(5)[[1, 3]])):
        assert (test.statistic, test.df, test.pvalue) == pytest.approx((theirs.statistic, 2, theirs.pvalue), rel=1e-9)
    assert ours.wald_test("x1").statistic == pytest.approx(ours.zvalues[2] ** 2)


# --- Relations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cov_type", COVARIANCES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_weight_of_two_is_the_row_twice(n_classes, cov_type):
    X, y, weight = drawn(n_classes)
    groups = np.arange(len(y)) // 7
    several = np.repeat(np.arange(len(y)), weight)
    weighted = inferred(X, y, weight, cov_type=cov_type, groups=groups if cov_type == "cluster" else None)
    repeated = inferred(
        X[several], y[several], cov_type=cov_type, groups=groups[several] if cov_type == "cluster" else None
    )
    np.testing.assert_allclose(weighted.params, repeated.params, rtol=1e-8)
    np.testing.assert_allclose(weighted.cov_params(), repeated.cov_params(), rtol=1e-7, atol=1e-12)
    assert [weighted.nobs, weighted.llf, weighted.bic] == pytest.approx([repeated.nobs, repeated.llf, repeated.bic])
    np.testing.assert_allclose(weighted.hat[several], repeated.hat, rtol=1e-7)


@pytest.mark.parametrize("cov_type", ["HC0", "HC1", "HC2", "HC3"])
def test_sampling_weights_may_have_any_unit(cov_type):
    X, y, weight = drawn(3)
    one, other = (inferred(X, y, unit * weight, weights="sampling", cov_type=cov_type) for unit in (1, 1e3))
    np.testing.assert_allclose(one.cov_params(), other.cov_params(), rtol=1e-7, atol=1e-12)
    assert one.nobs == other.nobs == np.count_nonzero(weight)
    assert np.isnan([one.llr, one.aic, one.bic, one.llr_pvalue]).all()


def test_equal_sampling_weights_give_the_robust_errors():
    X, y, _ = drawn(2)
    weighted = inferred(X, y, np.full(len(y), 3.0), weights="sampling")
    assert weighted.cov_type == "HC0"
    np.testing.assert_allclose(weighted.bse, inferred(X, y, cov_type="HC0").bse, rtol=1e-8)


@pytest.mark.parametrize("cov_type", ["nonrobust", "HC0", "HC2", "HC3"])
def test_another_reference_class_is_another_view_of_the_same_model(cov_type):
    X, y, _ = drawn(4)
    model = fitted(X, y)
    first, last = (model.inference(X, y, cov_type=cov_type, reference=label) for label in (0, 3))
    np.testing.assert_allclose(last.params[:, 0], -first.params[:, 2], rtol=1e-10)
    np.testing.assert_allclose(last.bse[:, 0], first.bse[:, 2], rtol=1e-8)
    np.testing.assert_allclose(last.params[:, 1], first.params[:, 0] - first.params[:, 2], rtol=1e-8)
    assert (last.reference, last.classes, last.llf) == (3, (0, 1, 2), pytest.approx(first.llf))
    np.testing.assert_allclose(last.hat, first.hat, rtol=1e-8)
    np.testing.assert_allclose(last.cooks_distance, first.cooks_distance, rtol=1e-8)


def test_the_second_class_as_reference_turns_the_signs():
    X, y = birthwt()
    result = inferred(X, y, reference=1)
    np.testing.assert_allclose(result.params, -R.coef, rtol=1e-8)
    np.testing.assert_allclose(result.bse, R.se, rtol=1e-7)


def test_two_classes_as_a_softmax_would_have_the_same_robust_errors():
    X, y, _ = drawn(3)
    y = np.minimum(y, 1)
    two, also = inferred(X, y, cov_type="HC2"), inferred(X, y, cov_type="HC2", reference=1)
    np.testing.assert_allclose(two.bse, also.bse, rtol=1e-10)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_units_and_offsets_do_not_matter(n_classes):
    X, y, _ = drawn(n_classes)
    scale, offset = np.array([1e-6, 1.0, 1e3, 1e7]), np.array([0.0, 2024.0, -1e5, 0.0])
    plain, raw = inferred(X, y), inferred(X * scale + offset, y)
    np.testing.assert_allclose(raw.zvalues[1:], plain.zvalues[1:], rtol=1e-6)
    np.testing.assert_allclose(raw.hat, plain.hat, rtol=1e-6)


def test_leverages_add_up_to_the_rank():
    X, y, weight = drawn(3)
    assert inferred(X, y, weight).hat @ weight == pytest.approx(10)
    assert inferred(X, y, weight, weights="sampling").hat.sum() == pytest.approx(10)


def test_deviance_residuals_add_up_to_the_deviance():
    for n_classes in (2, 3):
        X, y, _ = drawn(n_classes)
        result = inferred(X, y)
        assert np.sum(result.resid_deviance**2) == pytest.approx(-2 * result.llf)


def test_cooks_distance_is_near_the_move_without_the_row():
    X, y, _ = drawn(3, n=1000)
    result = inferred(X, y)
    row = result.cooks_distance.argmax()
    without = inferred(np.delete(X, row, 0), np.delete(y, row))
    move = (result.params - without.params).T.ravel()
    exact = move @ np.linalg.solve(result.cov_params(), move) / result.rank
    assert result.cooks_distance[row] == pytest.approx(exact, rel=0.1)


def test_without_an_intercept_there_is_no_const():
    X, y, _ = drawn(2)
    sm = pytest.importorskip("statsmodels.api")
    theirs, ours = sm.Logit(y, X).fit(disp=False, tol=1e-12), inferred(X, y, fit={"fit_intercept": False})
    assert ours.names == ("x0", "x1", "x2", "x3")
    np.testing.assert_allclose(ours.params, theirs.params, rtol=1e-8)
    np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-8)
    assert ours.llnull == pytest.approx(-len(y) * np.log(2))
    assert ours.df_model == 4


# --- Offsets --------------------------------------------------------------------------------------------------------


@forms
def test_the_offset_of_R_is_reproduced(form):
    X, y = birthwt()
    table = pd.read_csv(DATA / "birthwt_offset.csv")
    offset = 0.01 * X.lwt.to_numpy() - 1
    X = form(X[["age", "smoke"]].to_numpy())
    model = GDLogisticRegression(C=np.inf, random_state=0).fit(X, y, offset=offset)
    result = model.inference(X, y, offset=offset)
    np.testing.assert_allclose(result.params, table.coef, rtol=1e-7)
    np.testing.assert_allclose(result.bse, table.se, rtol=1e-7)
    with pytest.raises(ValueError, match="offset is missing"):
        model.inference(X, y)
    with pytest.raises(ValueError, match="offset is missing"):
        result.predict(X)


def with_known_effect(n_classes, seed=3):
    """Data, and an offset that is an effect of a further feature."""
    X, y, weight = drawn(n_classes, seed=seed)
    k = 1 if n_classes == 2 else n_classes
    known = np.random.default_rng(seed).standard_normal(k)
    return X, y, weight, np.outer(X[:, 3], known)


@pytest.mark.parametrize("reference", [0, 1])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_offset_is_a_feature_whose_coefficient_is_known(n_classes, reference):
    X, y, weight, offset = with_known_effect(n_classes)
    z = offset if n_classes == 2 else offset - offset[:, :1]
    model = GDLogisticRegression(C=np.inf, random_state=0).fit(X[:, :3], y, weight, offset=offset)
    result = model.inference(X[:, :3], y, weight, offset=offset, reference=reference)
    x = np.column_stack([np.ones(len(y)), X[:, :3]])
    p = model.predict_proba(X[:, :3], offset=offset)
    others = [c for c in range(n_classes) if c != reference]
    B = np.einsum("ic,cd->icd", p, np.eye(n_classes)) - p[:, :, None] * p[:, None]
    B = B[:, others][:, :, others]
    k = len(others)
    information = np.einsum("i,ij,il,icd->cjdl", weight, x, x, B).reshape(4 * k, 4 * k)
    np.testing.assert_allclose(result.cov_params(), np.linalg.inv(information), rtol=1e-5, atol=1e-9)
    assert result.llf == pytest.approx(np.sum(weight * np.log(p[np.arange(len(y)), y])))
    prediction = result.predict(X[:5, :3], offset=offset[:5])
    expected = p[:5, others[0]] if n_classes == 2 else p[:5]
    np.testing.assert_allclose(prediction.probability, expected, rtol=1e-6)
    assert z.shape[1] == offset.shape[1]


@pytest.mark.parametrize("n_classes", [2, 3])
def test_tests_with_an_offset_are_those_of_refits(n_classes):
    X, y, weight, offset = with_known_effect(n_classes)
    fit = GDLogisticRegression(C=np.inf, random_state=0, tol=1e-14)
    result = fit.fit(X[:, :3], y, weight, offset=offset).inference(X[:, :3], y, weight, offset=offset)

    def loglik(some):
        return -fit.fit(X[:, some], y, weight, offset=offset).loss_curve_[-1] * weight.sum()

    full = loglik([0, 1, 2])
    refits = [2 * (full - loglik(some)) for some in ([1, 2], [0, 2], [0, 1])]
    np.testing.assert_allclose(result.lr_test().statistic, refits, rtol=1e-6)
    constant = np.zeros((len(y), 1))
    null = -fit.fit(constant, y, weight, offset=offset).loss_curve_[-1] * weight.sum()
    assert result.llnull == pytest.approx(null, rel=1e-9)
    limits = result.conf_int(method="profile")
    assert ((limits[..., 0] < result.params) & (result.params < limits[..., 1])).all()
    with pytest.raises(ValueError, match="at='mean'"):
        result.margins(at="mean")


# --- Aliased features -----------------------------------------------------------------------------------------------


@forms
@pytest.mark.parametrize("n_classes", [2, 3])
def test_aliased_features_have_no_estimate_and_the_others_are_right(n_classes, form):
    X, y, _ = drawn(n_classes)
    more = np.column_stack([X[:, :2], np.full(len(y), 7.0), X[:, 2:], X[:, 0], X[:, 1] - 2 * X[:, 3] + 5])
    plain, result = inferred(X, y), inferred(form(more), y)
    kept = [0, 1, 2, 4, 5]
    np.testing.assert_allclose(result.params[kept], plain.params, rtol=1e-7)
    np.testing.assert_allclose(result.bse[kept], plain.bse, rtol=1e-7)
    assert np.isnan(result.params[[3, 6, 7]]).all()
    assert np.isnan(result.bse[[3, 6, 7]]).all()
    assert np.isnan(result.conf_int()[[3, 6, 7]]).all()
    assert {name.rpartition(":")[2] for name in result.aliased} == {"x2", "x5", "x6"}
    assert (result.rank, result.llf) == (plain.rank, pytest.approx(plain.llf))
    assert "x5" in str(result.summary())
    with pytest.raises(ValueError, match="no estimate.*x5"):
        result.wald_test(["x5"])


def test_all_levels_of_a_category_alias_the_last():
    X, y = birthwt()
    full = X.assign(race1=1 - X.race2 - X.race3)
    result = inferred(full, y)
    assert result.aliased == ("race1",)
    np.testing.assert_allclose(result.bse[:-1], R.se, rtol=1e-7)


# --- Names and Pipelines --------------------------------------------------------------------------------------------


def test_names_come_from_the_data_frame():
    X, y = birthwt()
    assert inferred(X, y).names == ("const", *X.columns)
    assert inferred(X.to_numpy(), y).names[:2] == ("const", "x0")
    assert inferred(X.rename(columns={"age": "const"}), y).names[:2] == ("(Intercept)", "const")


def test_a_pipeline_has_the_names_of_its_output():
    data = pd.read_csv(DATA / "lowbwt.csv")
    encoder = make_column_transformer((OneHotEncoder(drop=["white"]), ["race"]), remainder="passthrough")
    pipeline = make_pipeline(encoder, GDLogisticRegression(C=np.inf)).fit(data.drop(columns="low"), data.low)
    result = gdlogit.inference(pipeline, data.drop(columns="low"), data.low)
    errors = dict(zip(result.names, result.bse, strict=True))
    assert errors["onehotencoder__race_black"] == pytest.approx(R.se[3], rel=1e-7)
    assert errors["remainder__smoke"] == pytest.approx(R.se[5], rel=1e-7)


def test_a_search_gives_the_model_that_it_found():
    X, y = birthwt()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), GDLogisticRegression(C=np.inf)), {"standardscaler": ["passthrough"]}
    )
    result = gdlogit.inference(search.fit(X, y), X, y)
    np.testing.assert_allclose(result.bse, R.se, rtol=1e-7)


def test_a_model_goes_in_as_it_is():
    X, y = birthwt()
    np.testing.assert_array_equal(gdlogit.inference(fitted(X, y), X, y).bse, inferred(X, y).bse)


def test_labels_may_be_of_any_kind():
    X, y = birthwt()
    result = inferred(X, np.where(y, "low", "normal"), reference="normal")
    np.testing.assert_allclose(result.params, R.coef, rtol=1e-8)
    assert (result.classes, result.reference) == (("low",), "normal")


def test_a_result_is_pickled():
    X, y = birthwt()
    result = pickle.loads(pickle.dumps(inferred(X, y)))
    np.testing.assert_allclose(result.bse, R.se, rtol=1e-7)
    assert result.hat.sum() == pytest.approx(10)


def test_a_sparsified_model_has_inference():
    X, y = birthwt()
    np.testing.assert_allclose(fitted(X, y).sparsify().inference(X, y).bse, R.se, rtol=1e-7)


def test_the_result_of_fit_batches_has_inference():
    X, y = birthwt()
    X, y = X.to_numpy(), y.to_numpy()
    model = GDLogisticRegression(C=np.inf).fit_batches([(X[:100], y[:100]), (X[100:], y[100:])])
    np.testing.assert_allclose(model.inference(X, y).bse, R.se, rtol=1e-7)


# --- Tables ---------------------------------------------------------------------------------------------------------


def test_the_summary_has_statsmodels_layout():
    X, y = birthwt()
    text = str(inferred(X, y).summary())
    for part in (
        "Logit Regression Results",
        "No. Observations:                  189",
        "Df Residuals:",
        "Log-Likelihood:",
    ):
        assert part in text
    assert "smoke            0.9388     0.4022     2.3345      0.020     0.1506     1.7271" in text
    assert "[0.05" in str(inferred(X, y).summary(alpha=0.1))


def test_the_summary_of_several_classes_has_a_part_for_each():
    X, y, _ = drawn(3)
    text = str(inferred(X, y).summary())
    assert "MNLogit" in text
    assert text.index("y=1") < text.index("y=2")


def test_the_summary_in_a_notebook_is_html_with_escaped_names():
    X, y = birthwt()
    html = inferred(X.rename(columns={"age": "<age>"}), y).summary()._repr_html_()
    assert "&lt;age&gt;" in html
    assert "<age>" not in html
    assert html.count("<table") == html.count("</table>") == 2


def test_frames_have_the_names_of_statsmodels_or_of_broom():
    X, y = birthwt()
    result = inferred(X, y)
    frame = result.to_frame()
    assert list(frame.columns) == ["coef", "std err", "z", "P>|z|", "[0.025", "0.975]"]
    assert frame.loc["smoke", "std err"] == pytest.approx(0.4021541, rel=1e-6)
    tidy = result.to_frame(tidy=True, exponentiate=True, conf_level=0.9)
    names = ["term", "estimate", "std.error", "statistic", "p.value", "conf.low", "conf.high"]
    assert list(tidy.columns) == names
    np.testing.assert_allclose(np.log(tidy["conf.low"]), result.conf_int(alpha=0.1)[:, 0])
    assert list(result.odds_ratios().columns) == ["odds ratio", "[0.025", "0.975]"]
    assert "const" not in result.odds_ratios().index


def test_frames_of_several_classes_name_the_class():
    X, y, _ = drawn(3)
    result = inferred(X, y)
    assert result.to_frame().loc[(2, "x1"), "coef"] == result.params[2, 1]
    assert list(result.to_frame(tidy=True)["y.level"].unique()) == [1, 2]
    assert len(result.odds_ratios()) == 8
