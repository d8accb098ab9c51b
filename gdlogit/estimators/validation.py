"""Checks and encoding of what a user passes: parameters, labels and weights.

Every error names the parameter, the value that it got, and what is accepted.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.utils import assert_all_finite, check_random_state, compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from ..data.labels import Columns, codes_of, distinct, factorize, strangers, totals_of
from ..solve import SOLVERS
from .arrays import as_numbers
from .offset import as_columns, check_offset, narrowed, scores_of

__all__ = [
    "check_batch",
    "check_finite",
    "check_held_out",
    "check_labels",
    "check_parameters",
    "check_path_parameters",
    "check_source",
    "check_weight",
    "class_factors",
    "codes_among",
    "columns_of",
    "encode",
    "generator",
    "hold_out",
    "named_classes",
    "require_all_classes",
    "shares",
    "stream_classes",
    "weight_of_rows",
]

RULES = ("best", "1se")
OF_A_BATCH = ("X", "y", "sample_weight", "offset")
COUNTABLE = "biuSU"  # kinds of dtype whose values are always valid labels; floats and objects may not be


def check_parameters(estimator):
    """Raise a ValueError that names the first parameter of GDLogisticRegression that is not as documented."""
    require = partial(check_parameter, estimator)
    require("solver", f"one of {SOLVERS}", isinstance(estimator.solver, str) and estimator.solver in SOLVERS)
    require(
        "C", "a number of at least 1e-100, or np.inf for no penalty", is_number(estimator.C) and estimator.C >= 1e-100
    )
    require("l1_ratio", "a number from 0 to 1", is_number(estimator.l1_ratio) and 0 <= estimator.l1_ratio <= 1)
    require(
        "learning_rate",
        'a positive finite number, or "auto"',
        (isinstance(estimator.learning_rate, str) and estimator.learning_rate == "auto")
        or (is_number(estimator.learning_rate) and 0 < estimator.learning_rate < np.inf),
    )
    for name in ("batch_size", "n_iter_no_change"):
        value = getattr(estimator, name)
        require(name, "a positive integer", is_number(value, Integral) and value > 0)
    max_iter = estimator.max_iter
    require("max_iter", "an integer that is not negative", is_number(max_iter, Integral) and max_iter >= 0)
    require("tol", 'a number that is not negative, or "auto"', is_tolerance(estimator.tol))
    for name in ("fit_intercept", "early_stopping", "warm_start"):
        require(name, "True or False", isinstance(getattr(estimator, name), bool | np.bool_))
    verbose = estimator.verbose  # as in scikit-learn, a number above 1 means the same as 1
    require(
        "verbose",
        "an integer that is not negative, or True or False",
        isinstance(verbose, Integral | np.bool_) and verbose >= 0,
    )
    fraction = estimator.validation_fraction
    require("validation_fraction", "a number between 0 and 1", is_number(fraction) and 0 < fraction < 1)
    check_bias_reduction(estimator)


def check_bias_reduction(estimator):
    """Raise a ValueError for a bias reduction that is not as documented, or that does not go with the penalty."""
    reduction, correction = estimator.bias_reduction, estimator.intercept_correction
    if reduction is None:
        if correction is not None:
            raise ValueError(f"intercept_correction={correction!r} corrects the intercept of bias_reduction='firth'.")
        return
    if reduction != "firth":
        raise ValueError(f"bias_reduction must be 'firth' or None; got {reduction!r}.")
    if correction not in (None, "flic", "flac"):
        raise ValueError(f"intercept_correction must be 'flic', 'flac' or None; got {correction!r}.")
    needed = {"C": np.inf, "l1_ratio": 0, "early_stopping": False, "fit_intercept": True}
    needed |= dict.fromkeys(("penalty_factor", "coef_bounds", "monotonic_cst"))
    if correction is None:
        del needed["fit_intercept"]
    for name, value in needed.items():
        given = getattr(estimator, name)
        if given is not value and given != value:
            cause = "bias_reduction='firth'" if name != "fit_intercept" else f"intercept_correction={correction!r}"
            raise ValueError(f"{cause} needs {name}={value!r}; got {given!r}.")
    if estimator.solver not in ("auto", "newton-sketch"):
        raise ValueError(
            f"bias_reduction='firth' has a solver of its own: solver must be 'auto'; got {estimator.solver!r}."
        )


def check_path_parameters(estimator):
    """Raise a ValueError that names the first parameter of GDLogisticRegressionCV that is not as documented."""

    def are_numbers(values, holds):
        try:
            values = np.asarray(values)
        except ValueError:  # lists of different lengths
            return False
        return values.ndim == 1 and len(values) and values.dtype.kind in "iuf" and all(map(holds, values))

    require = partial(check_parameter, estimator)
    Cs, rule = estimator.Cs, estimator.rule
    require(
        "Cs",
        "a positive integer, or numbers of at least 1e-100",
        Cs > 0 if is_number(Cs, Integral) else are_numbers(Cs, lambda C: C >= 1e-100),
    )
    require("l1_ratios", "numbers from 0 to 1", are_numbers(estimator.l1_ratios, lambda ratio: 0 <= ratio <= 1))
    require("cv", '"loo", or as scikit-learn takes it', not isinstance(estimator.cv, str) or estimator.cv == "loo")
    by_losses = estimator.scoring == "neg_log_loss"
    require("scoring", "'neg_log_loss' with cv='loo'", by_losses or not isinstance(estimator.cv, str))
    has_bounds = estimator.coef_bounds is not None or estimator.monotonic_cst is not None
    require("cv", "folds with coef_bounds or monotonic_cst", not (has_bounds and isinstance(estimator.cv, str)))
    require("rule", '"best", "1se" or a callable', callable(rule) or (isinstance(rule, str) and rule in RULES))
    for name in ("refit", "store_cv_results", "fit_intercept"):
        require(name, "True or False", isinstance(getattr(estimator, name), bool | np.bool_))
    require("max_iter", "a positive integer", is_number(estimator.max_iter, Integral) and estimator.max_iter > 0)
    require("tol", 'a number that is not negative, or "auto"', is_tolerance(estimator.tol))
    verbose = estimator.verbose
    require(
        "verbose",
        "an integer that is not negative, or True or False",
        isinstance(verbose, Integral | np.bool_) and verbose >= 0,
    )


def check_parameter(estimator, name, accepted, holds):
    """Raise a ValueError that says what is accepted, unless the parameter ``holds``."""
    if not holds:
        raise ValueError(f"{name} must be {accepted}; got {getattr(estimator, name)!r}.")


def is_number(value, kind=Real):
    """Whether a value is a number of a kind; True and False are none."""
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def is_tolerance(tol):
    """Whether a tolerance is as documented: "auto", or a number that is not negative."""
    return tol == "auto" if isinstance(tol, str) else is_number(tol) and 0 <= tol < np.inf


def check_finite(estimator, rows):
    """Raise a ValueError for X with nan or infinity. Sums on all cores are faster than scikit-learn's single sum."""
    if not rows.is_finite():
        with np.errstate(over="ignore", invalid="ignore"):
            assert_all_finite(rows.X, estimator_name=type(estimator).__name__, input_name="X")


