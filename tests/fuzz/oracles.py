"""What must hold of every fit. An oracle's name is its claim; it fails by an AssertionError, with the numbers.

An oracle that has nothing to say of a case returns IDLE.
"""

import warnings
from copy import deepcopy

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog
from sklearn.exceptions import ConvergenceWarning

from gdlogit import GDLogisticRegression

from .cases import batches, in_form

IDLE = object()
NOT_CONVERGED = ("J is ", "J seems to be", "The classes are separable", "learning_rate=")
SPARE_BYTES = 64 * 2**20  # that any fit may take
FEW_FOR_LP = 3000  # entries of X
LP_TOLERANCE = 1e-10  # HiGHS goes no further


def a_fit_ends_in_time_without_an_error(trial):
    error = trial.fit.error
    if trial.case.parameters["early_stopping"] and max(np.bincount(trial.data.codes[trial.weight > 0])) < 2:
        assert "early_stopping=True holds out" in str(error), f"{error!r} for classes of single rows"
        return
    assert error is None, f"{type(error).__name__}: {error}"


def a_fit_leaves_its_input_as_it_was(trial):
    assert not trial.fit.touched


def memory_is_that_of_a_hessian_or_two(trial):
    X = in_form(trial.case, trial.data.X)
    n_bytes = sum(part.nbytes for part in (X.data, X.indices, X.indptr)) if hasattr(X, "indptr") else 0
    n_parameters = (trial.data.X.shape[1] + 1) * trial.case.n_classes
    allowed = SPARE_BYTES + 4 * (n_bytes or 8 * trial.data.X.size) + 8 * 8 * min(n_parameters, 1500) ** 2
    assert trial.fit.peak <= allowed, f"{trial.fit.peak:.3g} bytes; {allowed:.3g} are enough"


def a_fit_says_that_it_has_not_converged_and_nothing_else(trial):
    model, said = trial.fit.model, trial.fit.said
    strange = [w for w in said if w.category is not ConvergenceWarning or not str(w.message).startswith(NOT_CONVERGED)]
    assert not strange, f"{strange[0].category.__name__}: {strange[0].message}"
    if not hasattr(model, "converged_"):
        return IDLE
    assert len(said) <= 1, f"{len(said)} warnings"
    assert not (model.converged_ and said), f"converged_, and {said[0].message}"
    assert model.converged_ or said or model.early_stopping, "neither converged_ nor a warning"


def what_is_fitted_is_finite(trial):
    if trial.fit.error:
        return IDLE
    model = trial.fit.model
    for name in ("coef_", "intercept_", "loss_curve_"):
        assert name == "loss_curve_" or np.isfinite(getattr(model, name)).all(), f"{name}: {getattr(model, name)}"
    assert len(model.loss_curve_) == model.n_iter_ == len(model.history_)
    assert model.fit_intercept or not model.intercept_.any()
    single = trial.case.dtype == "float32" and trial.case.form != "polars"  # which scikit-learn reads in float64
    dtype = np.float32 if single else np.float64
    assert model.coef_.dtype == model.intercept_.dtype == dtype, model.coef_.dtype


def ended_above_its_start(fit):
    return any(word in str(w.message) for w in fit.said for word in ("diverges", "has not come below", "separable"))


def has_j(trial):
    """Whether J, and its minimum, are those of all rows."""
    return trial.fit.error is None and not trial.case.parameters["early_stopping"]


def resolution(trial):
    """The relative rounding of J that the documentation allows."""
    return 1.2e-6 if trial.case.dtype == "float32" else 2.3e-15


def error_of_scores(trial):
    """What rounding does to the scores X W + b in the case's dtype, at most; the loss changes by no more than that."""
    model, eps = trial.fit.model, np.finfo(trial.fit.model.coef_.dtype).eps
    return 4 * eps * float((np.abs(trial.data.X) @ np.abs(model.coef_.T) + np.abs(model.intercept_)).max())


def j_is_what_the_history_says(trial):
    if not has_j(trial):
        return IDLE
    model = trial.fit.model
    true, curve = trial.objective(model), model.loss_curve_
    if not (model.coef_.any() or model.intercept_.any()):  # where it began, and no step has been an improvement
        assert min(curve) >= true * (1 - 20 * resolution(trial)), f"J is {min(curve)!r} after some step, {true!r} at 0"
        return
    said = min(curve, key=lambda value: abs(value - true)) if ended_above_its_start(trial.fit) else curve[-1]
    rounding = 20 * resolution(trial) * max(true, 1e-6) + error_of_scores(trial)
    assert abs(true - said) <= rounding, f"J is {true!r}, not {said!r} ({true - said:.2g} more)"


