"""GDLogisticRegressionCV: every fit is that of the classifier by itself, every score that of scikit-learn."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import f1_score, log_loss, make_scorer, roc_auc_score
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    StratifiedKFold,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from variants import every_check

from gdlogit import GDLogisticRegression, GDLogisticRegressionCV, c_min
from gdlogit.estimators.grid import grid_of
from gdlogit.problem import Problem

CS = np.logspace(-3, 1, 5)
X, Y = load_breast_cancer(return_X_y=True)
X, Y = X[::3], Y[::3]
ends_are_fine = pytest.mark.filterwarnings("ignore:The best score is at")


@every_check([GDLogisticRegressionCV()])
@ends_are_fine
@pytest.mark.filterwarnings("ignore:The training part", "ignore:The least populated class")
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.deep
@every_check([GDLogisticRegressionCV(l1_ratios=(0.5,), Cs=4)])
@ends_are_fine
@pytest.mark.filterwarnings("ignore:The training part", "ignore:The least populated class")
def test_scikit_learns_checks_with_l1(estimator, check):
    check(estimator)


@ends_are_fine
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc", "accuracy"])
def test_scores_are_those_of_cross_val_score(scoring, l1_ratio):
    ours = GDLogisticRegressionCV(Cs=CS, l1_ratios=[l1_ratio], scoring=scoring, cv=3, tol=1e-10).fit(X, Y)
    for C, scores in zip(CS, ours.scores_[:, 0].T, strict=True):
        theirs = cross_val_score(GDLogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-12), X, Y, cv=3, scoring=scoring)
        np.testing.assert_allclose(scores, theirs, atol=1e-6)


@ends_are_fine
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_coefficients_are_those_of_the_classifier(l1_ratio):
    X, y = load_iris(return_X_y=True)
    cv = StratifiedKFold(4)
    ours = GDLogisticRegressionCV(Cs=CS, l1_ratios=[l1_ratio], cv=cv, store_cv_results=True).fit(X, y)
    for i, C in enumerate(CS):
        alone = GDLogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-10)
        np.testing.assert_allclose(ours.coef_path_[0, i], alone.fit(X, y).coef_, atol=1e-5)
        for fold, (train, _) in enumerate(cv.split(X, y)):
            alone.fit(X[train], y[train])
            np.testing.assert_allclose(ours.coefs_paths_[fold, 0, i, :, :-1], alone.coef_, atol=1e-5)


@ends_are_fine
def test_the_shapes_are_those_of_scikit_learn():
    X, y = load_iris(return_X_y=True)
    settings = {"Cs": CS, "cv": 3, "scoring": "neg_log_loss"}
    ours = GDLogisticRegressionCV(**settings, l1_ratios=[0.0], store_cv_results=True).fit(X, y)
    if "use_legacy_attributes" not in LogisticRegressionCV().get_params():
        pytest.skip("this scikit-learn has other shapes")
    theirs = LogisticRegressionCV(**settings, l1_ratios=[0.0], max_iter=1000, use_legacy_attributes=False).fit(X, y)
    for name in ("C_", "l1_ratio_", "Cs_", "scores_", "n_iter_", "coefs_paths_", "coef_", "intercept_"):
        assert np.shape(getattr(ours, name)) == np.shape(getattr(theirs, name)), name
    np.testing.assert_allclose(ours.scores_, theirs.scores_, atol=1e-2)


@ends_are_fine
@pytest.mark.parametrize(
    ("container", "atol"), [(sp.csr_array, 1e-6), (lambda X: X.astype(np.float32), 1e-2), (np.asfortranarray, 1e-6)]
)
def test_storages_give_the_same_scores(container, atol):
    dense = GDLogisticRegressionCV(Cs=CS[:4], cv=3).fit(X, Y)
    other = GDLogisticRegressionCV(Cs=CS[:4], cv=3).fit(container(X), Y)
    np.testing.assert_allclose(other.scores_, dense.scores_, atol=atol)


@ends_are_fine
def test_a_memory_map_is_not_copied(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        GDLogisticRegressionCV(Cs=CS).fit(mapped, Y).scores_, GDLogisticRegressionCV(Cs=CS).fit(X, Y).scores_
    )


# --- Weights and folds ----------------------------------------------------------------------------------------------


@ends_are_fine
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("scoring", ["neg_log_loss", "accuracy"])
def test_a_weight_of_two_is_the_row_twice(l1_ratio, scoring):
    weight, groups = np.random.default_rng(0).integers(0, 3, len(Y)), np.arange(len(Y)) % 4
    twice = np.repeat(np.arange(len(Y)), weight)
    settings = {"Cs": CS, "l1_ratios": [l1_ratio], "scoring": scoring, "cv": LeaveOneGroupOut()}
    weighted = GDLogisticRegressionCV(**settings).fit(X, Y, sample_weight=weight, groups=groups)
    repeated = GDLogisticRegressionCV(**settings).fit(X[twice], Y[twice], groups=groups[twice])
    np.testing.assert_allclose(weighted.scores_, repeated.scores_, rtol=1e-5)
    np.testing.assert_allclose(weighted.coef_path_, repeated.coef_path_, rtol=1e-3, atol=1e-6)


@ends_are_fine
def test_a_row_that_a_split_names_twice_counts_twice():
    train = np.concatenate([np.arange(100), np.arange(50)])
    model = GDLogisticRegressionCV(Cs=CS, cv=[(train, np.arange(100, 190))] * 2, store_cv_results=True).fit(X, Y)
    alone = GDLogisticRegression(C=CS[2], tol=1e-10).fit(X[train], Y[train])
    np.testing.assert_allclose(model.coefs_paths_[0, 0, 2, 0, :-1], alone.coef_[0], atol=1e-5)


@ends_are_fine
def test_groups_need_no_routing():
    groups = np.arange(len(Y)) % 7
    model = GDLogisticRegressionCV(Cs=CS, cv=GroupKFold(3)).fit(X, Y, groups=groups)
    splits = list(GroupKFold(3).split(X, Y, groups))
    np.testing.assert_array_equal(model.scores_, GDLogisticRegressionCV(Cs=CS, cv=splits).fit(X, Y).scores_)


@ends_are_fine
def test_metadata_routing_reaches_splitter_and_scorer():
    weight, groups = np.random.default_rng(0).uniform(1, 2, len(Y)), np.arange(len(Y)) % 7
    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(roc_auc_score, response_method="predict_proba").set_score_request(sample_weight=True)
        model = GDLogisticRegressionCV(Cs=CS, cv=GroupKFold(3), scoring=scorer)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        model.fit(X, Y, sample_weight=weight, groups=groups)
        nested = cross_validate(model, X, Y, params={"sample_weight": weight, "groups": groups}, cv=KFold(2))
    plain = GDLogisticRegressionCV(Cs=CS, cv=GroupKFold(3), scoring="roc_auc").fit(X, Y, weight, groups=groups)
    np.testing.assert_allclose(model.scores_, plain.scores_, atol=5e-3)  # of ranks: two rows may tie
    assert len(nested["test_score"]) == 2


@ends_are_fine
@pytest.mark.parametrize("n_classes", [2, 3, 4])
def test_a_class_that_a_fold_lacks_has_probability_zero_there(n_classes):
    rng = np.random.default_rng(0)
    y = np.sort(rng.permutation(90) % n_classes)
    X = rng.standard_normal((90, 3)) + y[:, None]
    with pytest.warns(UserWarning, match="lacks a class, the first time split 0, which lacks"):
        model = GDLogisticRegressionCV(Cs=CS, cv=KFold(n_classes)).fit(X, y)
    cap = -np.log(np.finfo(float).eps)
    np.testing.assert_allclose(model.scores_, -cap)  # each fold holds out all rows of a class
    assert model.at(CS[1]).predict_proba(X).min() > 0


def test_a_split_without_weight_is_named():
    weight = (np.arange(len(Y)) >= 100).astype(float)
    with pytest.raises(ValueError, match="cv: the test part of split 0 has no row with a positive weight"):
        GDLogisticRegressionCV(cv=[(np.arange(50, 190), np.arange(50))]).fit(X, Y, sample_weight=weight)


# --- The grid and the choice ----------------------------------------------------------------------------------------


def test_a_grid_with_l1_begins_where_the_first_coefficient_does():
    model = GDLogisticRegressionCV(Cs=6, l1_ratios=[1.0, 0.5], cv=2).fit(X, Y)
    for ratio, Cs, n_nonzero in zip(model.l1_ratios_, model.Cs_, model.n_nonzero_path_, strict=True):
        assert Cs[0] == pytest.approx(c_min(X, Y, l1_ratio=ratio))
        assert Cs[-1] == pytest.approx(1e4 * Cs[0])
        assert n_nonzero[0] <= 1 <= n_nonzero[1]  # the first may be a rounding above 0


@pytest.mark.parametrize("n_classes", [2, 4])
def test_a_grid_with_l2_reaches_from_no_degree_of_freedom_to_all(n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((200, 5)) * [1, 10, 0.1, 1, 1] + 3, np.arange(200) % n_classes
    problem = Problem.of(X, y.astype(np.uint8), np.ones(200), n_classes)
    centred = X - X.mean(axis=0)
    curvature = 0.25 if n_classes == 2 else 1 / n_classes
    e = np.linalg.eigvalsh(curvature * centred.T @ centred)
    times = 1 if n_classes == 2 else n_classes - 1
    first, *_, last = grid_of(problem, 7, 0.0)
    assert times * (e / (e + 1 / first)).sum() == pytest.approx(0.01)
    assert (e / (e + 100 / last)).mean() == pytest.approx(0.99)


@ends_are_fine
@pytest.mark.parametrize("index", [-1, 5, 2.0, None])
def test_a_rule_that_gives_no_index_is_refused(index):
    with pytest.raises(ValueError, match=f"rule must return an index from 0 to 4; got {index}"):
        GDLogisticRegressionCV(Cs=CS, cv=3, rule=lambda results: index).fit(X, Y)


@pytest.mark.filterwarnings("ignore:Scoring failed")
def test_a_scoring_that_is_nan_everywhere_is_refused():
    with pytest.raises(ValueError, match="scoring gives nan at every point of the grid"):
        GDLogisticRegressionCV(Cs=CS, cv=3, scoring=lambda model, X, y: np.nan).fit(X, Y)


@ends_are_fine
@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_features_without_a_signal_leave_the_share_of_each_class(l1_ratio):
    y = np.arange(30) % 3 == 0
    model = GDLogisticRegressionCV(Cs=3, cv=3, l1_ratios=(l1_ratio,)).fit(np.ones((30, 2)), y)
    assert (np.diff(model.Cs_) > 0).all()
    np.testing.assert_allclose(model.predict_proba(np.ones((1, 2))), [[2 / 3, 1 / 3]], rtol=1e-6)


@ends_are_fine
def test_fits_that_do_not_arrive_are_counted():
    with pytest.warns(
        ConvergenceWarning, match=r"\d+ of \d+ fits did not reach their minimum: J is up to .* max_iter=1 "
    ):
        # with bounds, fits do not go side by side, where max_iter does not count
        model = GDLogisticRegressionCV(Cs=[1e6], cv=3, max_iter=1, coef_bounds=(-1e6, 1e6)).fit(X, Y)
    assert not model.converged_


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_separable_classes_without_a_penalty_are_named_with_the_way_out(l1_ratio):
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        model = GDLogisticRegressionCV(Cs=[0.1, 1, np.inf], l1_ratios=[l1_ratio], cv=3).fit(X[:100], y[:100])
    (warning,) = given  # none asks for values of C beyond infinity
    assert "In 4 of 12 fits the classes are separable" in str(warning.message)
    assert "Leave inf out of Cs." in str(warning.message)
    assert not model.converged_


def test_a_separating_feature_without_a_penalty_is_named_with_the_way_out():
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match=r"classes are separable.* Give such features a penalty_factor above 0"):
        GDLogisticRegressionCV(Cs=[0.1, 1], cv=3, penalty_factor=[1, 1, 0, 1]).fit(X[:100], y[:100])


@ends_are_fine
def test_tol_auto_is_that_of_a_single_fit():
    """Beyond 1,500 parameters a fit of classes that are nearly separable may end while J still falls slowly."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((600, 60))
    y = (X @ rng.standard_normal((60, 30)) + rng.standard_normal((600, 30))).argmax(axis=1)
    model = GDLogisticRegressionCV(Cs=[1e2, 1e4], cv=2).fit(X, y)
    alone = GDLogisticRegression(C=1e2).fit(X, y)
    assert model.converged_
    assert model.n_iter_.max() < GDLogisticRegressionCV(Cs=[1e2, 1e4], cv=2, tol=1e-8).fit(X, y).n_iter_.max()
    np.testing.assert_allclose(model.at(1e2).predict_proba(X), alone.predict_proba(X), atol=1e-2)


