"""Inference of rows in partitions: every number is that of all rows at once."""

import numpy as np
import pytest
from test_parts import cut, rows

from gdlogit import GDLogisticRegression
from gdlogit.estimators import inference
from gdlogit.estimators.counted import counted_of


@pytest.fixture
def both(monkeypatch):
    """A function that gives the result of all rows, and the one of the same rows in partitions."""

    def infer(X, y, weight=None, offset=None, groups=None, terms=(), **asked):
        model = GDLogisticRegression(**{"C": np.inf, "random_state": 0, "tol": 1e-10} | dict(terms))
        model.fit(X, y, weight, offset=offset)
        theirs = model.inference(X, y, weight, offset=offset, groups=groups, **asked)
        columns = None if offset is None else offset[:, None]

        def counted_on_parts(found, X, y, weight, offset, groups):
            return counted_of(found.model, cut(X, y, weight, columns), groups)

        with monkeypatch.context() as patched:
            patched.setattr(inference, "is_collection", lambda *values: True)
            patched.setattr(inference, "counted_on_parts", counted_on_parts)
            return model.inference(X, y, weight, offset=offset, groups=groups, **asked), theirs

    return infer


CASES = [
    {},
    {"cov_type": "HC3"},
    {"cov_type": "cluster"},
    {"weights": "sampling"},
    {"method": "debiased", "terms": {"C": 10.0}},
    {"method": "bayes", "terms": {"C": 10.0}},
    {"terms": {"bias_reduction": "firth"}},
    {"features": [1, 3]},
]


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("case", CASES)
def test_estimates_and_errors_are_those_of_all_rows(case, k, both):
    X, y = rows(k, scaled=True)
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    groups = np.arange(len(y)) // 7 if case.get("cov_type") == "cluster" else None
    ours, theirs = both(X, y, weight, groups=groups, **case)
    np.testing.assert_allclose(ours.params, theirs.params, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-6)
    assert ours.nobs == theirs.nobs


def test_effects_diagnostics_predictions_and_the_summary_are_those_of_all_rows(both):
    X, y = rows(3, scaled=True)
    X[:, 2] = X[:, 2] > 0
    ours, theirs = both(X, y)
    assert ours.llf == pytest.approx(theirs.llf, rel=1e-12)
    assert ours.llnull == pytest.approx(theirs.llnull, rel=1e-12)
    assert str(ours.summary()) == str(theirs.summary())
    for name in ("hat", "cooks_distance", "resid_deviance", "resid_pearson"):
        np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6)
    for of in (lambda result: result.margins(dummy=True), lambda result: result.contrast(0, 1, -1)):
        np.testing.assert_allclose(of(ours).estimate, of(theirs).estimate, rtol=1e-6)
        np.testing.assert_allclose(of(ours).se, of(theirs).se, rtol=1e-6)
    np.testing.assert_allclose(ours.predict(X[:9]).upper, theirs.predict(X[:9]).upper, rtol=1e-6)
    np.testing.assert_allclose(ours.conf_int(method="profile"), theirs.conf_int(method="profile"), rtol=1e-4)


def test_an_offset_counts(both):
    X, y = rows(scaled=True)
    ours, theirs = both(X, y, offset=np.linspace(-1, 1, len(y)))
    np.testing.assert_allclose(ours.bse, theirs.bse, rtol=1e-6)


def test_groups_that_do_not_go_with_the_rows_are_refused(both):
    X, y = rows(scaled=True)
    model = GDLogisticRegression(C=np.inf).fit(X, y)
    for groups, message in ((np.zeros(7), "inconsistent"), (np.zeros(2000), None)):
        if message:
            with pytest.raises(ValueError, match=message):
                counted_of(model, cut(X, y), groups)
        else:
            assert counted_of(model, cut(X, y), groups).n_groups == 1
    with pytest.raises(ValueError, match="y must hold labels of classes"):
        counted_of(model, cut(X, y + 1))
    model.fit(X, np.arange(2000) % 3)
    with pytest.raises(ValueError, match=r"rows with a positive weight of each class; .*2.* has none"):
        counted_of(model, cut(X, np.arange(2000) % 2))
