"""Rows that lie in partitions have the minimum that they have all at once: on the engine-free reference."""

import math
import pickle
from functools import reduce
from operator import add

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from gdlogit import GDLogisticRegression
from gdlogit.backprop import Softmax, loss_of
from gdlogit.data.exact_sum import ExactSum
from gdlogit.data.memory import rows_of
from gdlogit.data.part_rows import PartRows
from gdlogit.data.parts import Given, InProcess, surveyed
from gdlogit.data.survey import Survey
from gdlogit.estimators.collection import facts_of
from gdlogit.estimators.validation import columns_of
from gdlogit.objective import Objective, Overflow, overflow_raised
from gdlogit.penalty import ElasticNet


class Elsewhere(InProcess):
    """Parts that know of each other what pickles tell: nothing can be shared, written to, or left behind."""

    def map(self, f, *others):
        if "<lambda>" in repr(f) or "<locals>" in repr(f):  # of a test; the package sends none
            return Elsewhere(InProcess.map(self, f, *others).values)
        return Elsewhere(InProcess.map(self, sent(f), *others).values)

    def reduce(self, f, combine, *others):
        return sent(InProcess.reduce(self, sent(f), sent(combine), *others))

    def among(self, f, arguments):
        return sent(InProcess.among(self, sent(f), sent(arguments)))

    def only(self, places):
        return Elsewhere(InProcess.only(self, places).values)

    def scatter(self, values):
        return Elsewhere(sent(values))


def sent(value):
    return pickle.loads(pickle.dumps(value))


ENDS = (0, 400, 401, 401, 900, 1000, 1600, 2000)  # 7 partitions, of which one is empty and one has a single row


def cut(X, y, weight=None, offset=None, ends=ENDS):
    arrays = X, y, weight, offset
    spans = [slice(*ends[i : i + 2]) for i in range(len(ends) - 1)]
    return Elsewhere(
        Given(i, *(None if array is None else array[span] for array in arrays)) for i, span in enumerate(spans)
    )


def fit_parts(model, X, y, weight=None, offset=None, validation=None, parts=None):
    """``fit`` of the same rows in partitions."""
    with model._unchanged_on_error():
        model._fit_parts(parts or cut(X, y, weight, offset), X[:0], (X, y, weight, offset), validation)
    return model


def rows(k=2, n=2000, p=6, scaled=False, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p)) @ (np.eye(p) + 0.3 * rng.standard_normal((p, p)))
    y = (X @ rng.standard_normal((p, k)) + rng.gumbel(size=(n, k))).argmax(axis=1)
    if not scaled:
        X = X * np.append(5, 10.0 ** np.linspace(-3, 4, p - 1)) + np.append(2000, np.zeros(p - 1))
    return X, y


def model(**parameters):
    return GDLogisticRegression(**{"tol": 1e-12, "random_state": 0} | parameters)


def J_of(model, X, y, weight=None):
    """J at the coefficients of a model, by scikit-learn's formula, in float64."""
    z = np.asarray(X.toarray() if sp.issparse(X) else X, float) @ np.asarray(model.coef_, float).T + model.intercept_
    z = np.hstack([np.zeros_like(z), z]) if z.shape[1] == 1 else z
    weight = np.ones(len(y)) if weight is None else weight
    top = z.max(axis=1)
    losses = np.log(np.exp(z - top[:, None]).sum(axis=1)) + top - z[np.arange(len(y)), y]
    W, r = np.asarray(model.coef_, float), model.l1_ratio
    penalty = (0.5 * (1 - r) * (W**2).sum() + r * np.abs(W).sum()) / (model.C * weight.sum())
    return weight @ losses / weight.sum() + penalty