def test_the_rules_choose():
    model = GDLogisticRegressionCV(Cs=20, cv=5).fit(X, Y)
    mean, se = model.cv_results_["mean_test_score"], model.cv_results_["se_test_score"]
    assert model.C_ == model.C_best_ == model.Cs_[mean.argmax()]
    within = mean >= mean.max() - se[mean.argmax()]
    assert model.C_1se_ == model.Cs_[within.argmax()] < model.C_best_
    np.testing.assert_allclose(se, model.scores_[:, 0].std(axis=0, ddof=1) / np.sqrt(5))
    by_1se = GDLogisticRegressionCV(Cs=20, cv=5, rule="1se").fit(X, Y)
    assert (by_1se.C_, by_1se.C_best_) == (model.C_1se_, model.C_best_)
    by_hand = GDLogisticRegressionCV(Cs=20, cv=5, rule=lambda results: 3).fit(X, Y)
    assert (by_hand.best_index_, by_hand.C_) == (3, model.Cs_[3])
    assert by_hand.best_score_ == by_hand.cv_results_["mean_test_score"][3]
    assert pd.DataFrame(model.cv_results_).shape[0] == 20


@ends_are_fine
def test_the_model_at_a_point_is_the_fit_there():
    model = GDLogisticRegressionCV(Cs=CS, l1_ratios=[0.0, 1.0], cv=3).fit(pd.DataFrame(X).add_prefix("x"), Y)
    at = model.at(CS[1], 1.0)
    alone = GDLogisticRegression(C=CS[1], l1_ratio=1.0, tol=1e-10).fit(X, Y)
    np.testing.assert_allclose(at.coef_, alone.coef_, atol=1e-5)
    np.testing.assert_array_equal(at.feature_names_in_, model.feature_names_in_)
    assert at.duality_gap_ < 1e-6
    with pytest.raises(ValueError, match="C must be a value of Cs_; got 0.5, and the nearest is"):
        model.at(0.5)
    with pytest.raises(ValueError, match="l1_ratio must be one of l1_ratios_"):
        model.at(CS[1], 0.3)
    np.testing.assert_array_equal(model.at().coef_, model.coef_)
    np.testing.assert_array_equal(at.to_sklearn().coef_, at.coef_)
    assert model.to_sklearn().C == model.C_


