"""Published tables, reproduced to every printed digit without a penalty; and the agreement with statsmodels.

Each number stands here as it was printed, trailing zeros and all. ``tests/data/README.md`` says where data and tables
come from.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from gdlogit import GDLogisticRegression

DATA = Path(__file__).parent / "data"


class Table(NamedTuple):
    """A data set, and what was printed of it.

    ``printed`` has for each class but the baseline, and for each feature and then for the intercept, the coefficient;
    ``errors`` the standard errors; ``deviance`` is -2 log likelihood. None where the source prints none.
    """

    X: pd.DataFrame
    y: pd.Series
    weight: pd.Series | None
    printed: list[str]
    errors: list[str] | None
    deviance: str | None


def lowbwt():
    """The 189 births of Hosmer and Lemeshow, race as two flags."""
    data = pd.read_csv(DATA / "lowbwt.csv")
    return data.assign(black=data.race == "black", other=data.race == "other")


def hosmer_lemeshow():
    """Applied Logistic Regression, table 2.2 (SAS prints 1.2953 for the last, one step before its end, 1.29537)."""
    data = lowbwt()
    return Table(
        data[["age", "lwt", "black", "other", "ftv"]],
        data.low,
        None,
        ["-0.024 -0.014 1.004 0.433 -0.049 1.295"],
        ["0.0337 0.00654 0.4979 0.3622 0.1672 1.0714"],
        "222.573",
    )


def birthwt():
    """Modern Applied Statistics with S, section 7.2: glm(low ~ ., family = binomial, data = bwt) in R."""
    data = lowbwt().assign(ptd=lambda d: d.ptl > 0, ftv1=lambda d: d.ftv == 1, ftv2=lambda d: d.ftv > 1)
    return Table(
        data[["age", "lwt", "black", "other", "smoke", "ptd", "ht", "ui", "ftv1", "ftv2"]],
        data.low,
        None,
        ["-0.03723 -0.01565 1.19241 0.74068 0.75553 1.34376 1.91317 0.68020 -0.43638 0.17901 0.82302"],
        None,
        "195.5",
    )


def stata_lowbwt():
    """Stata's manual, logistic: low age lwt i.race smoke ptl ht ui. In its data one birth has lwt 106."""
    data = lowbwt()
    data.loc[(data.low == 1) & (data.age == 20) & (data.lwt == 105) & (data.ftv == 3), "lwt"] = 106
    return Table(
        data[["age", "lwt", "black", "other", "smoke", "ptl", "ht", "ui"]],
        data.low,
        None,
        ["-.0271003 -.0151508 1.262647 .8620792 .9233448 .5418366 1.832518 .7585135 .4612239"],
        [".0364504 .0069259 .5264101 .4391532 .4008266 .346249 .6916292 .4593768 1.20459"],
        "201.4479911",
    )


def infert():
    """R's example(infert): glm(case ~ spontaneous + induced, family = binomial())."""
    data = pd.read_csv(DATA / "infert.csv").melt(["spontaneous", "induced"], value_name="n")
    return Table(
        data[["spontaneous", "induced"]],
        data.variable == "cases",
        data.n,
        ["1.1972 0.4181 -1.7079"],
        ["0.2116 0.2056 0.2677"],
        "279.61",
    )


def hsbdemo():
    """UCLA's multinomial example by R's mlogit, baseline academic. (nnet, as UCLA prints it, stops 1e-5 before.)"""
    data = pd.read_csv(DATA / "hsbdemo.csv").melt(["ses", "write"], var_name="prog", value_name="n")
    data = data.assign(middle=data.ses == "middle", high=data.ses == "high")
    return Table(
        data[["middle", "high", "write"]],
        data.prog,
        data.n,
        ["-0.533291 -1.162832 -0.057928 2.852186", "0.291393 -0.982670 -0.113603 5.218200"],
        None,
        "359.9635",
    )


