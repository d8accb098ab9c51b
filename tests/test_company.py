"""Company: in scikit-learn's selectors, searches and ensembles ours is a guest like its own, and becomes its own."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.feature_selection import RFE, RFECV, SelectFromModel, SequentialFeatureSelector
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, scale
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from gdlogit import GDLogisticRegression, GDLogisticRegressionCV, to_sklearn

by_l1_ratio = pytest.mark.skipif(
    LogisticRegression().penalty == "l2",
    reason="before 1.8 l1_ratio alone does not choose the penalty of LogisticRegression",
)
CANCER = load_breast_cancer(return_X_y=True)
IRIS = load_iris(return_X_y=True)
SCALED = {"cancer": (scale(CANCER[0]), CANCER[1]), "iris": (scale(IRIS[0]), IRIS[1])}


def ours(**parameters):
    return GDLogisticRegression(**{"random_state": 0} | parameters)


# --- penalty, the attribute --------------------------------------------------------------------------------

PENALTIES = {"l2": {}, "l1": {"l1_ratio": 1}, "elasticnet": {"l1_ratio": 0.5}, None: {"C": np.inf}}
penalties = pytest.mark.parametrize(("penalty", "parameters"), PENALTIES.items(), ids=map(str, PENALTIES))


@penalties
def test_the_penalty_has_scikit_learns_name_and_is_no_parameter(penalty, parameters):
    model = ours(**parameters)
    assert model.penalty == penalty
    assert "penalty" not in model.get_params()
    assert "penalty" not in repr(model)
    assert vars(clone(model)) == vars(model) == vars(pickle.loads(pickle.dumps(model)))
    with pytest.raises(ValueError, match="Invalid parameter 'penalty'"):
        model.set_params(penalty=penalty)
    with pytest.raises(AttributeError):
        model.penalty = penalty


@penalties
def test_the_penalty_follows_the_parameters(penalty, parameters):
    assert ours().set_params(**parameters).penalty == penalty
    assert ours(C=np.inf, l1_ratio=1).penalty is None


@by_l1_ratio
@pytest.mark.parametrize("data", SCALED)
@pytest.mark.parametrize("fitted", [False, True])
@pytest.mark.parametrize("penalty", ["l2", "l1", "elasticnet"])
def test_select_from_model_keeps_the_features_that_it_keeps_of_scikit_learns_own(penalty, fitted, data):
    X, y = SCALED[data]
    model = ours(C=0.1, tol=1e-10, **PENALTIES[penalty])
    theirs = LogisticRegression(C=0.1, tol=1e-8, max_iter=10_000, solver="saga", random_state=0, **PENALTIES[penalty])
    kept = [
        SelectFromModel(one.fit(X, y) if fitted else one, prefit=fitted).fit(X, y).get_support()
        for one in (model, theirs)
    ]
    np.testing.assert_array_equal(*kept)


def test_select_from_model_keeps_every_nonzero_coefficient_of_an_l1_model():
    selector = SelectFromModel(ours(l1_ratio=1.0)).fit(*CANCER)  # raw, on many scales
    nonzero = selector.estimator_.coef_[0] != 0
    np.testing.assert_array_equal(selector.get_support(), np.abs(selector.estimator_.coef_[0]) >= 1e-5)
    assert selector.get_support().sum() == nonzero.sum() == 9


# --- scikit-learn's own ------------------------------------------------------------------------------------

pytestmark = pytest.mark.filterwarnings("ignore:y contains no unlabeled samples")  # of self-training
HOLDERS = {
    "pipeline": lambda model: make_pipeline(StandardScaler(), model),
    "lambda": lambda model: make_pipeline(FunctionTransformer(lambda X: X / 2), model),
    "search": lambda model: GridSearchCV(model, {"C": [0.01, 1.0]}, cv=2),
    "search of a pipeline": lambda model: GridSearchCV(
        make_pipeline(StandardScaler(), model), {f"{type(model).__name__.lower()}__C": [0.01, 1.0]}, cv=2
    ),
    "search among models": lambda model: GridSearchCV(
        make_pipeline(StandardScaler(), SVC()), {"svc": [DecisionTreeClassifier(max_depth=1), model]}, cv=2
    ),
    "voting": lambda model: VotingClassifier(
        [("one", model), ("two", clone(model).set_params(C=0.1))], voting="soft", flatten_transform=False
    ),
    "stacking": lambda model: StackingClassifier([("one", model), ("two", clone(model))], clone(model), cv=2),
    "calibration": lambda model: CalibratedClassifierCV(model, cv=2),
    "calibration, frozen": lambda model: CalibratedClassifierCV(FrozenEstimator(model.fit(*IRIS)), cv=2),
    "bagging": lambda model: BaggingClassifier(model, 3, random_state=0),
    "boosting": lambda model: AdaBoostClassifier(model, n_estimators=3, random_state=0),
    "one against the rest": OneVsRestClassifier,
    "one against one": OneVsOneClassifier,
    "recursive elimination": lambda model: RFE(model, n_features_to_select=2),
    "recursive elimination with folds": lambda model: RFECV(model, cv=2),
    "sequential selection": lambda model: make_pipeline(
        SequentialFeatureSelector(model, n_features_to_select=2), model
    ),
    "selection": lambda model: make_pipeline(SelectFromModel(clone(model).set_params(l1_ratio=1, C=0.05)), model),
    "columns": lambda model: make_pipeline(ColumnTransformer([("some", StandardScaler(), [0, 2])]), model),
    "self-training": lambda model: SelfTrainingClassifier(model, max_iter=2),
}
holders = pytest.mark.parametrize("hold", HOLDERS.values(), ids=HOLDERS)


def their_model():
    return LogisticRegression(solver="saga", tol=1e-8, max_iter=20_000, random_state=0)


@by_l1_ratio
@holders
def test_in_company_ours_is_as_scikit_learns_own(hold):
    X, y = SCALED["iris"]
    models = [clone(hold(model)).fit(X, y) for model in (ours(tol=1e-12), their_model())]
    np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))
    if hasattr(models[1], "predict_proba"):
        np.testing.assert_allclose(*(model.predict_proba(X) for model in models), rtol=0, atol=1e-3)
    if hasattr(models[1], "support_"):
        np.testing.assert_array_equal(*(model.support_ for model in models))


def held(thing, kind):
    """How often a kind of estimator is named within: in the pickle or, where there can be none, in the repr."""
    try:
        return pickle.dumps(thing).count(kind.__name__.encode())
    except (AttributeError, pickle.PicklingError):
        return repr(thing).count(kind.__name__ + "(")


@by_l1_ratio
@holders
def test_to_sklearn_replaces_every_one_of_ours_and_predicts_the_same(hold):
    X, y = IRIS
    model = hold(ours()).fit(X, y)
    before = repr(model)
    theirs = to_sklearn(model)
    assert type(theirs) is type(model)
    assert held(model, GDLogisticRegression)
    assert not held(theirs, GDLogisticRegression)
    assert held(theirs, LogisticRegression)
    np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), rtol=0, atol=1e-15)
    assert repr(model) == before
    assert type(to_sklearn(clone(model))) is type(model)  # unfitted


def test_to_sklearn_takes_many_outputs():
    X, y = IRIS
    outputs = np.c_[y > 0, y > 1]
    model = ClassifierChain(ours()).fit(X, outputs)
    theirs = to_sklearn(model)
    assert not held(theirs, GDLogisticRegression)
    np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    tuned = TunedThresholdClassifierCV(ours(), cv=2).fit(*CANCER)
    assert to_sklearn(tuned).best_threshold_ == tuned.best_threshold_
    np.testing.assert_array_equal(to_sklearn(tuned).predict(CANCER[0]), tuned.predict(CANCER[0]))


def test_to_sklearn_of_one_model_is_its_method_and_of_others_a_copy():
    model = ours(C=0.5, l1_ratio=0.5).fit(*IRIS)
    assert type(to_sklearn(model)) is LogisticRegression
    np.testing.assert_array_equal(to_sklearn(model).coef_, model.to_sklearn().coef_)
    plain = to_sklearn(ours(C=0.5, l1_ratio=0.5, fit_intercept=False, class_weight="balanced"))
    assert (plain.C, plain.l1_ratio, plain.fit_intercept, plain.class_weight) == (0.5, 0.5, False, "balanced")
    assert not hasattr(plain, "coef_")
    pipeline = make_pipeline(StandardScaler(), SVC()).fit(*IRIS)
    np.testing.assert_array_equal(to_sklearn(pipeline).predict(IRIS[0]), pipeline.predict(IRIS[0]))
    theirs = to_sklearn(make_pipeline(StandardScaler(), model).fit(*IRIS))
    theirs[-1].coef_[:] = 0
    assert model.coef_.any()


def test_to_sklearn_keeps_what_is_shared_shared():
    model = ours().fit(*IRIS)
    theirs = to_sklearn(VotingClassifier([("one", model), ("two", model)]).fit(*IRIS))
    (_, one), (_, two) = theirs.estimators
    assert one is two
    assert theirs.named_estimators_["one"] is theirs.estimators_[0]


@pytest.mark.parametrize("name", ["pipeline", "search of a pipeline", "voting", "stacking", "calibration", "columns"])
def test_onnx_predicts_the_same_in_company(name):
    skl2onnx, onnxruntime = pytest.importorskip("skl2onnx"), pytest.importorskip("onnxruntime")
    X, y = IRIS
    model = HOLDERS[name](ours()).fit(X, y)
    converted = skl2onnx.to_onnx(to_sklearn(model), X[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    labels, probabilities = session.run(None, {"X": X})
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=1e-12)


def test_eli5_explains_a_pipeline():
    eli5 = pytest.importorskip("eli5")
    pipeline = make_pipeline(StandardScaler(), ours()).fit(*IRIS)
    explained = eli5.explain_weights(to_sklearn(pipeline), top=10)
    assert [target.target for target in explained.targets] == [0, 1, 2]
    weights = {weight.feature: weight.weight for weight in explained.targets[0].feature_weights.neg}
    assert weights["x2"] == pytest.approx(pipeline[-1].coef_[0, 2])


# --- The path ----------------------------------------------------------------------------------------------


def ours_cv(**parameters):
    return GDLogisticRegressionCV(**{"Cs": [0.01, 0.1, 1.0], "cv": 2, "random_state": 0} | parameters)


@pytest.mark.filterwarnings("ignore:The best score:UserWarning")  # the grid is short
@pytest.mark.parametrize(("l1_ratio", "penalty"), [(0.0, "l2"), (1.0, "l1"), (0.5, "elasticnet")])
def test_a_fitted_path_has_the_penalty_of_its_choice(l1_ratio, penalty):
    model = ours_cv(l1_ratios=(l1_ratio,))
    assert not hasattr(model, "penalty")
    X, y = SCALED["cancer"]
    selector = SelectFromModel(model).fit(X, y)
    chosen = selector.estimator_
    assert chosen.penalty == chosen.at().penalty == penalty
    assert clone(chosen).get_params() == model.get_params()
    one = SelectFromModel(ours(C=chosen.C_, l1_ratio=l1_ratio)).fit(X, y)
    np.testing.assert_array_equal(selector.get_support(), one.get_support())


@pytest.mark.filterwarnings("ignore:The best score:UserWarning")
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_to_sklearn_replaces_paths(l1_ratio):
    X, y = SCALED["iris"]
    path = ours_cv(l1_ratios=(l1_ratio,))
    model = StackingClassifier([("path", path), ("one", ours())], make_pipeline(StandardScaler(), ours()), cv=2)
    theirs = to_sklearn(model.fit(X, y))
    assert not held(theirs, GDLogisticRegression)
    np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    assert type(theirs.estimators_[0]) is LogisticRegression
    template = theirs.estimators[0][1]
    assert type(template) is LogisticRegressionCV
    assert (template.Cs, template.cv, tuple(template.l1_ratios)) == ([0.01, 0.1, 1.0], 2, (l1_ratio,))
    assert type(to_sklearn(ours_cv(cv="loo"))) is LogisticRegressionCV
