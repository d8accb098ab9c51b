"""Labels: of every kind, of many classes, in y and in a stream; and classes whose rows have no weight."""

import copy
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import logsumexp
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import RFE
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import LabelEncoder, scale

from gdlogit import GDLogisticRegression, c_min
from gdlogit.data.labels import PIECE, codes_of, distinct, factorize, strangers

X, Y = load_iris(return_X_y=True)
X = scale(X)
TIGHT = {"tol": 1e-13, "random_state": 0}


def kinds(codes):
    """The same labels in every kind; in this order they are sorted."""
    k = int(codes.max()) + 1
    words = np.array([f"label {number:06d}" for number in range(k)])
    return {
        "ints": codes,
        "ints below 0": (codes - k).astype(np.int16),
        "ints far apart": codes * 2**40,
        "unsigned": codes.astype(np.uint8 if k < 256 else np.uint32),
        "big": codes.astype(np.uint64) + np.uint64(2**64 - k),
        "float64": codes - 0.5 * k // 1,
        "float32": codes.astype(np.float32),
        "bools": codes > codes.mean(),
        "strings": words[codes],
        "bytes": words.astype(bytes)[codes],
        "objects": words.astype(object)[codes],
    }


@pytest.mark.parametrize("n", [2, 150, PIECE + 3])
@pytest.mark.parametrize("k", [1, 2, 3, 40, 1000])
@pytest.mark.parametrize("kind", kinds(np.arange(2)))
def test_labels_are_encoded_as_label_encoder_does(kind, k, n):
    y = kinds(np.random.default_rng(0).permutation(np.arange(max(n, k)) % k))[kind]
    theirs = LabelEncoder().fit(y)
    classes, codes = factorize(y)
    np.testing.assert_array_equal(classes, theirs.classes_)
    assert classes.dtype == y.dtype
    for found in (codes, codes_of(classes, y)):
        np.testing.assert_array_equal(found, theirs.transform(y))
        assert found.dtype.itemsize <= np.min_scalar_type(len(classes)).itemsize


@pytest.mark.parametrize("kind", kinds(np.arange(2)))
def test_encoding_takes_little_memory(kind):
    y = kinds(np.random.default_rng(0).integers(0, 50, 10 * PIECE))[kind]
    tracemalloc.start()
    factorize(y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    at_work = PIECE * (4 * y.itemsize + 64)  # a piece, sorted, with an order and its inverse of 8 bytes each
    assert peak < 3 * len(y) + at_work  # codes in pieces and together


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        (np.array([1.0, 0.0]), np.array([0, 1]), [1, 0]),
        (np.array([True, False]), np.array([0.0, 1.0]), [1, 0]),
        (np.array([2**62 + 1, 2**62], np.uint64), np.array([2**62, 2**62 + 1]), [1, 0]),
        (np.array(["bb", "a"]), np.array(["a", "bb", "long name"]), [1, 0]),
        (np.array(["bb", "a"], object), np.array(["a", "bb"]), [1, 0]),
        (np.array(["bb", "a"]), np.array(["a", "bb"], object), [1, 0]),
    ],
    ids=str,
)
def test_labels_of_a_stream_are_those_of_its_classes_whatever_the_dtypes(y, classes, codes):
    np.testing.assert_array_equal(codes_of(classes, y), codes)
    assert not len(strangers(classes, y))


@pytest.mark.parametrize(
    ("y", "classes", "strange"),
    [
        ([0, 2, 2, 1], [0, 1], [2]),
        ([0.5, 1.0], [0, 1], [0.5]),
        ([2**62 + 1, 2**62], [2**62, 2**62 + 2], [2**62 + 1]),  # the same as floats
        (["a", "c"], ["a", "b"], ["c"]),
        (["1"], [0, 1], ["1"]),
    ],
    ids=str,
)
def test_labels_that_are_no_class_of_a_stream_are_found(y, classes, strange):
    assert strangers(np.array(classes), np.array(y)).tolist() == strange
    with pytest.raises(ValueError, match="y must hold labels of classes="):
        GDLogisticRegression().partial_fit(np.zeros((len(y), 1)), y, classes=classes)


@pytest.mark.parametrize("values", [[None], ["a", None], [None, 1.0], ["a", 1], [None] * (PIECE + 1)], ids=str)
def test_objects_that_are_no_labels_are_shown(values):
    with pytest.raises(ValueError, match="Unknown label type: y must hold strings only or numbers only"):
        distinct(np.array(values, object))