def admissions():
    """UCLA's binary example in R: glm(admit ~ gre + gpa + rank, family = "binomial")."""
    if not (DATA / "binary.csv").exists():
        pytest.skip("UCLA's binary.csv has no licence to go with this package; tests/data/README.md says what to do")
    data = pd.read_csv(DATA / "binary.csv")
    data = data.assign(**{f"rank{r}": data["rank"] == r for r in (2, 3, 4)})
    return Table(
        data[["gre", "gpa", "rank2", "rank3", "rank4"]],
        data.admit,
        None,
        ["0.002264 0.804038 -0.675443 -1.340204 -1.551464 -3.989979"],
        ["0.001094 0.331819 0.316490 0.345306 0.417832 1.139951"],
        "458.52",
    )


def spector():
    """Spector and Mazzeo, as statsmodels' documentation prints its Logit. The data are not ours to give away."""
    data = statsmodels().datasets.spector.load_pandas()
    return Table(
        data.exog[["GPA", "TUCE", "PSI"]],
        data.endog,
        None,
        ["2.8261 0.0952 2.3787 -13.0213"],
        ["1.263 0.142 1.065 4.931"],
        "25.779",
    )


TABLES = [hosmer_lemeshow, birthwt, stata_lowbwt, infert, hsbdemo, admissions, spector]


@pytest.fixture(params=TABLES, ids=lambda table: table.__name__)
def table(request):
    """One of the tables."""
    return request.param()


def statsmodels():
    """The package, or a skip."""
    return pytest.importorskip("statsmodels.api")


def fit(X, y, weight=None, **parameters):
    """The default fit, without a penalty."""
    return GDLogisticRegression(C=np.inf, tol=1e-14, **parameters).fit(X, y, weight)


def contrasts(model):
    """Rows of coefficients with the intercept last: of each class but the first, less those of the first."""
    theta = np.column_stack([model.coef_, model.intercept_])
    return theta if len(theta) == 1 else theta[1:] - theta[0]


def log_likelihood(model, X, y, weight=1.0):
    """Its sum over the rows."""
    return np.sum(weight * model.predict_log_proba(X)[np.arange(len(y)), np.searchsorted(model.classes_, y)])


def standard_errors(model, X, weight=1.0):
    """From the inverse of the observed information, in the shape of the contrasts."""
    X = np.column_stack([np.asarray(X, dtype=float), np.ones(len(X))])
    p = model.predict_proba(X[:, :-1])[:, 1:]
    curvature = np.einsum("ic,cd->icd", p, np.eye(p.shape[1])) - p[:, :, None] * p[:, None, :]
    weight = np.broadcast_to(weight, len(X))
    information = np.einsum("i,icd,ij,il->cjdl", weight, curvature, X, X)
    size = p.shape[1] * X.shape[1]
    return np.sqrt(np.linalg.inv(information.reshape(size, size)).diagonal()).reshape(p.shape[1], -1)


def as_printed(values, printed):
    """The values in the form of some printed numbers: as many digits, and a zero before the point or not."""

    def one(value, like):
        text = f"{value:.{len(like.partition('.')[2])}f}"
        return text if like.lstrip("-").startswith("0") else text.replace("0.", ".", 1) if abs(value) < 1 else text

    return " ".join(map(one, values, printed.split()))


forms = pytest.mark.parametrize("form", [np.asarray, sp.csr_array], ids=["dense", "CSR"])


@forms
def test_a_published_table_is_reproduced_to_every_printed_digit(table, form):
    X, weight = table.X.to_numpy(dtype=float), 1.0 if table.weight is None else table.weight.to_numpy()
    model = fit(form(X), table.y, table.weight)
    assert [*map(as_printed, contrasts(model), table.printed)] == table.printed
    assert as_printed([-2 * log_likelihood(model, X, table.y, weight)], table.deviance) == table.deviance
    if table.errors:
        assert [*map(as_printed, standard_errors(model, X, weight), table.errors)] == table.errors