def test_an_end_of_the_grid_that_is_best_is_warned_of():
    with pytest.warns(UserWarning, match="The best score is at the largest value of Cs, 1e-07, and rises"):
        GDLogisticRegressionCV(Cs=[1e-9, 1e-7]).fit(X, Y)


@pytest.mark.parametrize("free", [[], [2]])
def test_there_is_nothing_below_a_model_of_the_features_without_a_penalty(free):
    X = np.random.default_rng(28).normal(size=(50, 40))
    y = np.random.default_rng(29).integers(0, 3, 50)
    factors = np.where(np.isin(np.arange(40), free), 0.0, 1.0)
    model = GDLogisticRegressionCV(Cs=20, l1_ratios=[1.0], penalty_factor=factors).fit(X, y)  # and no warning
    assert model.best_index_ == 0
    assert model.n_nonzero_path_[0, 0] == len(free)
    below = model.at().set_params(C=model.C_ / 10).fit(X, y)
    np.testing.assert_allclose(below.predict_proba(X), model.predict_proba(X), atol=1e-6)


@ends_are_fine
def test_without_a_refit_the_folds_are_averaged():
    model = GDLogisticRegressionCV(Cs=CS, cv=3, refit=False, store_cv_results=True).fit(X, Y)
    np.testing.assert_allclose(model.coef_, model.coefs_paths_[:, 0, model.best_index_, :, :-1].mean(axis=0))