@pytest.mark.parametrize("values", [[0.5, 1.0], [np.array(1), 2]], ids=str)
def test_what_scikit_learn_refuses_is_refused(values):
    y = np.array(values, object if not isinstance(values[0], float) else None)
    for model in (LogisticRegression(), GDLogisticRegression()):
        with pytest.raises(ValueError, match="Unknown label type"):
            model.fit([[0.0], [1.0]], y)


def test_batches_of_numbers_and_of_strings_do_not_go_together():
    with pytest.raises(ValueError, match="y must hold strings only or numbers only"):
        GDLogisticRegression().fit_batches([(X[:100], Y[:100]), (X[100:], Y[100:].astype(str))])


@pytest.mark.parametrize("kind", kinds(np.arange(2)))
def test_many_classes_are_learned_without_a_warning(kind):
    y = kinds(np.arange(60) % 30)[kind]
    rows, classes = np.random.default_rng(0).standard_normal((60, 3)), np.unique(y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = GDLogisticRegression(random_state=0).partial_fit(rows[:31], y[:31], classes=classes)
        model.partial_fit(rows[31:32], y[31:32]).partial_fit(rows[32:], y[32:], classes=classes)
        batches = [(rows[:31], y[:31]), (rows[31:], y[31:])]
        GDLogisticRegression(random_state=0).fit_batches(batches, classes=classes).fit(rows, y, X_val=rows, y_val=y)
        c_min(rows, y)
    np.testing.assert_array_equal(model.classes_, classes)


# --- Classes whose rows have no weight ---------------------------------------------------------------------


FEATURES = {
    "dense": X,
    "csr": sp.csr_array(X),
    "wide": np.hstack([X, np.random.default_rng(1).normal(size=(150, 200))]),
}
forms = pytest.mark.parametrize("X", FEATURES.values(), ids=FEATURES)
without = pytest.mark.parametrize("by", ["sample_weight", "class_weight", "both"])
FOUR = np.where(np.arange(150) % 5 == 0, 9, Y)  # labels 0, 1, 2 and 9


def leaving_out(label, y, by):
    """A class_weight and a sample_weight that leave a class without weight."""
    weight = 0.5 + np.arange(len(y)) % 3
    if by != "class_weight":
        weight = np.where(y == label, 0, weight)
    return None if by == "sample_weight" else {label: 0}, weight


@forms
@without
@pytest.mark.parametrize("label", [0, 1, 9])
@pytest.mark.parametrize("l1_ratio", [0, 0.5])
def test_a_class_without_weight_has_a_column_and_the_others_are_as_if_it_were_not_there(X, by, label, l1_ratio):
    class_weight, weight = leaving_out(label, FOUR, by)
    there = label != FOUR
    ours = GDLogisticRegression(class_weight=class_weight, l1_ratio=l1_ratio, **TIGHT).fit(X, FOUR, weight)
    theirs = GDLogisticRegression(l1_ratio=l1_ratio, **TIGHT).fit(X[there], FOUR[there], weight[there])
    assert ours.converged_
    np.testing.assert_array_equal(ours.classes_, [0, 1, 2, 9])
    others = ours.classes_ != label
    np.testing.assert_array_equal(ours.predict_proba(X)[:, ~others], 0)
    np.testing.assert_allclose(ours.predict_proba(X)[:, others], theirs.predict_proba(X), rtol=0, atol=1e-5)
    np.testing.assert_allclose(ours.loss_curve_[-1], theirs.loss_curve_[-1], rtol=1e-12)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert not ours.coef_[~others].any()
    for name in ("decision_function", "predict_log_proba", "predict_proba"):
        assert np.isfinite(getattr(ours, name)(X)).all()


@pytest.mark.parametrize("C", [0.1, 1.0])
@without
def test_two_classes_of_three_have_scikit_learns_softmax(C, by):
    class_weight, weight = leaving_out(1, Y, by)
    ours = GDLogisticRegression(C=C, class_weight=class_weight, **TIGHT).fit(X, Y, weight)
    two = Y != 1  # |W_0|^2 + |W_2|^2 at W_2 = -W_0 is half |W_2 - W_0|^2
    sigmoid = GDLogisticRegression(C=2 * C, **TIGHT).fit(X[two], Y[two], weight[two])
    np.testing.assert_allclose(ours.predict_proba(X)[:, [0, 2]], sigmoid.predict_proba(X), rtol=0, atol=1e-5)
    settings = {"C": C, "class_weight": class_weight, "tol": 1e-8, "max_iter": 10_000}
    theirs = LogisticRegression(**settings).fit(X, Y, weight)  # on its way to a minimum that is a limit
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-3)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=2e-2)