PENALTIES = {"l2": {}, "none": {"C": np.inf}, "l1": {"C": 0.1, "l1_ratio": 1.0}, "net": {"C": 0.1, "l1_ratio": 0.5}}
STORAGES = {"dense": np.asarray, "csr": sp.csr_array, "float32": lambda X: X.astype(np.float32)}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("solver", ["newton-sketch", "nesterov", "gd"])
@pytest.mark.filterwarnings("ignore:J is about:sklearn.exceptions.ConvergenceWarning")  # of few steps of the textbook's
def test_parts_have_the_minimum_of_all_rows(solver, k, penalty, storage):
    X, y = rows(k, scaled=solver != "newton-sketch" or storage != "dense")
    X[np.abs(X) < 0.2 * X.std(axis=0)] = 0
    X = STORAGES[storage](X)
    terms = {"solver": solver, "max_iter": 50, **PENALTIES[penalty]}
    if storage == "float32":
        terms["tol"] = 1e-6
    ours, theirs = fit_parts(model(**terms), X, y), model(**terms).fit(X, y)
    assert J_of(ours, X, y) == pytest.approx(J_of(theirs, X, y), abs=1e-6 if storage == "float32" else 1e-12)
    assert ours.converged_ == theirs.converged_
    assert ours.coef_.dtype == theirs.coef_.dtype
    assert 0 <= ours.duality_gap_ < np.log(k) or penalty == "none"


@pytest.mark.parametrize("storage", ["dense", "csr"])
@pytest.mark.parametrize("penalty", ["l2", "l1"])
@pytest.mark.parametrize("k", [2, 3])
def test_many_parameters_have_the_minimum_of_all_rows(k, penalty, storage):
    rng = np.random.default_rng(0)
    X = sp.random_array((2000, 1600), density=0.01, random_state=rng, format="csr")
    y = np.argmax(X @ rng.standard_normal((1600, k)) * 5 + rng.gumbel(size=(2000, k)), axis=1)
    X = STORAGES[storage](X.toarray())
    terms = {"l1_ratio": 1.0 if penalty == "l1" else 0.0, "C": 1.0}
    ours, theirs = fit_parts(model(**terms), X, y), model(**terms).fit(X, y)
    assert J_of(ours, X, y) == pytest.approx(J_of(theirs, X, y), abs=1e-12)
    assert ours.duality_gap_ < 1e-6


def test_weights_text_labels_absent_classes_and_balance_are_those_of_fit():
    X, y = rows(3)
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(float)
    weight[400:900] = 0  # two partitions that count for nothing
    y[1000:1600] = 1  # one that has a single class
    labels = np.array(["a", "b", "c"], dtype=object)[y]
    for class_weight in (None, "balanced", {"a": 2.0, "c": 0.5}):
        ours = fit_parts(model(class_weight=class_weight), X, labels, weight)
        theirs = model(class_weight=class_weight).fit(X, labels, weight)
        np.testing.assert_array_equal(ours.classes_, theirs.classes_)
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-8)
        np.testing.assert_allclose(ours.class_prior_, theirs.class_prior_)
    weight[y == 1] = 0
    ours, theirs = fit_parts(model(), X, labels, weight), model().fit(X, labels, weight)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-8)


def test_offsets_bounds_factors_and_firth_go_along():
    X, y = rows()
    offset = X[:, 1] / X[:, 1].std()
    for terms in ({"coef_bounds": (0, 1e-3)}, {"penalty_factor": [1, 0, 1, 2, 1, np.inf]}):
        ours, theirs = fit_parts(model(**terms), X, y, offset=offset[:, None]), model(**terms).fit(X, y, offset=offset)
        np.testing.assert_allclose(ours.coef_ * X.std(axis=0), theirs.coef_ * X.std(axis=0), atol=1e-5)
        assert ours.has_offset_
    ours, theirs = (model(C=np.inf, bias_reduction="firth", intercept_correction="flic") for _ in range(2))
    np.testing.assert_allclose(fit_parts(ours, X, y).coef_, theirs.fit(X, y).coef_, rtol=1e-6)


def test_a_sample_that_crosses_the_wire_has_its_offset():
    X, y = rows(n=100)
    offset = np.arange(100.0)[:, None]
    taken = sent(rows_of(X, y, np.ones(100), offset=offset).take(np.arange(0, 100, 7)))
    np.testing.assert_array_equal(taken.block.offset, offset[::7])


