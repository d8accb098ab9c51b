"""R's glmnet has the same minima and the same cross-validation.

The minima have penalties, offsets, penalty factors, bounds and counts, alone and together.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import PredefinedSplit
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression, GDLogisticRegressionCV

DATA = Path(__file__).parent / "data"
TABLE = pd.read_csv(DATA / "glmnet.csv")
CROSS_VALIDATIONS = pd.read_csv(DATA / "cv_glmnet.csv")
FACTORS = np.array([0, 2, 1, 1, 0.5, 3, 1, 0.25, 1])
EYES, SEXES = ("Brown", "Blue", "Hazel", "Green"), ("Male", "Female")
HAIR = np.array(  # black, brown, red, blond: Snee, "Graphical display of two-way contingency tables" (1974)
    [[32, 53, 10, 3], [11, 50, 10, 30], [10, 25, 7, 5], [3, 15, 7, 8]]  # men by eye colour
    + [[36, 66, 16, 4], [9, 34, 7, 64], [5, 29, 7, 5], [2, 14, 7, 8]]
)


def as_glmnet(factors):
    """Factors as glmnet rescales them: to a mean of 1, in which a feature that is left out counts as a 1."""
    counted = np.where(np.isinf(factors), 1.0, factors)
    return np.asarray(factors) * len(factors) / counted.sum()


def births():
    data = pd.read_csv(DATA / "lowbwt.csv")
    data = data.assign(race2=data.race == "black", race3=data.race == "other")
    X = data[["age", "lwt", "race2", "race3", "smoke", "ptl", "ht", "ui", "ftv"]].astype(float)
    return X, data.low, np.sqrt(data.age) - 5, 1.0 + data.ftv


def fitted(case, lambda_, alpha):
    """The model of a case of ``glmnet.R``, with glmnet's lambda and alpha."""
    X, low, offset, weight = births()
    flowers, species = load_iris(return_X_y=True)
    eyes = np.array([[eye == other for other in EYES[1:]] + [sex == "Female"] for sex in SEXES for eye in EYES])

    def model(total, **parameters):
        how = {"C": 1 / (total * lambda_), "l1_ratio": alpha, "tol": 1e-14, "random_state": 0}
        return GDLogisticRegression(**how, **parameters)

    match case:
        case "penalty":
            return model(len(X)).fit(X, low)
        case "standardized":
            scaler = StandardScaler().fit(X)
            fit = model(len(X)).fit(scaler.transform(X), low)
            fit.coef_ = fit.coef_ / scaler.scale_
            fit.intercept_ = fit.intercept_ - fit.coef_ @ scaler.mean_
            return fit
        case "offset":
            return model(len(X)).fit(X, low, offset=offset)
        case "factors":
            return model(len(X), penalty_factor=as_glmnet(FACTORS)).fit(X, low)
        case "bounds":
            return model(len(X), coef_bounds=(-0.01, 0.5)).fit(X, low)
        case "all together":
            factors = FACTORS.copy()
            factors[[2, 8]] = np.inf
            bounds = np.array([-1.0, *np.zeros(8)]), np.full(9, 0.4)
            fit = model(weight.sum(), penalty_factor=as_glmnet(factors), coef_bounds=bounds)
            return fit.fit(X, low, weight, offset=offset)
        case "flowers":
            return model(150).fit(flowers, species)
        case "flowers with an offset":
            return model(150).fit(flowers, species, offset=np.log(flowers[:, :3]))
        case "flowers with all":
            fit = model(150, penalty_factor=as_glmnet([1, 3, 0.5, 1]), coef_bounds=(-1, 0.75))
            return fit.fit(flowers, species, offset=np.log(flowers[:, :3]))
        case "hair":
            return model(HAIR.sum(), penalty_factor=as_glmnet([1, 1, 2, 0])).fit_proba(eyes, HAIR)


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
@pytest.mark.parametrize("case", TABLE.case.unique())
def test_the_coefficients_are_glmnets(case, alpha):
    rows = TABLE[(TABLE.case == case) & (TABLE.alpha == alpha)]
    theirs = rows.pivot(index="class", columns="term", values="coef")[rows.term.unique()].to_numpy()
    model = fitted(case, rows["lambda"].iloc[0], alpha)
    np.testing.assert_allclose(model.coef_, theirs[:, 1:], atol=1e-7)
    intercept = theirs[:, 0] - (theirs[:, 0].mean() if len(theirs) > 1 else 0)  # any constant is the same softmax
    np.testing.assert_allclose(model.intercept_, intercept, atol=1e-7)
    assert model.converged_


@pytest.mark.parametrize("alpha", [0, 0.5, 1])
def test_the_cross_validation_is_that_of_cv_glmnet(alpha):
    """With folds of equal size, one lambda is one C in every fold. The deviance is twice the log-loss."""
    X, low, *_ = births()
    theirs = CROSS_VALIDATIONS[CROSS_VALIDATIONS.alpha == alpha]
    Cs = 1 / (len(X) * 8 / 9 * theirs["lambda"].to_numpy())
    folds = PredefinedSplit(np.tile(np.arange(9), 21))
    model = GDLogisticRegressionCV(Cs=Cs, l1_ratios=[alpha], cv=folds, random_state=0).fit(X, low)
    np.testing.assert_allclose(-2 * model.cv_results_["mean_test_score"], theirs.deviance, atol=2e-6)
    np.testing.assert_allclose(2 * model.cv_results_["se_test_score"], theirs.error, atol=2e-6)
    assert model.C_best_ == Cs[theirs.best][0]
    assert model.C_1se_ == Cs[theirs.one_error][0]