# --- statsmodels -----------------------------------------------------------------------------------------

SCALES = {"scaled": (1.0, 0.0), "raw": (np.array([1e-6, 1.0, 1e3, 1e7]), np.array([0.0, 2024.0, -1e5, 0.0]))}
scales = pytest.mark.parametrize(("scale", "offset"), SCALES.values(), ids=SCALES)


def drawn(n_classes, n=400):
    """Four correlated features, labels of a logistic model, and whole weights from 0 to 3."""
    rng = np.random.default_rng(n_classes)
    X = rng.standard_normal((n, 4)) @ rng.standard_normal((4, 4))
    y = (X @ rng.standard_normal((4, n_classes)) / 2 + rng.gumbel(size=(n, n_classes))).argmax(axis=1)
    return X, y, rng.integers(0, 4, n)


def on_scale(theta, scale, offset):
    """The coefficients of X from those of X * scale + offset."""
    return np.column_stack([theta[:, :-1] * scale, theta[:, -1] + theta[:, :-1] @ np.broadcast_to(offset, 4)])


@forms
@scales
def test_logit_agrees(scale, offset, form):
    sm, (X, y, _) = statsmodels(), drawn(2)
    theirs = sm.Logit(y, sm.add_constant(X, prepend=False)).fit(disp=False, tol=1e-12)
    ours = fit(form(X * scale + offset), y)
    np.testing.assert_allclose(on_scale(contrasts(ours), scale, offset)[0], theirs.params, rtol=1e-6, atol=1e-6)
    assert log_likelihood(ours, X * scale + offset, y) == pytest.approx(theirs.llf, rel=1e-12)


@forms
@scales
def test_mnlogit_agrees(scale, offset, form):
    sm, (X, y, _) = statsmodels(), drawn(4)
    theirs = sm.MNLogit(y, sm.add_constant(X, prepend=False)).fit(disp=False, method="newton", tol=1e-12)
    ours = fit(form(X * scale + offset), y)
    np.testing.assert_allclose(
        on_scale(contrasts(ours), scale, offset), np.asarray(theirs.params).T, rtol=1e-6, atol=1e-6
    )
    assert log_likelihood(ours, X * scale + offset, y) == pytest.approx(theirs.llf, rel=1e-12)


def test_mnlogit_agrees_in_the_standard_errors():
    sm, (X, y, _) = statsmodels(), drawn(4)
    theirs = sm.MNLogit(y, sm.add_constant(X, prepend=False)).fit(disp=False, method="newton", tol=1e-12)
    np.testing.assert_allclose(standard_errors(fit(X, y), X), np.asarray(theirs.bse).T, rtol=1e-6)


@forms
@scales
def test_glm_with_frequency_weights_agrees(scale, offset, form):
    sm, (X, y, weight) = statsmodels(), drawn(2)
    model = sm.GLM(y, sm.add_constant(X, prepend=False), family=sm.families.Binomial(), freq_weights=weight)
    theirs = model.fit(tol=1e-14)
    ours = fit(form(X * scale + offset), y, weight)
    np.testing.assert_allclose(on_scale(contrasts(ours), scale, offset)[0], theirs.params, rtol=1e-6, atol=1e-6)
    assert log_likelihood(ours, X * scale + offset, y, weight) == pytest.approx(theirs.llf, rel=1e-12)


def test_the_election_of_1996_agrees_with_stata_as_statsmodels_quotes_it():
    data = statsmodels().datasets.anes96.load_pandas()
    from statsmodels.discrete.tests.results.results_discrete import Anes

    stata = Anes.mnlogit_basezero
    ours = fit(data.exog, data.endog)
    np.testing.assert_allclose(contrasts(ours), stata.params.T, atol=3e-6)  # as far as Stata went
    assert log_likelihood(ours, data.exog, data.endog) == pytest.approx(stata.llf, abs=1e-6)
