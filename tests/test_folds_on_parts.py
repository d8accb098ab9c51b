"""Cross-validation of rows in partitions: the folds, and the path and choice of all rows with the same folds."""

import numpy as np
import pytest
from sklearn.model_selection import PredefinedSplit, StratifiedKFold
from test_parts import cut, rows

from gdlogit import GDLogisticRegressionCV
from gdlogit.estimators import path
from gdlogit.estimators.folds_on_parts import dealt, problem_of

pytestmark = pytest.mark.filterwarnings("ignore:The best score is at:UserWarning")  # of a short grid


def fit_parts(monkeypatch, model, X, y, weight=None):
    """``fit`` of the same rows in partitions."""

    def on_parts(estimator, *given, **of_splitter):
        return problem_of(estimator, cut(X, y, weight), X[:0], **of_splitter)

    with monkeypatch.context() as patched:
        patched.setattr(path, "is_collection", lambda *values: True)
        patched.setattr(path, "on_parts", on_parts)
        return model.fit(X, y, weight)


def model(**parameters):
    return GDLogisticRegressionCV(**{"Cs": 6, "random_state": 0, "tol": 1e-12} | parameters)


def folds_by_hand(y, n_folds=5):
    """The number of the fold that holds out each row, where ``dealt`` deals them."""
    ends = (0, 400, 401, 401, 900, 1000, 1600, 2000)
    held_out = [dealt(n_folds, i, y[a:b]) for i, (a, b) in enumerate(zip(ends, ends[1:], strict=False)) if a < b]
    return np.concatenate(held_out).argmax(axis=1)


@pytest.mark.parametrize("terms", [{}, {"class_weight": "balanced"}, {"l1_ratios": (0.5,), "Cs": [0.01, 0.1, 1]}])
@pytest.mark.parametrize("k", [2, 3])
def test_the_path_and_the_choice_are_those_of_all_rows_with_the_same_folds(k, terms, monkeypatch):
    X, y = rows(k, scaled=True)
    weight = np.random.default_rng(1).integers(1, 3, len(y)).astype(float)
    ours = fit_parts(monkeypatch, model(**terms), X, y, weight)
    theirs = model(cv=PredefinedSplit(folds_by_hand(y)), **terms).fit(X, y, weight)
    np.testing.assert_allclose(ours.Cs_, theirs.Cs_, rtol=1e-6)
    np.testing.assert_allclose(ours.scores_, theirs.scores_, rtol=1e-6)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    assert ours.best_index_ == theirs.best_index_
    assert ours.converged_
    assert (ours.duality_gap_path_ >= 0).all()


def test_a_splitter_gets_the_labels_and_splits_row_numbers(monkeypatch):
    X, y = rows(3, scaled=True)
    cv = StratifiedKFold(4, shuffle=True, random_state=0)
    ours = fit_parts(monkeypatch, model(cv=cv), X, y)
    np.testing.assert_allclose(ours.scores_, model(cv=cv).fit(X, y).scores_, rtol=1e-6)


def test_every_row_is_held_out_once_and_rare_classes_are_spread():
    rng = np.random.default_rng(0)
    held_out = np.zeros((3, 5), int)
    for number in range(50):
        y = np.append(rng.integers(0, 2, 100), 2)
        folds = dealt(5, number, y)
        assert (folds.sum(axis=1) == 1).all()
        for code in range(3):
            held_out[code] += folds[y == code].sum(axis=0, dtype=int)
    assert held_out[2].tolist() == [10] * 5
    assert np.ptp(held_out[:2], axis=1).max() <= 50


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"cv": "loo"}, "cv='loo' takes rows in memory"),
        ({"scoring": "accuracy"}, "scoring must be 'neg_log_loss' for a Dask collection"),
        ({"cv": 1}, "cv must be at least 2 folds"),
        ({"cv": PredefinedSplit(np.arange(2000) // 1000)}, "the training part of split 0 has no row of class 1"),
    ],
)
def test_what_parts_cannot_have_is_refused(terms, message, monkeypatch):
    X, y = rows()
    y = (np.arange(2000) < 1000).astype(int)
    with pytest.raises(ValueError, match=message):
        fit_parts(monkeypatch, model(**terms), X, y)


def test_a_test_part_without_weight_is_refused(monkeypatch):
    X, y = rows()
    early = np.arange(2000) < 500
    weight, folds = np.where(early, 0.0, 1.0), np.where(early, 0, 1 + np.arange(2000) % 2)
    with pytest.raises(ValueError, match="the test part of split 0 has no row with a positive weight"):
        fit_parts(monkeypatch, model(cv=PredefinedSplit(folds)), X, y, weight)