@pytest.mark.parametrize("as_parts", [True, False])
def test_held_out_rows_choose_the_same_iteration(as_parts):
    X, y = rows(3, scaled=True)
    X_val, y_val = rows(3, n=2000, scaled=True, seed=1)
    weight = np.linspace(0, 2, 2000)
    terms = {"solver": "nesterov", "early_stopping": True, "max_iter": 60, "C": np.inf, "class_weight": "balanced"}
    validation = cut(X_val, y_val, weight) if as_parts else (X_val, y_val, weight, None)
    ours = fit_parts(model(**terms), X, y, validation=validation)
    theirs = model(**terms).fit(X, y, X_val=X_val, y_val=y_val, sample_weight_val=weight)
    np.testing.assert_allclose(ours.validation_loss_curve_, theirs.validation_loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-8)


def test_a_warm_start_goes_on_and_fit_forgets_the_passes():
    X, y = rows()
    ours = fit_parts(model(warm_start=True), X, y)
    passes = ours.n_passes_
    assert len(ours.history_) == ours.n_iter_
    assert fit_parts(ours, X, y).n_passes_ < passes
    assert not hasattr(ours.fit(X, y), "n_passes_")


def test_separable_classes_are_named():
    X = np.random.default_rng(0).standard_normal((2000, 2))
    ours = model(C=np.inf)
    assert "separable" in ours._fit_parts(cut(X, X[:, 0] > 0), X[:0], (X, None, None, None), None)


def test_how_the_rows_are_cut_does_not_matter():
    X, y = rows()
    reference = model().fit(X, y)
    for ends in ((0, 2000), (0, 0, 1, 2, 2000), tuple(range(0, 2001, 50))):
        ours = fit_parts(model(), X, y, parts=cut(X, y, ends=ends))
        np.testing.assert_allclose(ours.predict_proba(X), reference.predict_proba(X), atol=1e-8)


def test_the_order_of_a_sum_over_parts_does_not_matter():
    rng = np.random.default_rng(0)
    values = [
        (rng.standard_normal((40, 3)) * 10.0 ** rng.integers(-8, 8), float(rng.standard_normal())) for _ in range(99)
    ]
    sums = []
    for _ in range(5):
        rng.shuffle(values)
        array, number = (reduce(add, map(ExactSum.of, entries)).value() for entries in zip(*values, strict=True))
        sums.append((array, number))
    for array, number in sums[1:]:
        np.testing.assert_array_equal(array, sums[0][0])
        assert number == sums[0][1] == math.fsum(number for _, number in values)


def test_an_overflow_of_a_sum_is_one_where_it_is_asked_for():
    huge = ExactSum.of(np.full(2, 1e308)) + ExactSum.of(np.full(2, 1e308))
    assert np.isinf(huge.value()).all()
    with overflow_raised(), pytest.raises(Overflow):
        huge.value()


def test_dense_and_csr_partitions_go_together():
    X, y = rows(scaled=True)
    X[np.abs(X) < 0.5] = 0
    mixed = [given._replace(X=sp.csr_array(given.X) if given.number % 2 else given.X) for given in cut(X, y).values]
    ours = fit_parts(model(), X, y, parts=Elsewhere(mixed))
    np.testing.assert_allclose(ours.coef_, model().fit(X, y).coef_, atol=1e-8)


@pytest.mark.parametrize(("k", "p"), [(2, 6), (2, 900), (3, 300)])
def test_a_function_on_the_wire_is_small_and_has_no_rows(k, p):
    sizes = []

    class Weighed(Elsewhere):
        def reduce(self, f, combine, *others):
            sizes.append(len(pickle.dumps(f)))
            return Elsewhere.reduce(self, f, combine, *others)

    for n in (1000, 2000):
        X, y = rows(k, n=n, p=p, scaled=True)
        parts = Weighed(cut(X, y, ends=(0, 500, n)).values)
        held = surveyed(parts, lambda *arrays: arrays, str, facts_of_labels(None, True))
        held.parts = Weighed(held.parts.values)
        sizes.clear()
        centred = PartRows(held).for_scores(max(1, k if k > 2 else 1)).centred()
        Objective(centred, loss_of(k), ElasticNet(0.1)).at(np.ones((p + 1, centred.n_scores)))
        assert sizes
        assert max(sizes) <= 4000 + 16 * (p + 1) * centred.n_scores