def check_weight(sample_weight, X, name="sample_weight"):
    """The weights as float64, at least one of them positive, or None if all are 1."""
    weight = weight_of_rows(sample_weight, X, name)
    if weight is not None and not weight.any():
        raise ValueError(f"{name} must be positive for some rows; every weight is zero.")
    return weight


def weight_of_rows(sample_weight, X, name="sample_weight"):
    """The weights as float64, which may all be 0, or None if all are 1."""
    if sample_weight is None:
        return None
    if np.isscalar(sample_weight):
        raise ValueError(f"{name} must have one weight per row of X; got the number {sample_weight!r}.")
    weight = as_numbers(sample_weight, name)
    if weight.ndim != 1:
        raise ValueError(f"{name} must have one weight per row of X, shape (n,); got shape {weight.shape}.")
    check_consistent_length(X, weight)
    if (weight < 0).any():
        raise ValueError(f"{name} must not be negative; its smallest is {weight.min()}.")
    return weight


def encode(y, weight, class_weight, intercept):
    """The columns of the classes in y; the column of each row; each row's weight times the factor of its class."""
    classes, codes = factorize(y)
    check_targets(classes)
    columns = columns_of(class_weight, intercept, classes, totals_of(codes, weight, len(classes)))
    return columns, *columns.place(codes, weight)


