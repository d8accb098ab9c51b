"""GDLogisticRegression, the scikit-learn face: validates, encodes, fits, predicts."""

import warnings
from array import array
from contextlib import contextmanager

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from . import online
from .backprop import Sigmoid, Softmax
from .descent import descend, gradient, newton, stochastic, truncated
from .descent.metric import DENSE_PARAMETERS, is_dense
from .duality import duality_gap, is_unbounded
from .objective import Objective
from .penalty import ElasticNet
from .rows import Rows, compact
from .validation import TEXTBOOK, check_labels, check_parameters, check_weight, encode, encode_as, stream_classes

__all__ = ["GDLogisticRegression"]


class GDLogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression by gradient descent that needs no scaling and no tuning.

    Minimises scikit-learn's objective, so the same ``C`` gives the same coefficients as ``LogisticRegression``::

        J(W, b) = 1/S sum_i s_i loss(y_i, W x_i + b) + 1/(C S) [(1 - r)/2 |W|^2 + r |W|_1],    S = sum_i s_i

    with the log-loss of a sigmoid for two classes and of a softmax for more. The intercept b is not penalised.

    Parameters
    ----------
    solver : {"auto", "newton-sketch", "gd", "nesterov", "sgd"}, default="auto"
        How to descend. "auto" is "newton-sketch": exact gradients, in the metric of a sampled Hessian; it needs neither
        scaled features nor a rate. "gd" is batch gradient descent, "nesterov" its accelerated form, "sgd" mini-batch
        (with ``batch_size=1`` stochastic) gradient descent: the textbook's methods, which want scaled features.
    C : float, default=1.0
        Inverse strength of the penalty, positive (at least 1e-100); ``np.inf`` for none.
    l1_ratio : float, default=0.0
        Share r of the l1 penalty, from 0 to 1. With any, coefficients that do not pay for themselves are exactly 0.
    fit_intercept : bool, default=True
        Whether to fit b; otherwise it is 0.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, ``{label: weight}``, 1 where not given; "balanced" gives each class the same total
        weight. They multiply ``sample_weight``.
    learning_rate : float or "auto", default="auto"
        The step alpha of "gd", "nesterov" and "sgd". "auto" is a step that cannot diverge, from the largest curvature
        that J can have.
    batch_size : int, default=256
        Rows per step of "sgd".
    max_iter : int, default=1000
        Most iterations: steps, or epochs of "sgd".
    tol : float, default=1e-8
        The fit ends where J is within ``tol * min(1, J)`` of its minimum, as estimated by half the squared Newton
        decrement: in units of the mean log-loss, whatever the scale of the features. In float32 at least 1.2e-6.
    warm_start : bool, default=False
        Whether to start from the last fit's coefficients.
    random_state : int, RandomState instance or None, default=None
        Seed of the rows sampled by "newton-sketch" and shuffled by "sgd". ``None`` samples differently each time; that
        changes the J of "newton-sketch" by less than ``tol``.
    verbose : int, default=0
        With 1, print one line per iteration.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        W, in the units of the features; one row for two classes.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        The intercept b.
    n_iter_ : int
        Iterations done.
    loss_curve_ : ndarray of shape (`n_iter_`,)
        J after each iteration.
    converged_ : bool
        Whether J is within ``tol`` of its minimum.
    duality_gap_ : float
        A proven bound on J - min J at the returned coefficients, by Fenchel duality: it holds whatever the solver did,
        and is sharp on raw scales too, as far as rounding lets it be. Infinite where ``C=np.inf``.
    progressive_loss_curve_ : array of float
        After ``partial_fit``: each batch's mean log-loss before it was learned from, an honest test as the stream goes.
        8 bytes a batch.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, where X has string column names.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The same model; its solvers want scaled features.
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
        solver="auto",
        C=1.0,
        l1_ratio=0.0,
        fit_intercept=True,
        class_weight=None,
        learning_rate="auto",
        batch_size=256,
        max_iter=1000,
        tol=1e-8,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.solver = solver
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None):
        """Fit the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, on any scale. float64 and float32 are used as they are, without a copy, dense or CSR with sorted
            indices of 32 or 64 bits. Another sparse form is copied into such a CSR; none is ever made dense.
        y : array-like of shape (n_samples,)
            The labels, of any kind that scikit-learn takes; at least two different ones.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative: weight 2 is the row twice, weight 0 is no row. 1 where not given.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, X, y or sample_weight is not as described; the estimator then stays as it was.

        Warns
        -----
        ConvergenceWarning
            If the minimum was not reached or does not exist: with the estimated distance to it, and what to do.
        """
        with self._unchanged_on_error():
            check_parameters(self)
            X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32])
            classes, codes, weight = encode(y, check_weight(sample_weight, X), self.class_weight)
            loss = Sigmoid() if len(classes) == 2 else Softmax(len(classes))
            start = self._start(classes, (X.shape[1] + 1, loss.n_outputs))
            rows = Rows(X, codes, weight, intercept=self.fit_intercept, n_scores=loss.n_outputs)
            penalty = ElasticNet((1 - self.l1_ratio) / (self.C * rows.total), self.l1_ratio / (self.C * rows.total))
            rows, lower, lift = compact(rows, DENSE_PARAMETERS // loss.n_outputs if penalty.l1 == 0 else 0)
            rows = rows if self.solver in TEXTBOOK else rows.centred()
            objective = Objective(rows, loss, penalty)
            with _overflow_named(X):
                result, gap = self._minimise(objective, rows.enter(lower(start)))
            theta = lift(rows.leave(result.point.theta)).astype(X.dtype)
            self.classes_ = classes
            self.coef_ = np.ascontiguousarray(theta[:-1].T)
            self.intercept_ = theta[-1]
            self.n_iter_ = len(result.history)
            self.loss_curve_ = np.array([record.value for record in result.history])
            self.converged_ = result.status == "converged"
            self.duality_gap_ = gap
            vars(self).pop("_stream", None)
            vars(self).pop("progressive_loss_curve_", None)
        self._report(result, objective)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Learn from one more batch of a stream; the rows need not be kept.

        One pass over shuffled raw data comes near the minimum that ``fit`` finds, whatever the size of the batches: see
        ``online``. ``C`` counts once, however many batches come. Of the other parameters only ``fit_intercept`` and
        ``class_weight``, a dict or None, matter. ``fit`` ends the stream; the next call
        begins another, which knows nothing of the rows that ``fit`` saw, only their classes.

        Up to 1,500 parameters, (n_features + 1) times the number of scores, the state holds their full precision
        matrix, beyond that its diagonal; and up to 1,000 rows that wait to be summed up. It is pickled with the model.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, on any scale, one or more; they are taken in float64.
        y : array-like of shape (n_samples,)
            Their labels.
        classes : array-like of shape (n_classes,), default=None
            All labels that will ever come. Needed on the first call, unless ``fit`` came before; later calls may
            repeat it.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative. 1 where not given.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or argument is not as described; the estimator then stays as it was.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from gdlogit import GDLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> model = GDLogisticRegression()
        >>> for start in range(0, len(y), 100):
        ...     _ = model.partial_fit(X[start : start + 100], y[start : start + 100], classes=[0, 1])
        >>> len(model.progressive_loss_curve_)
        6
        """
        with self._unchanged_on_error():
            check_parameters(self)
            stream = getattr(self, "_stream", None)
            classes = stream_classes(self, classes, stream is not None)
            X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64, reset=stream is None)
            check_labels(y, classes)
            codes, weight = encode_as(classes, y, check_weight(sample_weight, X), self.class_weight)
            loss = Sigmoid() if len(classes) == 2 else Softmax(len(classes))
            rows = Rows(X, codes, weight, intercept=self.fit_intercept, n_scores=loss.n_outputs)
            with _overflow_named(X):
                stream, loss_before = online.learn(stream or online.begin(rows, loss), rows, loss, self.C)
            theta = rows.about(stream.centre).leave(stream.theta)
            if not hasattr(self, "_stream"):
                for name in ("n_iter_", "loss_curve_", "converged_", "duality_gap_"):  # of a fit before
                    vars(self).pop(name, None)
                self.progressive_loss_curve_ = array("d")
            self._stream, self.classes_ = stream, classes
            self.coef_ = np.ascontiguousarray(theta[:-1].T)
            self.intercept_ = theta[-1]
            self.progressive_loss_curve_.append(loss_before)
        return self

    def decision_function(self, X):
        """Scores z = W x + b: the log-odds of ``classes_[1]``, or one unnormalised log-probability per class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            The scores.
        """
        z = self._scores(X)
        return z[:, 0] if z.shape[1] == 1 else z

    def predict(self, X):
        """The most probable label of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels, as they were given to ``fit``.
        """
        z = self._scores(X)
        return self.classes_[(z[:, 0] > 0).astype(int) if z.shape[1] == 1 else z.argmax(axis=1)]

    def predict_proba(self, X):
        """The probability of each class.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        z = self._scores(X)
        return (Sigmoid if z.shape[1] == 1 else Softmax).probabilities(z)

    def predict_log_proba(self, X):
        """The log-probability of each class, from the scores: finite even where the probability rounds to zero.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of ``classes_``.
        """
        z = self._scores(X)
        return (Sigmoid if z.shape[1] == 1 else Softmax).log_probabilities(z)

    def sparsify(self):
        """Keep only the nonzeros of ``coef_``, in a CSR matrix; predictions and further fits take it as it is.

        Returns
        -------
        self
            The fitted estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(self.coef_)
        return self

    def densify(self):
        """Make ``coef_`` an ndarray again, as it is after ``fit``.

        Returns
        -------
        self
            The fitted estimator.
        """
        check_is_fitted(self)
        self.coef_ = sp.csr_matrix(self.coef_).toarray()
        return self

    def __sklearn_tags__(self):
        """What scikit-learn asks of its estimators: sparse X is taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _scores(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        z = X @ self.coef_.T
        return (z.toarray() if sp.issparse(z) else z) + self.intercept_

    @contextmanager
    def _unchanged_on_error(self):
        before = vars(self).copy()
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _start(self, classes, shape):
        if not (self.warm_start and hasattr(self, "coef_")):
            return np.zeros(shape)
        theta = np.vstack([sp.csr_matrix(self.coef_).toarray().T, self.intercept_]).astype(float)
        if theta.shape != shape or not np.array_equal(classes, self.classes_):
            raise ValueError(
                f"warm_start=True needs the features and classes of the last fit: {len(theta) - 1} features and "
                f"classes {self.classes_!r}; got {shape[0] - 1} and {classes!r}. Set warm_start=False."
            )
        return theta

    def _minimise(self, objective, theta):
        """Descend from theta; the result, and the duality gap where it ended."""
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31))
        method = self._method(objective, rng)
        watch = _print_record if self.verbose else None
        with objective.rows.threads():
            result = descend(method, objective, theta, tol=self.tol, max_iter=self.max_iter, watch=watch)
            if is_unbounded(objective, result.point):
                result = result._replace(status="separable")
            return result, duality_gap(objective, result.point, rng)

    def _method(self, objective, rng):
        match self.solver:
            case "gd":
                return gradient.batch(self.learning_rate)
            case "nesterov":
                return gradient.nesterov(self.learning_rate)
            case "sgd":
                return stochastic.minibatch(self.learning_rate, self.batch_size, rng)
            case _:
                return newton.sketch(self.tol, rng) if is_dense(objective) else truncated.truncated(self.tol)

    def _report(self, result, objective):
        """Warn where the fit did not end at the minimum: how far from it, and what to do."""
        far = f"about {result.excess:.1e}" if np.isfinite(result.excess) else "by an unknown amount"
        distance = f"J is {far} above its minimum (tol={self.tol:g})"
        remedy = ", scale the features, or use solver='auto'" if self.solver in TEXTBOOK else ""
        match result.status:
            case "converged":
                return
            case "max_iter":
                message = f"{distance} after max_iter={self.max_iter} iterations. Raise max_iter or tol{remedy}."
            case "stalled":
                message = f"{distance}, and no step lowers it in {objective.precision}. Raise tol{remedy}."
            case "separable":
                message = (
                    "The classes are separable, completely or in part: without a penalty J has no minimum, and some "
                    "coefficients would grow for ever. They are left where the descent stopped. Set a finite C."
                )
            case "diverged" if self.learning_rate == "auto":
                message = f"{distance}: the descent has not come below its start. Raise max_iter{remedy}."
            case "diverged":
                message = (
                    f"learning_rate={self.learning_rate} diverges: J rose above its start. The coefficients are the "
                    f"best that the descent met. The largest rate that is stable is about "
                    f"{2 / objective.smoothness():.3g}; learning_rate='auto' takes half of it."
                )
        warnings.warn(message, ConvergenceWarning, stacklevel=3)


@contextmanager
def _overflow_named(X):
    """Turn an overflow into an error that says of what."""
    try:
        with np.errstate(over="raise", invalid="raise"):
            yield
    except FloatingPointError as error:
        raise ValueError(
            f"X or sample_weight is too large for {X.dtype}: the largest |X| is {abs(X).max():.2g}, and the squares of "
            f"X, weighted and added up, must stay below {np.finfo(X.dtype).max:.2g}. Divide them."
        ) from error


def _print_record(record):
    print(
        f"iteration {record.iteration:4d}   J {record.value:.12g}   excess {record.excess:.1e}   rate {record.rate:.3g}"
    )
