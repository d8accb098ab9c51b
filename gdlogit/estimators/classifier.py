"""GDLogisticRegression, the scikit-learn estimator: checks and encodes its input, and starts the training."""

from functools import partial
from math import inf, isfinite
from time import perf_counter
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import accuracy_score
from sklearn.utils.validation import column_or_1d, validate_data

from ..data.labels import totals_of
from ..data.on_dask import is_collection
from ..data.overflow import held, overflow_named
from ..descent.loop import NOBODY, Watch, table
from ..descent.status import Status
from ..inference.firth import aliased_features
from ..inference.intercepts import solve_reduced
from ..problem import Problem
from ..solve import Settings, solve
from ..typing import ByFeature, ClassWeight, CoefBounds, Matrix, RandomState, Solver
from .batches import OF_A_FIT, OF_A_STREAM, slices
from .by_feature import penalty_factors
from .callbacks import FitTask, with_callbacks
from .collection import CollectionLearner
from .counts import CountLearner
from .forms import OtherForms
from .inference import WithInference
from .lazy import mean_over_rows, refuse_client
from .limits import limits, widened
from .offset import as_columns, check_offset, narrowed, scores_of
from .predictor import Predictor, theta_of
from .report import closing_line, iteration_kept, message_of_aliased, message_of_end, print_record, warn_of_end
from .validation import (
    check_finite,
    check_held_out,
    check_parameters,
    check_weight,
    encode,
    generator,
    hold_out,
    shares,
)

__all__ = ["GDLogisticRegression"]