def columns_of(class_weight, intercept, classes, totals):
    """The columns of classes whose rows have these weights in total."""
    return Columns.of(classes, totals, class_factors(class_weight, classes, totals), intercept)


def require_all_classes(columns):
    """Raise a ValueError for a class whose rows have no weight, where a fit has no limit to go to."""
    if not columns.used.all():
        raise ValueError(
            "y must hold rows with a positive weight, sample_weight times class_weight, of each class; "
            f"{columns.classes[~columns.used]!r} has none."
        )


def check_targets(classes):
    """Raise a ValueError for values that cannot be labels: numbers with a fraction, or objects other than strings."""
    kind = classes.dtype.kind
    whole = kind in COUNTABLE or (kind == "f" and (classes % 1 == 0).all())
    # If the first of sorted objects is a string, all are.
    if not (whole or (kind == "O" and isinstance(classes[0], str))):
        check_classification_targets(np.repeat(classes, 2))  # twice: scikit-learn warns of as many classes as rows


def class_factors(class_weight, classes, totals=None):
    """The factors by which class_weight multiplies the weights of each class, whose rows have ``totals``."""
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight == "balanced":
        there = totals > 0
        share = totals.sum() / max(1, np.count_nonzero(there))
        return np.divide(share, totals, where=there, out=np.zeros(len(totals)))
    factors = compute_class_weight(class_weight, classes=classes, y=classes)
    if not (np.isfinite(factors).all() and (factors >= 0).all()):
        raise ValueError(f"class_weight must be finite and not negative; got {class_weight!r}.")
    return factors


def shares(totals, columns):
    """The share of each class in the weights. ``totals`` has all classes, or those that have a column."""
    if len(totals) < len(columns.used):
        totals = np.bincount(np.flatnonzero(columns.used), totals, len(columns.used))
    return totals / totals.sum()


def generator(random_state):
    """NumPy's random generator from a ``random_state``. An integer is its seed: a RandomState would take 0.1 ms."""
    if not isinstance(random_state, Integral):
        random_state = check_random_state(random_state).randint(2**31)
    return np.random.default_rng(int(random_state))


def hold_out(X, codes, weight, fraction, rng, offset=None):
    """Rows held out at random (X, class codes, weights, offset), and the weights of all rows, 0 for those held out.

    The given fraction of each class is held out, at least one row and never all. Only held-out rows are copied.
    """
    held, counted = [], np.flatnonzero(weight > 0)
    by_class = counted[codes[counted].argsort(kind="stable")]
    for members in np.split(by_class, np.bincount(codes[counted]).cumsum()[:-1]):
        n_held = min(max(1, round(fraction * len(members))), len(members) - 1)
        held.append(rng.choice(members, max(0, n_held), replace=False))
    index = np.sort(np.concatenate(held))
    if not len(index):
        raise ValueError(
            "early_stopping=True holds out rows of classes with at least two rows, and y has no such class. "
            "Give X_val and y_val, or set early_stopping=False."
        )
    remaining_weight = np.array(weight)
    remaining_weight[index] = 0
    offset = None if offset is None else offset[index]
    return (X[index], codes[index], weight[index], offset), remaining_weight


