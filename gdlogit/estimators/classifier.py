"""GDLogisticRegression, the scikit-learn face: validates, encodes, has itself trained, predicts."""

from contextlib import contextmanager
from functools import partial
from math import isfinite

import numpy as np
import scipy.sparse as sp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from ..backprop import Sigmoid, Softmax, loss_of
from ..data.memory import rows_of
from ..data.overflow import overflow_named
from ..training import Training
from .batches import OF_A_FIT, OF_A_STREAM, BatchLearner, slices
from .callbacks import CallbackSupportMixin, FitTask, with_callbacks
from .forms import OtherForms
from .report import message_of_end, print_record, warn_of_end
from .validation import (
    check_finite,
    check_held_out,
    check_parameters,
    check_weight,
    encode,
    generator,
    hold_out,
)

__all__ = ["GDLogisticRegression"]


class GDLogisticRegression(BatchLearner, OtherForms, CallbackSupportMixin, ClassifierMixin, BaseEstimator):
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
    early_stopping : bool, default=False
        Whether to return the coefficients of the iteration with the lowest log-loss on held-out rows, and to stop once
        it falls no more. Meant for the textbook's solvers: the default one has but some five Newton steps to choose
        from; there, lower ``C``.
    validation_fraction : float, default=0.1
        Share of the rows to hold out for early stopping, of each class alike, drawn by ``random_state``. Not used where
        ``fit`` is given X_val and y_val.
    n_iter_no_change : int, default=5
        Early stopping ends the fit after so many iterations that have not, all together, lowered the log-loss of the
        held-out rows by ``tol``.
    warm_start : bool, default=False
        Whether to start from the last fit's coefficients, where they do better than none; any parameter may have
        changed since.
    random_state : int, RandomState instance or None, default=None
        Seed of the rows sampled by "newton-sketch" and shuffled by "sgd". ``None`` samples differently each time; that
        changes the J of "newton-sketch" by less than ``tol``.
    verbose : int or bool, default=0
        With 1 or more, print one line per iteration: J, its estimated excess over the minimum, the rate, and the passes
        over X.

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
    history_ : ndarray of shape (`n_iter_`,), structured
        What each iteration did; ``pandas.DataFrame(model.history_)`` is a table of it. Its fields: ``iteration``, from
        1; ``value``, J; ``excess``, the estimate of J - min J, nan where none was made; ``gradient_norm``, of J without
        an l1 part (in the Newton methods, of features measured from about their means); ``rate``, the step alpha;
        ``passes``, how often X has been read so far; ``seconds`` so far; ``validation_loss``, that of held-out rows.
    validation_loss_curve_ : ndarray of shape (`n_iter_`,)
        Mean log-loss of the held-out rows after each iteration, weighted as in J; only where there are such rows.
    converged_ : bool
        Whether J is within ``tol * min(1, J)`` of its minimum, or below the rounding of 1; False after an interrupt.
    duality_gap_ : float
        A proven bound on J - min J at the returned coefficients, by Fenchel duality: it holds whatever the solver did,
        and is sharp on raw scales too, as far as rounding lets it be (scales to about 1e20); at most J. Infinite where
        ``C=np.inf``.
    progressive_loss_curve_ : ndarray of shape (n_batches,)
        After ``partial_fit``: each batch's mean log-loss before it was learned from, an honest test as the stream goes.
        8 bytes a batch.
    n_passes_ : int
        Passes over the batches, after ``fit_batches`` only.
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
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
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
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Fit the model.

        Ctrl-C ends the fit at the best coefficients so far, with a warning. Before the end of the first iteration, and
        while the gap is proven in the end, it is raised as ever, and the estimator stays as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, on any scale. float64 and float32 are used as they are, without a copy, dense or CSR with sorted
            indices of 32 or 64 bits. Another sparse form is copied into such a CSR; none is ever made dense. Two
            classes, an l1 penalty and more features than 1,500 or, beyond 200, than rows: "newton-sketch" copies a CSR
            by column, and the features in play. A memory map is read in blocks, and one of another dtype converted so,
            as ``fit_batches`` does it.
        y : array-like of shape (n_samples,)
            The labels, of any kind that scikit-learn takes; at least two different ones.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative: weight 2 is the row twice, weight 0 is no row. 1 where not given.
        X_val : {array-like, sparse matrix} of shape (n_val, n_features), default=None
            Rows whose log-loss is followed in ``validation_loss_curve_``; with ``early_stopping=True`` they choose the
            coefficients. In a Pipeline with ``transform_input=["X_val"]`` they are transformed as X is.
        y_val : array-like of shape (n_val,), default=None
            Their labels.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights, which ``class_weight`` multiplies as it does those of X. 1 where not given.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described; the estimator then stays as it was.

        Warns
        -----
        ConvergenceWarning
            If the minimum was not reached or does not exist: with the estimated distance to it, and what to do. Not
            where held-out rows or a callback ended the fit.
        """
        validation = X_val, y_val, sample_weight_val
        at_hand = self.solver == "sgd" or self.early_stopping or any(part is not None for part in validation)
        with self._unchanged_on_error():
            if isinstance(X, np.memmap) and X.ndim == 2 and X.dtype not in (np.float64, np.float32) and not at_hand:
                given = X, column_or_1d(y, warn=True), check_weight(sample_weight, X)
                message = self._fit_batches(partial(slices, *given), None)  # converted a slice at a time
            else:
                message = self._fit(X, y, sample_weight, validation)
        warn_of_end(message)
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

    def __sklearn_tags__(self):
        """What scikit-learn asks of its estimators: sparse X is taken."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _scores(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        with np.errstate(under="ignore"):  # which a caller may have set to raise
            z = X @ self.coef_.T
            return (z.toarray() if sp.issparse(z) else z) + self.intercept_

    @contextmanager
    def _unchanged_on_error(self):
        before = vars(self).copy()
        try:
            yield
        except BaseException:
            self.__dict__ = before  # at once: no second interrupt comes between
            raise

    @with_callbacks
    def _fit(self, X, y, sample_weight, validation):
        """Set the fitted attributes; what there is to warn of."""
        check_parameters(self)
        given = X, y, sample_weight
        accepted = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "ensure_all_finite": False}
        X, y = validate_data(self, X, y, **accepted)
        sample_weight = check_weight(sample_weight, X)
        classes, codes, weight = encode(y, sample_weight, self.class_weight)
        rng = generator(self.random_state)
        held_out = None
        if any(part is not None for part in validation):
            held_out = check_held_out(self, *validation, classes, codes, sample_weight)
        elif self.early_stopping:
            held_out, weight = hold_out(X, codes, weight, self.validation_fraction, rng)
        loss = loss_of(len(classes))
        start = self._start(classes, (X.shape[1] + 1, loss.n_outputs))
        settings = {"intercept": self.fit_intercept, "n_scores": loss.n_outputs}
        with overflow_named(X):
            rows = rows_of(X, codes, weight, **settings)
        check_finite(self, rows)
        task = FitTask(self, *given, self.max_iter)
        with overflow_named(X):
            held_out = held_out and rows_of(*held_out, **settings)
            training = Training(self, rows, loss, held_out)
            message = self._train(training, classes, start, rng, task)
        task.end()
        return message

    def _train(self, training, classes, start, rng, task):
        """Set what a training finds, from a theta on; what there is to warn of."""

        def attributes(point):
            with np.errstate(under="ignore"):  # a callback has it made under the caller's settings
                theta = training.outside(point.theta).astype(training.dtype)
            return {"classes_": classes, "coef_": np.ascontiguousarray(theta[:-1].T), "intercept_": theta[-1].copy()}

        def watch(record, point):
            if self.verbose:
                print_record(record)
            return task.end_iteration((lambda: attributes(point)) if isfinite(record.value) else None)

        result, gap = training.run(start, rng, task.announced, watch)
        for name in OF_A_FIT + OF_A_STREAM:
            vars(self).pop(name, None)
        vars(self).update(attributes(result.point))
        self.history_ = result.table()
        self.n_iter_ = len(self.history_)
        self.loss_curve_ = self.history_["value"].copy()
        if training.held_out is not None:
            self.validation_loss_curve_ = self.history_["validation_loss"].copy()
        self.converged_, self.duality_gap_ = result.status == "converged", gap
        return message_of_end(self, result, training.objective)

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