class GDLogisticRegression(CollectionLearner, CountLearner, Predictor, OtherForms, WithInference):
    """Logistic regression by gradient descent that needs no scaling and no tuning.

    Minimises scikit-learn's objective, so the same ``C`` gives the same coefficients as ``LogisticRegression``::

        J(W, b) = 1/S sum_i s_i loss(y_i, W x_i + b + o_i) + 1/(C S) [(1 - r)/2 |W|^2 + r |W|_1]
        S = sum_i s_i

    with the log-loss of a sigmoid for two classes and of a softmax for more. The intercept b is not penalised.
    ``penalty_factor`` gives each feature a penalty of its own. o_i is an offset, which is 0 unless ``fit`` gets one.

    Parameters
    ----------
    solver : {"auto", "newton-sketch", "gd", "nesterov", "sgd"}, default="auto"
        The method of descent. "auto" is "newton-sketch": Newton's method with exact gradients and the Hessian of a
        sample of the rows, which needs neither scaled features nor a learning rate. "gd" is batch gradient descent,
        "nesterov" its accelerated form, "sgd" mini-batch (with ``batch_size=1`` stochastic) gradient descent. These
        three are the textbook's methods, and need scaled features.
    C : float, default=1.0
        Inverse strength of the penalty, at least 1e-100; ``np.inf`` for no penalty.
    l1_ratio : float, default=0.0
        Share r of the l1 penalty, from 0 to 1. If it is above 0, coefficients that do not improve the fit enough are
        exactly 0.
    penalty_factor : array-like of shape (n_features,), dict or None, default=None
        A number f_j for each feature, which multiplies its penalty: the penalty is
        ``1/(C S) sum_j f_j [(1 - r)/2 |W_j|^2 + r |W_j|_1]``. A feature with the factor 0 is not penalised; a feature
        with ``np.inf`` is left out. A dict has factors by the name of a feature, or by its number from 0; features that
        are not in the dict have 1. The factors are not rescaled; glmnet rescales its factors to a mean of 1.
    coef_bounds : tuple (low, high), dict or None, default=None
        Bounds that ``coef_`` meets exactly: two numbers for all features; two arrays of shape (n_features,) or of the
        shape of ``coef_``; or a dict of pairs by the name of a feature, or by its number. An infinite end is no bound.
        With more than 1,500 parameters, or more parameters than rows, "newton-sketch" is then accelerated gradient
        descent, with a rate for each feature, and ``tol="auto"`` is 1e-6.
    monotonic_cst : array-like of int of shape (n_features,), dict or None, default=None
        For two classes: 1 for a feature whose coefficient must not be negative, so that the probability of
        ``classes_[1]`` never falls as the feature rises; -1 for a coefficient that must not be positive; 0 for any
        coefficient. A dict has these by the name of a feature, or by its number.
    bias_reduction : "firth" or None, default=None
        "firth" maximises the likelihood times the root of ``|I|``, the determinant of its information: Jeffreys' prior.
        The coefficients are then finite for separable classes, too, and less biased for few rows or rare events. The
        result does not depend on the units of the features. "firth" needs ``C=np.inf`` and at most 1,500 parameters. J
        is then minus the logarithm of the maximised function, per row, less a constant. ``inference`` gives tests and
        intervals that belong to this estimate.
    intercept_correction : {"flic", "flac"} or None, default=None
        How to correct the intercept of "firth", which draws predicted probabilities towards 1/2. "flic" moves the
        intercept such that the probabilities of each class add up to its number of rows. "flac" changes all
        coefficients a little, and needs memory for the rows once for each class and once more.
    fit_intercept : bool, default=True
        Whether to fit b; otherwise it is 0.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, ``{label: weight}``, not negative; classes that are not named have 1. "balanced" gives
        each class with a positive total weight the same total weight. The weights multiply ``sample_weight`` and bias
        predicted probabilities.
    learning_rate : float or "auto", default="auto"
        The step length alpha of "gd", "nesterov" and "sgd". "auto" computes an alpha that cannot diverge, from the
        largest curvature that J can have.
    batch_size : int, default=256
        Number of rows in a step of "sgd".
    max_iter : int, default=1000
        Largest number of iterations, which are steps, or epochs of "sgd". With 0 the fit returns its start: zero
        coefficients, or those of a warm start.
    tol : float or "auto", default="auto"
        The fit ends when J is within ``tol * min(1, J)`` of its minimum, estimated by half the squared Newton
        decrement. The unit is the mean log-loss, whatever the scale of the features. In float32 at least 1.2e-6.
        "auto" is 1e-8; or, where no Hessian is formed, 1e-6, and the fit also ends after 100 passes over the rows once
        ten steps lower J by less than its standard error, as a mean over the rows. No Hessian is formed with more than
        1,500 parameters or, with an l1 share and several classes, more than 200 whose square exceeds 16 n_samples;
        an l1 share with two classes, or with more features than rows, keeps 1e-8.
    early_stopping : bool, default=False
        Whether to return the coefficients of the iteration with the lowest log-loss on held-out rows, and to stop when
        that loss no longer falls. Early stopping is meant for the textbook's solvers. The default solver takes only
        about five steps, so there are few iterations to choose from; lower ``C`` instead.
    validation_fraction : float, default=0.1
        Share of the rows of each class to hold out for early stopping, drawn by ``random_state``. Not used if ``fit``
        gets X_val and y_val.
    n_iter_no_change : int, default=5
        Early stopping ends the fit after this number of iterations if all of them together have not lowered the
        log-loss of the held-out rows by ``tol``.
    warm_start : bool, default=False
        Whether to start from the coefficients of the last fit, if J is lower there than at zero coefficients. Any
        parameter may have changed since.
    random_state : int, RandomState instance or None, default=None
        Seed for the rows that "newton-sketch" samples and "sgd" shuffles. With ``None`` each fit draws other rows; the
        J of "newton-sketch" then differs by less than ``tol``.
    verbose : int or bool, default=0
        With 1 or more, print one line per iteration: J, its estimated excess over the minimum (or "-"), the rate, and
        the passes over X. The last line says why the fit ended, the duality gap, the seconds, and which iteration early
        stopping kept.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        W, in the units of the features; one row for two classes.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        The intercept b.
    n_iter_ : ndarray of shape (1,), int32
        Number of iterations, in an array as in `LogisticRegression`.
    loss_curve_ : ndarray of shape (n_iterations,)
        J after each iteration.
    history_ : ndarray of shape (n_iterations,), structured
        One row per iteration; ``pandas.DataFrame(model.history_)`` makes a table. Its fields: ``iteration``, from 1;
        ``value``, J; ``excess``, the estimate of J - min J, or nan; ``gradient_norm``, the norm of the gradient of J
        without the l1 part (in the Newton methods for features measured from about their means); ``rate``, the step
        length alpha; ``passes``, how often X has been read so far; ``seconds`` so far; ``validation_loss``, the loss of
        held-out rows, or nan.
    validation_loss_curve_ : ndarray of shape (n_iterations,)
        Mean log-loss of the held-out rows after each iteration, weighted as in J. Exists only if rows were held out.
    converged_ : bool
        Whether J is within ``tol_ * min(1, J)`` of its minimum, or below the rounding of 1; False after an interrupt.
    tol_ : float
        The tolerance that was to be reached: ``tol``; or what "auto" has come to, which is what was left, by estimate,
        where a fit ended because J fell too slowly; or the rounding of X's precision.
    duality_gap_ : float
        A proven bound on J - min J at the returned coefficients, by Fenchel duality. The bound holds whatever the
        solver did. It is at most J and at least the rounding of J. It is sharp for unscaled features, too. Infinite if
        ``C=np.inf``.
    class_prior_ : ndarray of shape (n_classes,)
        The share of each class in the weights of the fit, or the prior of ``calibrated_for``.
    has_offset_ : bool
        Whether ``fit`` got an offset; predictions then need one, too.
    progressive_loss_curve_ : ndarray of shape (n_batches,)
        After ``partial_fit``: the mean log-loss of each batch before the model learned from it, which estimates the
        loss on new rows without bias; nan if all weights of the batch are 0. It takes 8 bytes per batch.
    n_passes_ : int
        Number of passes over the batches or partitions. Exists only after ``fit_batches``, and after ``fit`` of a Dask
        collection.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has string column names.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The same model; most of its solvers need scaled features.
    sklearn.linear_model.SGDClassifier : Stochastic descent with a rate to tune.

    References
    ----------
    Bishop, "Pattern Recognition and Machine Learning" (2006), section 4.3.
    Roosta-Khorasani and Mahoney, "Sub-sampled Newton methods", Mathematical Programming 174 (2019).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdlogit import GDLogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GDLogisticRegression().fit(X, y)
    >>> model.converged_, round(model.score(X, y), 3)
    (True, 0.958)
    """

    def __init__(
        self,
        *,
        solver: Solver = "auto",
        C: float = 1.0,
        l1_ratio: float = 0.0,
        penalty_factor: ByFeature = None,
        coef_bounds: CoefBounds = None,
        monotonic_cst: ByFeature = None,
        bias_reduction: Literal["firth"] | None = None,
        intercept_correction: Literal["flic", "flac"] | None = None,
        fit_intercept: bool = True,
        class_weight: ClassWeight = None,
        learning_rate: float | Literal["auto"] = "auto",
        batch_size: int = 256,
        max_iter: int = 1000,
        tol: float | Literal["auto"] = "auto",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        warm_start: bool = False,
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.solver = solver
        self.C = C
        self.l1_ratio = l1_ratio
        self.penalty_factor = penalty_factor
        self.coef_bounds = coef_bounds
        self.monotonic_cst = monotonic_cst
        self.bias_reduction = bias_reduction
        self.intercept_correction = intercept_correction
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Matrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        X_val: Matrix | None = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        offset_val: ArrayLike | None = None,
        client: Any = None,
    ) -> Self:
        """Fit the model.

        Ctrl-C ends the fit at the best coefficients so far, with a warning. Before the end of the first iteration, and
        while the gap is being proven at the end, Ctrl-C raises KeyboardInterrupt, and the estimator stays as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, on any scale. float64 and float32 are used without a copy, dense or CSR with sorted indices of 32
            or 64 bits. Other sparse forms are copied into CSR; none is ever made dense. "newton-sketch" copies the
            values of a CSR in which a feature without a zero is farther from 0 than 1,000 spreads; and, with two
            classes, an l1 penalty and more than 1,500 features, or more than 200 and more than rows, CSR by column. A
            memory map is read in blocks; one of another dtype is converted block by block, as in ``fit_batches``. X is
            copied where the largest value of a feature is below 1e-12 or above 1e15 in float32, or beyond 1e90 or its
            inverse in float64.

            Rows on a Dask cluster stay there: a Dask array in one chunk of columns, a DataFrame, or a list of futures
            or delayed values of (X, y), (X, y, sample_weight) or (X, y, sample_weight, offset). They are computed once,
            kept by the workers for the fit, and released after it. All other arguments are then collections that are
            cut into the same partitions, except for validation rows, which may be in memory.
        y : array-like of shape (n_samples,)
            The labels, of any kind that scikit-learn accepts; at least two different ones. None if X is a list of
            futures or delayed values.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative. A row of weight 2 counts as two rows, a row of weight 0 as none. Default:
            all 1. At least two classes must have a weight. A class whose rows all have weight 0 stays in ``classes_``.
            With an intercept its probability is 0: its coefficients are 0, or the nearest to 0 that ``coef_bounds``
            allow, and its intercept is -1e30, because J has its minimum in that limit. Without an intercept it is
            fitted as the other classes are.
        offset : float or array-like of shape (n_samples,) or (n_samples, n_classes), default=None
            Numbers o_i that are added to the scores, such as the scores of a base model or the logarithm of known odds.
            Three or more classes have a column each. A model that was fitted with an offset does not predict without
            one.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Validation rows. ``validation_loss_curve_`` records their log-loss; with ``early_stopping=True`` they choose
            the coefficients. In a Pipeline with ``transform_input=["X_val"]`` they are transformed as X is.
        y_val : array-like of shape (n_val,), default=None
            Labels of the validation rows.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of the validation rows, which ``class_weight`` multiplies as it does those of X. Default: all 1.
        offset_val : float or array-like, default=None
            The offset of the validation rows; required if X has an offset.
        client : distributed.Client, default=None
            The cluster of a Dask collection; None is the client of this process.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described; the estimator then stays as it was. For a Dask collection
            a note on the error names the partition, from 0. ``solver="sgd"`` does not take collections, and
            ``early_stopping=True`` needs X_val and y_val.
        RuntimeError
            If rows of a Dask collection were lost with a worker and cannot be made anew.

        Warns
        -----
        ConvergenceWarning
            If the minimum was not reached or does not exist. The warning says how far away the minimum is and what to
            do. There is no warning if held-out rows or a callback ended the fit.
        """
        validation = X_val, y_val, sample_weight_val, offset_val
        at_hand = self.solver == "sgd" or self.early_stopping or any(part is not None for part in validation)
        with self._unchanged_on_error():
            refuse_client(client, X, y, sample_weight, offset, *validation)
            if is_collection(X, y, sample_weight, offset, *validation):
                message = self._fit_collection((X, y, sample_weight, offset), validation, client)
            elif isinstance(X, np.memmap) and X.ndim == 2 and X.dtype not in (np.float64, np.float32) and not at_hand:
                given = (
                    X,
                    column_or_1d(y, warn=True),
                    check_weight(sample_weight, X),
                    as_columns(offset, X),
                )
                message = self._fit_batches(partial(slices, *given), None)  # converts one slice at a time
            else:
                message = self._fit(X, y, sample_weight, offset, validation)
        warn_of_end(message)
        return self

    def score(
        self,
        X: Matrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
    ) -> float:
        """The share of the rows whose label is predicted.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows; also a Dask collection, if the other arguments are.
        y : array-like of shape (n_samples,)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows. Default: all 1.
        offset : float or array-like of shape (n_samples,) or (n_samples, n_classes), default=None
            Numbers that are added to the scores, as in ``fit``; required if ``fit`` got an offset; 0 for none.

        Returns
        -------
        float
            The accuracy.
        """
        if is_collection(X, y, sample_weight, offset):
            return mean_over_rows(is_right, self, X, y, sample_weight, offset)
        return float(accuracy_score(y, self.predict(X, offset=offset), sample_weight=sample_weight))

    def __setstate__(self, state):
        """Restore a pickled estimator, also of a version whose ``n_iter_`` was an int, or that had fewer parameters."""
        super().__setstate__(type(self)().get_params(deep=False) | state)
        if isinstance(getattr(self, "n_iter_", None), int):
            self.n_iter_ = np.array([self.n_iter_], dtype=np.int32)

    @with_callbacks
    def _fit(self, X, y, sample_weight, offset, validation):
        """Set the fitted attributes; return the message to warn with, or None."""
        check_parameters(self)
        given = X, y, sample_weight, self.max_iter, offset
        accepted = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "ensure_all_finite": False}
        X, y = validate_data(self, X, y, **accepted)
        sample_weight = check_weight(sample_weight, X)
        columns, codes, weight = encode(y, sample_weight, self.class_weight, self.fit_intercept)
        offset = narrowed(check_offset(offset, X, scores_of(columns.classes)), columns)
        rng = generator(self.random_state)
        held_out = None
        if any(part is not None for part in validation):
            held_out = check_held_out(self, *validation, columns, offset is not None)
        elif self.early_stopping:
            held_out, weight = hold_out(X, codes, weight, self.validation_fraction, rng, offset)
        factors = penalty_factors(self)
        start = self._start(columns, X.shape[1], factors)
        terms = {"C": self.C, "l1_ratio": self.l1_ratio, "intercept": self.fit_intercept, "factors": factors}
        terms |= {"n_used": columns.n_used, "bounds": limits(self, columns, factors)}
        with overflow_named(X):
            problem = Problem.of(X, codes, weight, len(columns.classes), offset=offset, **terms)
        check_finite(self, problem.rows)
        task = FitTask(self, *given)
        with overflow_named(X):
            held_out = held_out and Problem.of(*held_out[:3], len(columns.classes), offset=held_out[3], **terms).rows
            message = self._solve(problem, columns, start, rng, task, held_out)
        weight = None if weight.strides == (0,) else weight  # one weight for all rows
        self.class_prior_ = shares(totals_of(codes, weight, columns.n_used), columns)
        task.end()
        return message

    def _solve(self, problem, columns, start, rng, task, held_out=None):
        """Solve the problem and set the fitted attributes; return the message to warn with, or None."""

        def attributes(theta):
            with np.errstate(under="ignore"):  # callbacks run under the caller's NumPy settings
                theta = widened(held(theta, problem.dtype), columns, self)
            coef, intercept = np.ascontiguousarray(theta[:-1].T), theta[-1].copy()
            return {
                "classes_": columns.classes,
                "coef_": coef,
                "intercept_": intercept,
                "has_offset_": problem.has_offset,
            }

        def begin(theta):
            task.begin_iteration(lambda: attributes(theta()))

        def end(record, theta):
            if self.verbose:
                print_record(record)
            return task.end_iteration((lambda: attributes(theta())) if isfinite(record.value) else None)

        began, watch = perf_counter(), Watch(begin, end) if task.is_watched or self.verbose else NOBODY
        if self.bias_reduction is None:
            solution = solve(problem, self._settings(), start, rng, watch, held_out)
        else:
            solution = solve_reduced(problem, self._settings(), start, watch, held_out, self.intercept_correction)
        for name in OF_A_FIT + OF_A_STREAM:
            vars(self).pop(name, None)
        vars(self).update(attributes(solution.theta))
        self.history_ = table(solution.history)
        self.n_iter_ = np.array([len(self.history_)], dtype=np.int32)
        self.loss_curve_ = self.history_["value"].copy()
        if held_out is not None:
            self.validation_loss_curve_ = self.history_["validation_loss"].copy()
        self.converged_, self.duality_gap_ = solution.status is Status.CONVERGED, solution.gap
        self.tol_ = solution.tolerance
        if self.verbose:
            kept = iteration_kept(self.validation_loss_curve_) if self.early_stopping else None
            print(closing_line(solution, perf_counter() - began, kept))
        aliased = [] if self.bias_reduction is None else aliased_features(solution)
        return message_of_end(self, solution, columns.classes[columns.used]) or message_of_aliased(self, aliased)

    def _settings(self):
        return Settings(
            solver=self.solver,
            tol=self.tol,
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            patience=self.n_iter_no_change if self.early_stopping else inf,
        )

    def _start(self, columns, n_features, factors):
        """The theta of the last fit for a warm start, without features that are now left out; or None."""
        if not (self.warm_start and hasattr(self, "coef_")):
            return None
        theta = theta_of(self)
        if len(theta) != n_features + 1 or not np.array_equal(columns.classes, self.classes_):
            raise ValueError(
                f"warm_start=True needs the features and classes of the last fit: {len(theta) - 1} features and "
                f"classes {self.classes_!r}; got {n_features} and {columns.classes!r}. Set warm_start=False."
            )
        if factors is not None:
            theta[:-1][np.isinf(factors)] = 0
        return columns.narrow(theta)


def is_right(model, X, y, offset):
    """Whether a model predicts the label of each row."""
    return model.predict(X, offset=offset) == y