@without
def test_a_class_without_weight_and_an_intercept_is_fitted_as_scikit_learn_does(by):
    class_weight, weight = leaving_out(1, Y, by)
    settings = {"C": 0.5, "fit_intercept": False, "class_weight": class_weight}
    ours = GDLogisticRegression(**settings, **TIGHT).fit(X, Y, weight)
    theirs = LogisticRegression(**settings, tol=1e-10, max_iter=10_000).fit(X, Y, weight)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=0, atol=1e-6)
    assert (ours.predict_proba(X)[:, 1] > 1e-4).all()
    assert ours.converged_
    z, weight = X @ ours.coef_.T, np.where(Y == 1, 0, weight)
    loss = weight @ (logsumexp(z, axis=1) - z[np.arange(150), Y])
    assert ours.loss_curve_[-1] == pytest.approx((loss + (ours.coef_**2).sum()) / weight.sum())  # 1 / (2 C) is 1


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_balanced_classes_are_balanced_among_those_that_have_a_weight(fit_intercept):
    weight = np.where(FOUR == 2, 0, 0.5 + np.arange(150) % 3)
    factors = {label: 1 / weight[label == FOUR].sum() for label in (0, 1, 9)} | {2: 0}
    models = [
        GDLogisticRegression(class_weight=class_weight, fit_intercept=fit_intercept, C=C, **TIGHT).fit(X, FOUR, weight)
        for class_weight, C in (("balanced", 1.0), (factors, weight.sum() / 3))
    ]
    np.testing.assert_allclose(models[0].predict_proba(X), models[1].predict_proba(X), rtol=0, atol=1e-5)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("solver", ["auto", "gd", "nesterov", "sgd"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_solver_keeps_a_class_without_weight(solver, fit_intercept):
    settings = {"solver": solver, "fit_intercept": fit_intercept, "max_iter": 300, "random_state": 0, "C": 0.1}
    model = GDLogisticRegression(**settings).fit(X, Y, Y != 0)
    best = GDLogisticRegression(**settings | {"solver": "auto"} | TIGHT).fit(X, Y, Y != 0)
    assert model.predict_proba(X).shape == (150, 3)
    np.testing.assert_allclose(model.predict_proba(X), best.predict_proba(X), rtol=0, atol=0.03)
    assert model.loss_curve_[-1] - best.loss_curve_[-1] <= model.duality_gap_ + 1e-15


def test_batches_keep_a_class_without_weight():
    weight = (FOUR != 1) * (0.5 + np.arange(150) % 3)
    parts = [slice(0, 60), slice(60, 61), slice(61, 150)]
    for settings in ({}, {"fit_intercept": False}, {"class_weight": "balanced"}, {"class_weight": {9: 0}}):
        ours = GDLogisticRegression(**settings, **TIGHT)
        for classes in (None, [0, 1, 2, 9]):
            ours.fit_batches([(X[part], FOUR[part], weight[part]) for part in parts], classes=classes)
            theirs = GDLogisticRegression(**settings, **TIGHT).fit(X, FOUR, weight)
            np.testing.assert_array_equal(ours.classes_, theirs.classes_)
            np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-5)


def test_a_stream_learns_nothing_from_rows_of_a_class_of_weight_0():
    ours, theirs = GDLogisticRegression(class_weight={1: 0}), GDLogisticRegression()
    for start in range(0, 150, 25):  # the third and the fourth have no other rows
        rows, y = X[start : start + 25], Y[start : start + 25]
        ours.partial_fit(rows, y, classes=[0, 1, 2])
        if (y != 1).any():
            theirs.partial_fit(rows[y != 1], y[y != 1], classes=[0, 1, 2])
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(np.isnan(ours.progressive_loss_curve_), [False] * 2 + [True] * 2 + [False] * 2)
    found = ours.progressive_loss_curve_
    np.testing.assert_allclose(found[~np.isnan(found)], theirs.progressive_loss_curve_)


def test_a_stream_may_begin_without_weight():
    model = GDLogisticRegression().partial_fit(X, Y, classes=[0, 1, 2], sample_weight=np.zeros(150))
    np.testing.assert_array_equal(model.predict_proba(X), 1 / 3)
    np.testing.assert_array_equal(model.partial_fit(X, Y).predict(X), GDLogisticRegression(C=1).fit(X, Y).predict(X))


def test_a_warm_start_takes_a_class_that_loses_or_gains_its_weight():
    model = GDLogisticRegression(warm_start=True, **TIGHT).fit(X, Y)
    for weight in (Y != 1, Y != 2, None):
        expected = GDLogisticRegression(**TIGHT).fit(X, Y, weight)
        np.testing.assert_allclose(
            model.fit(X, Y, weight).predict_proba(X), expected.predict_proba(X), rtol=0, atol=1e-5
        )


def test_separable_classes_are_named_beside_one_without_weight():
    with pytest.warns(ConvergenceWarning, match=r"separable.*for class 9.*Set a finite C") as record:
        GDLogisticRegression(C=np.inf).fit(np.c_[np.where(FOUR == 9, 1.0, 0.0), X[:, 0]], FOUR, FOUR != 0)
    assert "class 0" not in str(record[0].message)


def test_held_out_rows_are_of_classes_with_a_weight():
    model = GDLogisticRegression(**TIGHT)
    model.fit(X, Y, Y != 1, X_val=X[Y != 1], y_val=Y[Y != 1])
    expected = -np.log(model.predict_proba(X)[np.arange(150), Y][Y != 1]).mean()
    assert model.validation_loss_curve_[-1] == pytest.approx(expected)
    before = copy.copy(model)
    with pytest.raises(
        ValueError, match=r"y_val must hold labels of y only, array\(\[0, 2\]\); got array\(\[1\]\) too"
    ):
        model.fit(X, Y, Y != 1, X_val=X, y_val=Y)
    assert vars(model).keys() == vars(before).keys()
    stopped = GDLogisticRegression(early_stopping=True, random_state=0).fit(X, Y, Y != 1)
    assert stopped.predict_proba(X).shape == (150, 3)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_smallest_c_beside_a_class_without_weight(fit_intercept):
    settings = {"l1_ratio": 1.0, "fit_intercept": fit_intercept}
    smallest = c_min(X, FOUR, sample_weight=FOUR != 1, **settings)
    for factor, any_coefficient in ((0.999, False), (1.001, True)):
        model = GDLogisticRegression(C=factor * smallest, **settings, **TIGHT).fit(X, FOUR, FOUR != 1)
        assert model.coef_.any() == any_coefficient


@pytest.mark.parametrize("labels", [[0, 1], ["a", "b"], [3.0, 7.0]], ids=str)
def test_weights_that_leave_one_class_are_named(labels):
    y = np.array(labels)[np.arange(10) % 2]
    weight = np.arange(10) % 2  # the weights that check_estimator has for this
    rows = np.random.default_rng(0).uniform(size=(10, 10))
    ours = GDLogisticRegression()
    with pytest.raises(ValueError, match=r"\bclasses\b.*\bsample_weight\b.*got one class"):
        ours.fit(rows, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"\bclasses\b.*\bclass_weight\b.*got one class"):
        ours.set_params(class_weight={labels[0]: 0}).fit(rows, y)
    with pytest.raises(ValueError, match=r"\bclasses\b.*\bsample_weight\b.*got one class"):
        GDLogisticRegression().fit_batches([(rows, y, weight)])


@pytest.mark.parametrize(
    "company",
    [
        RFE(GDLogisticRegression()),
        VotingClassifier([("a", GDLogisticRegression()), ("b", GDLogisticRegression(C=2))]),
        StackingClassifier([("a", GDLogisticRegression()), ("b", GDLogisticRegression(C=2))], cv=2),
    ],
    ids=lambda company: type(company).__name__,
)
def test_weights_that_leave_one_class_are_named_through_scikit_learns_own(company):
    rows, y = np.random.default_rng(0).uniform(size=(10, 10)), np.arange(10) % 2
    with pytest.raises((TypeError, ValueError), match=r"\bsample_weight\b"):
        company.fit(rows, y, sample_weight=y)


def test_early_stopping_is_refused_by_a_stream_as_sgd_classifier_does():
    model = GDLogisticRegression(early_stopping=True)
    with pytest.raises(ValueError, match="early_stopping=True is not supported by partial_fit"):
        model.partial_fit(X, Y, classes=[0, 1, 2])
    assert not hasattr(model, "classes_")