# --- A scikit-learn estimator ---------------------------------------------------------------------------------------


@ends_are_fine
def test_it_works_in_pipelines_and_nested():
    model = make_pipeline(StandardScaler(), GDLogisticRegressionCV(Cs=5, cv=3))
    nested = cross_validate(model, X, Y, cv=3)
    assert (nested["test_score"] < 0).all()  # the score is that of the search
    again = pickle.loads(pickle.dumps(model.fit(X, Y)))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert model.score(X, Y) == pytest.approx(GDLogisticRegressionCV.score(model[-1], model[:-1].transform(X), Y))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Cs", 0),
        ("Cs", [0.0, 1.0]),
        ("Cs", [[1.0]]),
        ("Cs", "many"),
        ("l1_ratios", [2.0]),
        ("l1_ratios", ()),
        ("rule", "worst"),
        ("refit", 1),
        ("tol", -1),
        ("max_iter", 0),
        ("scoring", "beauty"),
        ("verbose", -1),
    ],
)
def test_errors_name_the_parameter_and_leave_the_estimator(name, value):
    model = clone(GDLogisticRegressionCV()).set_params(**{name: value})
    with pytest.raises(ValueError, match=f"{name} must be"):
        model.fit(X, Y)
    assert not hasattr(model, "n_features_in_")