def check_held_out(estimator, X_val, y_val, sample_weight_val, offset_val, columns, has_offset=False):
    """The user's validation rows: X, checked as in ``fit``; the column of each row's class; weights with class_weight.

    A "balanced" class_weight uses the class totals of the fit.
    """
    for name, value in (("X_val", X_val), ("y_val", y_val)):
        if value is None:
            raise ValueError(
                f"X_val and y_val must be given together, offset_val and sample_weight_val with them; {name} is None."
            )
    if has_offset != (offset_val is not None):
        raise ValueError("offset and offset_val must be given together; pass 0 for none.")
    try:
        X, y = validate_data(estimator, X_val, y_val, reset=False, accept_sparse="csr", dtype=[np.float64, np.float32])
    except ValueError as error:
        raise ValueError(f"X_val or y_val: {error}") from None
    weight = check_weight(sample_weight_val, X, "sample_weight_val")
    known = columns.classes[columns.used]
    strange = strangers(known, y, "y_val")
    if len(strange):
        raise ValueError(f"y_val must hold labels of y only, {known!r}; got {strange!r} too.")
    offset = narrowed(check_offset(offset_val, X, scores_of(columns.classes), "offset_val"), columns)
    return X, *columns.place(codes_of(columns.classes, y), weight), offset


def stream_classes(estimator, classes, begun):
    """The classes of a stream: given with the first batch, or known from a fit; later batches may repeat them."""
    known = getattr(estimator, "classes_", None)
    if isinstance(estimator.class_weight, str):
        raise ValueError(
            f"class_weight={estimator.class_weight!r} is not supported by partial_fit, which has not seen all rows. "
            "Use compute_class_weight('balanced', classes=classes, y=y) on a sample, and pass the weights as a dict."
        )
    if classes is None and known is None:
        raise ValueError("classes must be passed on the first call to partial_fit.")
    if classes is None or (begun and np.array_equal(classes, known)):
        return known
    classes = named_classes(classes)
    if begun and not np.array_equal(classes, known):
        raise ValueError(f"classes={classes!r} is not the same as on the first call to partial_fit: {known!r}.")
    if len(classes) < 2:
        raise ValueError(f"classes must hold at least two classes; got one class: {classes!r}.")
    return classes


def named_classes(classes):
    """The distinct labels of an argument ``classes``, sorted."""
    classes = distinct(column_or_1d(classes), "classes")
    check_targets(classes)
    return classes


def check_labels(classes, y):
    """Raise a ValueError for values that cannot be labels, or for labels that are not among given ``classes``."""
    if classes is None:
        return check_targets(y)
    strange = strangers(classes, y)
    if len(strange):
        raise ValueError(f"y must hold labels of classes={classes!r} only; got {strange!r}.")


def codes_among(classes, y):
    """The code of each row's class; a ValueError for labels that are not among given classes."""
    labels, codes = factorize(y)
    check_labels(classes, labels)
    return codes_of(classes, labels)[codes]


def check_source(source):
    """Raise a TypeError for a source that cannot be read twice."""
    if not callable(source) and (isinstance(source, Iterator) or not isinstance(source, Iterable)):
        raise TypeError(
            "source must be an iterable that can be iterated again, such as a list, or a function that returns an "
            f"iterator; got {source!r}."
        )


def check_batch(estimator, batch, reset):
    """X, y, weight and offset (or None) of a batch, a tuple or a dict; None for a batch without rows."""
    if isinstance(batch, Mapping) and {"X", "y"} <= batch.keys() <= set(OF_A_BATCH):
        batch = [batch.get(name) for name in OF_A_BATCH]
    if not (isinstance(batch, tuple | list) and len(batch) in (2, 3, 4)):
        raise ValueError(
            "source must yield (X, y), (X, y, sample_weight), (X, y, sample_weight, offset), or a dict of these; "
            f"got {batch!r}."
        )
    X, y, sample_weight, offset = (*batch, None, None)[:4]
    if np.shape(X)[:1] == np.shape(y)[:1] == (0,):
        return None
    X, y = validate_data(estimator, X, y, reset=reset, accept_sparse="csr", dtype=[np.float64, np.float32])
    return X, y, weight_of_rows(sample_weight, X), as_columns(offset, X)