def unaligned(array):
    """The same numbers, one byte further on: so they may come over a network."""
    moved = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def test_numbers_that_are_not_aligned_are_copied_once():
    X, y = rows(n=100)
    given = InProcess([Given(0, unaligned(X), y, unaligned(np.ones(100)), unaligned(np.zeros((100, 1))))])
    held = surveyed(given, lambda *arrays: arrays, lambda labels: None, facts_of_labels(None, True))
    (part,) = held.parts.values
    assert all(array.flags.aligned for array in (part.X, part.weight, part.offset))
    assert rows_of(unaligned(X), y, np.ones(100)).X.flags.aligned
    np.testing.assert_array_equal(part.X, X)


def test_what_is_known_of_each_row_stays_where_the_row_is():
    X, y = rows(3)
    ours = Objective(part_rows(X, y).for_scores(3), Softmax(3), ElasticNet(0.1))
    theirs = Objective(rows_of(X, y, np.ones(2000), n_scores=3), Softmax(3), ElasticNet(0.1))
    theta = np.random.default_rng(0).standard_normal((7, 3)) / np.append(X.std(axis=0), 1)[:, None]
    z, whole = ours.scores(theta), theirs.scores(theta)
    np.testing.assert_allclose(np.asarray(z), whole, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(z + np.float64(0.5) * z, dtype=np.float32), 1.5 * whole, rtol=1e-5)
    np.testing.assert_allclose((z * z)[np.array([3, 402, 1999])], whole[[3, 402, 1999]] ** 2, rtol=1e-12)
    passes = ours.rows.held.n_passes
    c = ours.curvature(z)
    np.testing.assert_allclose(np.asarray(c), theirs.curvature(whole), rtol=1e-12)
    assert not np.asarray(ours.scores(np.zeros_like(theta))).any()
    assert ours.rows.held.n_passes == passes
    np.testing.assert_allclose(ours.hessian_product(c)(theta), theirs.hessian_product(np.asarray(c))(theta), rtol=1e-9)
    assert ours.rows.held.n_passes == passes + 1


@pytest.mark.parametrize(("storage", "exponent"), [("dense", -540), ("csr", 540), ("float32", -80)])
@pytest.mark.parametrize("C", [1.0, np.inf])
def test_parts_whose_squares_are_no_numbers_have_units(storage, exponent, C):
    X, y = rows(scaled=True)
    X = STORAGES[storage](np.ldexp(X, exponent))
    whole, parts = model(C=C).fit(X, y), fit_parts(model(C=C), X, y)
    np.testing.assert_allclose(parts.coef_, whole.coef_, rtol=1e-3 if storage == "float32" else 1e-5)


def part_rows(X, y, weight=None):
    def check(*arrays):
        return arrays

    facts = facts_of_labels(None, True)
    return PartRows(surveyed(InProcess(cut(X, y, weight).values), check, lambda labels: None, facts))


def facts_of_labels(*settings):
    return lambda survey: facts_of(lambda *found: columns_of(*settings, *found), survey)


def test_rows_are_taken_left_out_and_weighted_across_parts():
    X, y = rows()
    weight = np.arange(1.0, 2001.0)
    ours = part_rows(X, y, weight)
    index = np.array([3, 400, 1999])
    np.testing.assert_array_equal(ours.take(index).X, X[index])

    def total(block):
        return (block.weight.sum(),)

    early = ours.each(lambda block: np.arange(block.first, block.first + len(block)) < 500)
    late = early.map(np.logical_not)
    rest = ours.without(early)
    assert rest.sum(total)[0] == weight[500:].sum()
    assert not rest.without(late).sum(total)[0]
    np.testing.assert_array_equal(rest.take(index).weight, [0, 0, 2000])
    half = rest.reweighted(ours.repeated(np.full((1, 1), 0.5)).map(np.ravel))
    assert (half.total, half.n_counted, half.smallest_weight) == (weight[500:].sum() / 2, 1500, 250.5)