def test_unknown_metadata_is_refused():
    with pytest.raises(TypeError, match="fit got 'colour'"):
        GDLogisticRegressionCV().fit(X, Y, colour=3)


@ends_are_fine
def test_an_interrupt_keeps_the_points_that_were_reached(monkeypatch, capsys):
    model = GDLogisticRegressionCV(Cs=CS, l1_ratios=[1.0], cv=2, verbose=1)
    lines = []

    def interrupt(line):
        lines.append(line)
        if len(lines) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("builtins.print", interrupt)
    with pytest.warns(ConvergenceWarning, match="Interrupted: 3 of 5 points"):
        model.fit(X, Y)
    assert np.isfinite(model.scores_).sum(axis=2).tolist() == [[3], [3]]
    assert model.C_ in CS[:3]


def test_an_interrupt_before_the_first_point_goes_on(monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("gdlogit.estimators.path_fits.paths", interrupt)
    model = GDLogisticRegressionCV()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not hasattr(model, "n_features_in_")


@ends_are_fine
def test_verbose_prints_a_line_for_each_point(capsys):
    GDLogisticRegressionCV(Cs=CS, verbose=1).fit(X, Y)
    assert capsys.readouterr().out.count("nonzero 30") == len(CS)


OF_FEATURES = [
    {"penalty_factor": [0, 1, 4, 1]},
    {"penalty_factor": [1, np.inf, 0.5, 2]},
    {"coef_bounds": (0, np.inf)},
    {"coef_bounds": {1: (-0.5, 0.5)}, "penalty_factor": {2: 3}},
    {"monotonic_cst": [1, -1, 0, 1]},
]


@ends_are_fine
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("terms", OF_FEATURES)
def test_factors_and_bounds_are_those_of_the_classifier(terms, l1_ratio):
    X, y = load_iris(return_X_y=True)
    X, y = X[y > 0], y[y > 0]
    cv, Cs = StratifiedKFold(3), [0.01, 0.1, 1.0]
    ours = GDLogisticRegressionCV(Cs=Cs, l1_ratios=[l1_ratio], cv=cv, store_cv_results=True, **terms).fit(X, y)
    for i, C in enumerate(Cs):
        alone = GDLogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-12, **terms)
        np.testing.assert_allclose(ours.coef_path_[0, i], alone.fit(X, y).coef_, atol=1e-5)
        np.testing.assert_allclose(
            ours.scores_[:, 0, i], cross_val_score(alone, X, y, cv=cv, scoring="neg_log_loss"), atol=1e-6
        )
    assert ours.at(0.1).get_params()["penalty_factor"] == terms.get("penalty_factor")


@ends_are_fine
def test_a_grid_begins_where_the_first_penalised_feature_enters():
    X, y = load_breast_cancer(return_X_y=True)
    factors = np.linspace(0.5, 3, X.shape[1])
    factors[:2] = 0, np.inf
    model = GDLogisticRegressionCV(Cs=5, cv=2, l1_ratios=[1.0], penalty_factor=factors).fit(X, y)
    assert model.Cs_[0] == pytest.approx(c_min(X, y, penalty_factor=factors), rel=1e-6)
    np.testing.assert_array_equal(model.n_nonzero_path_[0, :1], 1)
    assert (model.coef_path_[0, :, 0, 1] == 0).all()