def converged_is_within_tol_of_the_lowest_j_of_any_solver(trial):
    if not has_j(trial) or not trial.fit.model.converged_:
        return IDLE
    if trial.case.dtype == "float32" and trial.case.parameters["C"] == np.inf and {"copy", "sum"} & {*trial.case.kinds}:
        return (
            IDLE  # rounding makes features of columns that depend on each other; J has a use for them, a fit has none
        )
    value, (lowest, who) = trial.objective(trial.fit.model), trial.lowest
    rounding = resolution(trial)
    goal = max(trial.parameters["tol"], rounding) * min(1, value) if value > rounding else rounding
    allowed = 2 * goal + error_of_scores(trial) ** 2
    assert value - lowest <= allowed + 1e-15, f"J is {value - lowest:.3g} above that of {who}, {lowest:.12g}"


def the_duality_gap_is_no_less_than_the_excess(trial):
    if not has_j(trial):
        return IDLE
    model, value, (lowest, who) = trial.fit.model, trial.objective(trial.fit.model), trial.lowest
    assert model.duality_gap_ >= 0, model.duality_gap_
    exact = getattr(trial.exact.model, "intercept_", model.intercept_)
    away = np.abs(model.intercept_ - exact).sum()  # residuals add up to 0 but for rounding
    rounding = resolution(trial) * (10 * value + away) + error_of_scores(trial)
    excess = value - lowest - rounding
    assert model.duality_gap_ >= excess, (
        f"{model.duality_gap_:.3g}; J is {excess:.3g} above that of {who}, {lowest:.12g}"
    )


def the_default_reaches_the_minimum(trial):
    exact = trial.exact
    assert exact.error is None, repr(exact.error)
    value, (lowest, who) = trial.objective(exact.model), trial.lowest
    if trial.case.parameters["C"] == np.inf and any("separable" in str(w.message) for w in exact.said):
        return
    allowed = 1e-6 * lowest + 1e-15
    assert value - lowest <= allowed, f"J is {value:.10g}, {value - lowest:.3g} above that of {who}"


def separable_is_said_where_it_is_so(trial):
    if trial.case.parameters["C"] < np.inf or trial.data.X.size * trial.case.n_classes > FEW_FOR_LP:
        return IDLE
    said = any("separable" in str(w.message) for w in trial.exact.said)
    margin = separation(trial)
    if margin is None:
        return IDLE
    assert said or margin < 1e-3, f"not said, but margins can be raised by {margin:.3g}, and none lowered"
    assert not said or margin > 10 * LP_TOLERANCE, (
        f"said, but a linear program sees no direction that separates ({margin:.3g})"
    )


def separation(trial):
    """By how much a direction in a unit box that lowers no margin can raise all together; None where HiGHS fails."""
    X, y, k = trial.data.X, trial.data.codes, trial.case.n_classes
    counted = np.asarray(trial.weight > 0)
    X, y = X[counted], y[counted]
    if trial.parameters["fit_intercept"]:
        X = np.column_stack([X - X.mean(axis=0), np.ones(len(X))])
    X = X / np.where(np.abs(X).max(axis=0) > 0, np.abs(X).max(axis=0), 1)
    if k == 2:
        rows = (2 * y - 1)[:, None] * X
    else:
        rows = np.concatenate(
            [np.kron(np.eye(k)[y[i]] - np.eye(k)[np.arange(k) != y[i]], X[i][None]) for i in range(len(y))]
        )
    options = {"primal_feasibility_tolerance": LP_TOLERANCE, "dual_feasibility_tolerance": LP_TOLERANCE}
    found = linprog(-rows.sum(axis=0), -rows, np.zeros(len(rows)), bounds=(-1, 1), method="highs", options=options)
    return -found.fun if found.success else None


def the_form_of_the_input_changes_nothing(trial):
    if not has_j(trial):
        return IDLE
    ours, plain = trial.fit.model, trial.plain.model
    endless = any("separable" in str(w.message) for w in trial.fit.said)  # batches know the least weight roughly
    same_steps = ours.solver in ("gd", "nesterov") and ours.learning_rate == "auto" and not endless
    if not (ours.converged_ or same_steps):
        return IDLE
    apart = trial.objective(ours) - trial.objective(plain)
    allowed = 2 * max(trial.parameters["tol"], 10 * resolution(trial)) * min(
        1, trial.objective(plain)
    ) + error_of_scores(trial)
    assert abs(apart) <= allowed, f"J differs by {apart:.3g} from that of a plain array"


