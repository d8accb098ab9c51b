"""R's glm, sandwich, multinom and brglm2 on two more data sets: every number of ``inference`` at default parameters."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gdlogit import GDLogisticRegression

DATA = Path(__file__).parent / "data"
TABLE = pd.read_csv(DATA / "glm.csv")
CARS = pd.read_csv(DATA / "cars.csv")
PEOPLE = pd.read_csv(DATA / "titanic.csv").astype(float)  # counts of people, which are frequency weights


def case_of(case):
    """X, y, weights and groups of a case of ``glm.R``."""
    match case:
        case "transmission":
            return CARS[["wt"]], CARS.am, None, CARS.cyl
        case "engine":
            return CARS[["mpg", "gear"]], CARS.vs, None, CARS.cyl
        case "titanic":
            X = PEOPLE[["second", "third", "crew", "female", "child"]]
            return X, PEOPLE.survived, PEOPLE.n, X.second + 2 * X.third + 3 * X.crew
        case "gears":
            return CARS[["mpg"]], CARS.gear, None, None


def theirs(case, what):
    return TABLE[(TABLE.case == case) & (TABLE.what == what)].value.to_numpy()


def inferred(case, **asked):
    X, y, weight, groups = case_of(case)
    asked |= {"groups": groups} if asked.get("cov_type") == "cluster" else {}
    return GDLogisticRegression(C=np.inf, random_state=0).fit(X, y, weight).inference(X, y, weight, **asked)


two_classes = pytest.mark.parametrize("case", ["transmission", "engine", "titanic"])


@two_classes
def test_the_table_is_that_of_glm(case):
    result = inferred(case)
    np.testing.assert_allclose(result.params, theirs(case, "coef"), rtol=1e-6)
    np.testing.assert_allclose(result.bse, theirs(case, "se"), rtol=1e-6)
    np.testing.assert_allclose(result.zvalues, theirs(case, "z"), rtol=1e-6)
    np.testing.assert_allclose(result.pvalues, theirs(case, "p"), rtol=1e-6)
    facts = np.append(result.llf, [result.aic, result.bic])
    np.testing.assert_allclose(facts, [theirs(case, name)[0] for name in ("logLik", "AIC", "BIC")], rtol=1e-9)


@two_classes
@pytest.mark.parametrize("cov_type", ["HC0", "HC1", "HC2", "HC3", "cluster"])
def test_robust_errors_are_those_of_sandwich(case, cov_type):
    np.testing.assert_allclose(inferred(case, cov_type=cov_type).bse, theirs(case, cov_type), rtol=1e-6)


@two_classes
def test_profile_limits_are_those_of_confint(case):
    limits, error = np.asarray(inferred(case).conf_int(method="profile")), theirs(case, "se")
    for ours, side in zip(limits.T, ("low", "high"), strict=True):
        assert (np.abs(ours - theirs(case, side)) < 1e-3 * error).all()  # R interpolates: up to 7e-4 errors off


@two_classes
def test_predictions_are_those_of_glm(case):
    X, _, weight, _ = case_of(case)
    first = X.loc[np.repeat(X.index, 1 if weight is None else weight.astype(int))][:3]
    predicted = inferred(case).predict(first)
    np.testing.assert_allclose(predicted.linear, theirs(case, "linear"), rtol=1e-6)
    np.testing.assert_allclose(predicted.se_linear, theirs(case, "se_linear"), rtol=1e-6)


@two_classes
def test_firths_coefficients_are_those_of_brglm2(case):
    X, y, weight, _ = case_of(case)
    model = GDLogisticRegression(C=np.inf, bias_reduction="firth", tol=1e-12).fit(X, y, weight)
    np.testing.assert_allclose([*model.intercept_, *model.coef_[0]], theirs(case, "firth"), rtol=1e-6)


def test_three_classes_have_the_table_of_multinom():
    result = inferred("gears")
    for c, gears in enumerate((4, 5)):
        np.testing.assert_allclose(result.params[:, c], theirs("gears", f"coef {gears}"), rtol=1e-6)
        np.testing.assert_allclose(result.bse[:, c], theirs("gears", f"se {gears}"), rtol=1e-6)
    assert result.llf == pytest.approx(theirs("gears", "logLik")[0], rel=1e-9)


def test_firths_coefficients_of_three_classes_are_those_of_brmultinom():
    X, y, *_ = case_of("gears")
    model = GDLogisticRegression(C=np.inf, bias_reduction="firth", tol=1e-12).fit(X, y)
    theta = np.vstack([model.intercept_, model.coef_.T])
    for c, gears in enumerate((4, 5), 1):
        np.testing.assert_allclose(theta[:, c] - theta[:, 0], theirs("gears", f"firth {gears}"), rtol=1e-6)