@ends_are_fine
def test_a_feature_without_a_penalty_takes_no_degrees_of_freedom_of_the_grid():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    shared = {"Cs": 5, "cv": 2}
    twice = GDLogisticRegressionCV(**shared, penalty_factor=np.full(30, 2.0)).fit(X, y)
    once = GDLogisticRegressionCV(**shared).fit(X, y)
    np.testing.assert_allclose(twice.Cs_, 2 * once.Cs_, rtol=1e-8)
    np.testing.assert_allclose(twice.scores_, once.scores_, atol=1e-6)


def test_bounds_that_the_path_cannot_meet_are_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="cv must be folds with coef_bounds or monotonic_cst; got 'loo'"):
        GDLogisticRegressionCV(cv="loo", coef_bounds=(0, 1)).fit(X, y)
    order = [(np.arange(100), np.arange(100, 150))]
    with pytest.raises(ValueError, match="need every class in the training part"):
        GDLogisticRegressionCV(cv=order, coef_bounds=(0, 1)).fit(X, y)
    with pytest.raises(ValueError, match="penalty_factor must not be negative"):
        GDLogisticRegressionCV(penalty_factor=[1, -1, 1, 1]).fit(X, y)


@ends_are_fine
def test_leave_one_out_has_factors_too():
    X, y = load_iris(return_X_y=True)
    X, y = X[y > 0], y[y > 0]
    for factors in ([0, 1, 4, 1], [1, np.inf, 0.5, 2]):
        shared = {"Cs": [0.01, 0.1, 1.0], "penalty_factor": factors}
        fast = GDLogisticRegressionCV(cv="loo", **shared).fit(X, y)
        exact = GDLogisticRegressionCV(cv=LeaveOneOut(), **shared).fit(X, y)
        np.testing.assert_allclose(fast.scores_[0], exact.scores_.mean(axis=0), rtol=0.01)


@ends_are_fine
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_offset_is_that_of_the_classifier(n_classes, l1_ratio):
    X, y = load_iris(return_X_y=True)
    X, y = X[y > 2 - n_classes], y[y > 2 - n_classes]
    offset = np.random.default_rng(0).standard_normal((len(y), 1 if n_classes == 2 else n_classes))
    cv, Cs = [*StratifiedKFold(3).split(X, y)], [0.01, 0.1, 1.0]
    ours = GDLogisticRegressionCV(Cs=Cs, l1_ratios=[l1_ratio], cv=cv, store_cv_results=True).fit(X, y, offset=offset)
    for i, C in enumerate(Cs):
        alone = GDLogisticRegression(C=C, l1_ratio=l1_ratio, tol=1e-12).fit(X, y, offset=offset)
        np.testing.assert_allclose(ours.coef_path_[0, i], alone.coef_, atol=1e-5)
        for fold, (train, test) in enumerate(cv):
            alone.fit(X[train], y[train], offset=offset[train])
            np.testing.assert_allclose(ours.coefs_paths_[fold, 0, i, :, :-1], alone.coef_, atol=1e-5)
            theirs = -log_loss(y[test], alone.predict_proba(X[test], offset=offset[test]))
            assert ours.scores_[fold, 0, i] == pytest.approx(theirs, abs=1e-6)
    assert ours.has_offset_
    np.testing.assert_allclose(
        ours.predict_proba(X, offset=offset), ours.at().predict_proba(X, offset=offset), atol=1e-12
    )
    assert ours.score(X, y, offset=offset) == pytest.approx(-log_loss(y, ours.predict_proba(X, offset=offset)))
    with pytest.raises(ValueError, match="offset is missing"):
        ours.predict(X)