def predictions_agree_with_each_other(trial):
    model = trial.fit.model
    if trial.fit.error:
        return IDLE
    X = in_form(trial.case, trial.data.X)
    z, proba, log_proba, labels = (
        getattr(model, f"{name}")(X) for name in ("decision_function", "predict_proba", "predict_log_proba", "predict")
    )
    assert np.isfinite(z).all()
    assert np.isfinite(log_proba).all()
    eps = 1e-5 if trial.case.dtype == "float32" else 1e-12
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=eps)
    np.testing.assert_allclose(np.exp(log_proba), proba, rtol=1e3 * eps, atol=1e-30)
    assert set(labels) <= set(model.classes_) == set(trial.data.y)
    best = proba.argmax(axis=1)
    clear = np.sort(proba, axis=1)[:, -1] - np.sort(proba, axis=1)[:, -2] > 10 * eps
    assert (model.classes_[best] == labels)[clear].all(), "predict is not the most probable class"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        theirs = model.to_sklearn().predict_proba(X)
    np.testing.assert_allclose(theirs, proba, rtol=1e-3, atol=100 * eps)


def a_warm_start_ends_where_a_cold_one_does(trial):
    if not has_j(trial) or trial.parameters["solver"] == "sgd" or trial.parameters["max_iter"] < 100:
        return IDLE
    model = deepcopy(trial.exact.model).set_params(warm_start=True, tol=1e-8, C=trial.parameters["C"])
    other = GDLogisticRegression(**model.get_params()).set_params(C=min(1e5, 30 * trial.parameters["C"]), max_iter=20)
    other = trial.run("ndarray", "float64", {}, other).model
    warm = trial.run("ndarray", "float64", {}, other.set_params(C=trial.parameters["C"], max_iter=1000))
    assert warm.error is None, repr(warm.error)
    if any("separable" in str(w.message) for w in warm.said):
        return IDLE
    value, (lowest, who) = trial.objective(warm.model), trial.lowest
    allowed = (2e-8 if warm.model.converged_ else 1e-6) * min(1, lowest) + 1e-15
    assert value - lowest <= allowed, f"J is {value - lowest:.3g} above that of {who}"


def the_same_seed_gives_the_same_bits(trial):
    if trial.fit.error:
        return IDLE
    again = trial.run(trial.case.form, trial.case.dtype, trial.parameters).model
    np.testing.assert_array_equal(again.coef_, trial.fit.model.coef_)


def a_stream_is_no_worse_than_no_features(trial):
    if trial.parameters["l1_ratio"] or trial.parameters["class_weight"] == "balanced":
        return IDLE
    X, (_, codes, y, weight) = in_form(trial.case._replace(form="ndarray"), trial.data.X), trial.data
    rng = np.random.default_rng(trial.case.seed)
    order = rng.permutation(len(y))
    X, y, weight = X[order], y[order], None if weight is None else weight[order]
    size = int(rng.integers(1, max(2, len(y))))
    model = GDLogisticRegression(**trial.parameters | {"early_stopping": False})  # which a stream refuses
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for X_, y_, weight_ in batches(X, y, weight, n_batches=max(1, min(30, len(y) // size))):
            model.partial_fit(sp.csr_array(X_) if "csr" in trial.case.form else X_, y_, np.unique(y), weight_)
    assert np.isfinite(model.coef_).all()
    share = np.bincount(codes, trial.weight.astype(float)) / float(trial.weight.sum())
    nothing = -share @ np.log(share) if trial.parameters["fit_intercept"] else np.log(len(share))
    value = trial.objective(model)
    assert value <= nothing + 0.01, f"J is {value:.6g}; without features {nothing:.6g}; lowest {trial.lowest[0]:.6g}"


ORACLES = [
    a_fit_ends_in_time_without_an_error,
    a_fit_leaves_its_input_as_it_was,
    memory_is_that_of_a_hessian_or_two,
    a_fit_says_that_it_has_not_converged_and_nothing_else,
    what_is_fitted_is_finite,
    j_is_what_the_history_says,
    converged_is_within_tol_of_the_lowest_j_of_any_solver,
    the_duality_gap_is_no_less_than_the_excess,
    the_default_reaches_the_minimum,
    separable_is_said_where_it_is_so,
    the_form_of_the_input_changes_nothing,
    predictions_agree_with_each_other,
    a_warm_start_ends_where_a_cold_one_does,
    the_same_seed_gives_the_same_bits,
    a_stream_is_no_worse_than_no_features,
]
