"""Data and fits of the tests of inference."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from gdlogit import GDLogisticRegression

DATA = Path(__file__).parent / "data"
R = pd.read_csv(DATA / "birthwt_glm.csv")
COVARIANCES = ("nonrobust", "HC0", "HC1", "HC2", "HC3", "cluster")
forms = pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "CSR"])


def birthwt():
    """The data of R's tables."""
    data = pd.read_csv(DATA / "lowbwt.csv")
    data = data.assign(race2=data.race == "black", race3=data.race == "other")
    return data[["age", "lwt", "race2", "race3", "smoke", "ptl", "ht", "ui", "ftv"]].astype(float), data.low


def fitted(X, y, weight=None, **parameters):
    """A fit without a penalty, at default parameters."""
    return GDLogisticRegression(**{"C": np.inf, "random_state": 0} | parameters).fit(X, y, weight)


def inferred(X, y, weight=None, fit=None, **asked):
    """Fit and inference."""
    return fitted(X, y, weight, **fit or {}).inference(X, y, weight, **asked)


def drawn(n_classes, n=400, seed=0):
    """Four correlated features, labels of a logistic model, and whole weights from 0 to 3."""
    rng = np.random.default_rng((seed, n_classes))
    X = rng.standard_normal((n, 4)) @ rng.standard_normal((4, 4))
    y = (X @ rng.standard_normal((4, n_classes)) / 2 + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    return X, y, rng.integers(0, 4, n)


def mnlogit(X, y, **options):
    """The same model by statsmodels."""
    sm = pytest.importorskip("statsmodels.api")
    return sm.MNLogit(y, sm.add_constant(X)).fit(disp=False, method="newton", tol=1e-14, **options)


def logit(X, y, **options):
    """The same model by statsmodels."""
    sm = pytest.importorskip("statsmodels.api")
    return sm.Logit(y, sm.add_constant(X)).fit(disp=False, tol=1e-12, **options)