@ends_are_fine
def test_leave_one_out_and_the_grid_know_the_offset():
    X, y = load_iris(return_X_y=True)
    X, y = X[y > 0], y[y > 0]
    offset = np.random.default_rng(0).standard_normal(len(y))
    for l1_ratio, rtol in ((0.0, 0.01), (1.0, 0.05)):
        shared = {"Cs": 5, "l1_ratios": [l1_ratio]}
        fast = GDLogisticRegressionCV(cv="loo", **shared).fit(X, y, offset=offset)
        exact = GDLogisticRegressionCV(cv=LeaveOneOut(), **shared | {"Cs": fast.Cs_}).fit(X, y, offset=offset)
        np.testing.assert_allclose(fast.scores_[0], exact.scores_.mean(axis=0), rtol=rtol)
    assert fast.Cs_[0] == pytest.approx(c_min(X, y, offset=offset), rel=1e-6)


@ends_are_fine
@pytest.mark.filterwarnings("ignore:The training part")
def test_a_fold_that_lacks_a_class_has_the_offset_of_the_others():
    X, y = load_iris(return_X_y=True)
    offset = np.random.default_rng(0).standard_normal((len(y), 3))
    cv = [(np.arange(100), np.arange(100, 150)), (np.arange(50, 150), np.arange(50))]
    ours = GDLogisticRegressionCV(Cs=[0.1], cv=cv, store_cv_results=True).fit(X, y, offset=offset)
    two = GDLogisticRegression(C=0.1, tol=1e-12).fit(X[:100], y[:100], offset=offset[:100, 1] - offset[:100, 0])
    coef = ours.coefs_paths_[0, 0, 0, :, :-1]
    np.testing.assert_allclose(coef[1] - coef[0], two.coef_[0], atol=1e-5)


def test_an_offset_that_a_score_cannot_have_is_refused():
    X, y = load_breast_cancer(return_X_y=True)
    with pytest.raises(ValueError, match="scoring must be 'neg_log_loss' with an offset"):
        GDLogisticRegressionCV(scoring="roc_auc").fit(X, y, offset=np.zeros(len(y)))
    with pytest.raises(ValueError, match="offset must have a row for each of the 569 rows of X; got 3"):
        GDLogisticRegressionCV().fit(X, y, offset=np.zeros(3))


def test_a_gain_too_small_to_matter_is_no_reason_to_add_values():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200, 3))
    y = (X[:, 0] > 0).astype(int)
    separable = np.column_stack([X[:, 1:], 10 * y + 0.1 * X[:, 0]])
    model = GDLogisticRegressionCV(Cs=np.logspace(0, 4, 20)).fit(separable, y)  # warnings are errors
    mean = model.cv_results_["mean_test_score"]
    assert model.C_best_ == 1e4
    assert 0 < mean[-1] - mean[-2] < 1e-4


@ends_are_fine
@pytest.mark.parametrize("scoring", ["accuracy", make_scorer(f1_score)])
def test_a_scorer_of_a_data_frame_gives_no_warning(scoring):
    frame, y = load_breast_cancer(return_X_y=True, as_frame=True)
    model = GDLogisticRegressionCV(Cs=CS, scoring=scoring).fit(frame, y)  # warnings are errors
    array = GDLogisticRegressionCV(Cs=CS, scoring=scoring).fit(frame.to_numpy(), y)
    np.testing.assert_array_equal(model.scores_, array.scores_)
    assert (model.feature_names_in_ == frame.columns).all()


@pytest.mark.filterwarnings("ignore:The best score is at")
def test_the_score_of_held_out_rows_in_many_pieces_is_their_weighted_mean():
    rng = np.random.default_rng(0)
    X, weight = rng.standard_normal((60_000, 50)), rng.integers(0, 3, 60_000).astype(float)
    y = (X[:, 0] + rng.logistic(size=len(X)) > 0).astype(int)
    train, test = np.arange(5000), np.arange(5000, 60_000)
    model = GDLogisticRegressionCV(Cs=[1e-4, 1e-3, 1.0], cv=[(train, test)], store_cv_results=True)
    model.fit(X, y, sample_weight=weight)
    for i, theta in enumerate(model.coefs_paths_[0, 0, :, 0]):
        z = X[test] @ theta[:-1] + theta[-1]
        losses = np.logaddexp(0, np.where(y[test] == 1, -z, z))
        assert -model.scores_[0, 0, i] == pytest.approx(np.average(losses, weights=weight[test]), rel=1e-12)