def test_surveys_add_up_in_any_grouping():
    X, y = rows(3)
    X[:, 2] = 7.1
    parts = [Survey.of(X[i : i + 500], y[i : i + 500], None, None, lambda labels: None) for i in range(0, 2000, 500)]
    a, b, c, d = parts
    left, right, whole = ((a + b) + c) + d, a + (b + (c + d)), Survey.of(X, y, None, None, lambda labels: None)
    for survey in (left, right):
        assert survey.n_rows == 2000
        assert survey.totals == whole.totals
        assert survey.centre[2] == X[0, 2]  # exactly: rounding would pass for a feature
        np.testing.assert_allclose(survey.centre, X.mean(axis=0), atol=0.2 * X.std(axis=0).max())


def bad(place, **arrays):
    parts = cut(X, Y).values
    parts[place] = parts[place]._replace(**arrays)
    return Elsewhere(parts)


X, Y = rows()
ERRORS = {
    "nan": (bad(3, X=X[401:900] * np.nan), r"NaN(.|\n)*In partition 3\."),
    "rows": (bad(3, y=Y[:5]), r"inconsistent(.|\n)*In partition 3\."),
    "features": (bad(4, X=X[900:1000, 1:]), r"5 features(.|\n)*In partition 4\."),
    "weights": (bad(0, weight=-np.ones(400)), r"must not be negative(.|\n)*In partition 0\."),
    "labels": (bad(0, y=Y[:400] + 0.5), r"Unknown label type(.|\n)*In partition 0\."),
    "mixed labels": (bad(0, y=Y[:400].astype(str)), "y must hold strings only or numbers only"),
    "offset": (bad(0, offset=np.ones(400)), "An offset must be given for all rows"),
    "no rows": (cut(X, Y, ends=(0, 0, 0)), "X must have at least one row; its 2 partitions have none"),
    "one class": (cut(X, np.zeros(2000)), "at least two classes"),
    "large": (cut(X, Y, np.full(2000, 1e307)), r"too large for float64"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_name_the_partition_and_leave_the_estimator_as_it_was(name):
    parts, message = ERRORS[name]
    ours = GDLogisticRegression()
    with pytest.raises(ValueError, match=message):
        fit_parts(ours, X, Y, parts=parts)
    assert vars(ours) == vars(GDLogisticRegression())


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "sgd"}, "random order"),
        ({"early_stopping": True}, "give X_val and y_val"),
        ({"C": np.inf, "bias_reduction": "firth", "intercept_correction": "flac"}, "use 'flic'"),
    ],
)
def test_what_needs_rows_at_hand_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        fit_parts(GDLogisticRegression(**parameters), X, Y)


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (cut(X, Y + 1), "y_val must hold labels of y only"),
        (cut(X, Y, np.zeros(2000)), "sample_weight_val must be positive"),
        (cut(X, Y, offset=np.ones(2000)), "offset and offset_val must be given together"),
    ],
)
def test_held_out_rows_that_do_not_go_with_the_others_are_refused(validation, message):
    with pytest.raises(ValueError, match=message):
        fit_parts(GDLogisticRegression(), X, Y, validation=validation)


def test_an_overflow_of_a_step_is_no_error_but_a_step_too_long():
    X, y = rows(scaled=True)
    ours = GDLogisticRegression(solver="gd", learning_rate=1e200, max_iter=20)
    theirs = GDLogisticRegression(solver="gd", learning_rate=1e200, max_iter=20)
    ours._fit_parts(cut(X, y), X[:0], (X, y, None, None), None)
    with pytest.warns(ConvergenceWarning):
        theirs.fit(X, y)
    assert len(ours.history_) == len(theirs.history_)
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
