"""Learning from rows that come in batches: ``partial_fit``, each batch once, and ``fit_batches``, exactly.

Both belong to ``GDLogisticRegression``; they stand here because neither sees all rows at once. How they work is written
at the head of ``online`` and of ``data.source``.
"""

from functools import partial

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_consistent_length, column_or_1d, validate_data

from .. import online
from ..backprop import loss_of
from ..data.labels import distinct
from ..data.memory import rows_of
from ..data.overflow import overflow_named
from ..data.source import BatchRows, Source
from ..training import Training
from .callbacks import FitTask, with_callbacks
from .report import warn_of_end
from .validation import (
    check_batch,
    check_labels,
    check_parameters,
    check_source,
    check_weight,
    encode_as,
    factors_of,
    generator,
    labels_of,
    stream_classes,
)

__all__ = ["OF_A_FIT", "OF_A_STREAM", "BatchLearner", "slices"]

OF_A_FIT = ("n_iter_", "history_", "loss_curve_", "validation_loss_curve_", "converged_", "duality_gap_", "n_passes_")
OF_A_STREAM = ("_stream", "progressive_loss_curve_")
SLICE_BYTES = 2**24  # of float64, of rows that are converted together


def has_no_l1(estimator):
    """Whether ``partial_fit`` is there: only with an l2 penalty, or none."""
    if estimator.l1_ratio != 0:
        raise AttributeError(f"partial_fit needs an l2 penalty: l1_ratio must be 0; got {estimator.l1_ratio!r}.")
    return True


def slices(X, y, sample_weight):
    """The rows of an array in batches that are small where they are copied, as a source."""
    check_consistent_length(X, y, sample_weight)
    size = max(1, SLICE_BYTES // (8 * X.shape[1]))
    for start in range(0, len(X), size):
        rows = slice(start, start + size)
        yield X[rows], y[rows], None if sample_weight is None else sample_weight[rows]


class BatchLearner:
    """What GDLogisticRegression can do with batches."""

    def fit_batches(self, source, classes=None):
        """Fit the model to rows that do not fit in memory, exactly, by reading them several times.

        The minimum is that of ``fit`` on all rows together, to ``tol``; so is all else that ``fit`` finds. Memory holds
        one batch, a sample of 40 MB, and a few numbers of a row for each class where there are more than 1,500
        parameters. The first pass finds the classes and the number of rows; some ten follow. ``n_passes_`` counts them.

        Parameters
        ----------
        source : iterable, or function that returns an iterator
            Of batches ``(X, y)`` or ``(X, y, sample_weight)``, as ``fit`` takes them, dense or CSR, of any size; those
            without rows are passed over. It must yield the same rows in the same order each time: a list does, or an
            object with ``__iter__``; a generator, which is read once, goes in as the function that makes it.
        classes : array-like of shape (n_classes,), default=None
            All labels, each of some row: another label is then an error where it is met. None takes those that come.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter, the source or a batch is not as described, if the rows of one pass are not those of the
            first, or with ``solver="sgd"`` or ``early_stopping=True``, which need rows at hand. The estimator then
            stays as it was, as it does on any error of the source's own; what happens at a batch has a note that says
            at which of which pass.

        Warns
        -----
        ConvergenceWarning
            As in ``fit``.

        Examples
        --------
        >>> from sklearn.datasets import load_breast_cancer
        >>> from gdlogit import GDLogisticRegression
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> def batches():
        ...     for start in range(0, len(y), 100):
        ...         yield X[start : start + 100], y[start : start + 100]
        >>> model = GDLogisticRegression(random_state=0).fit_batches(batches)
        >>> model.converged_, round(model.score(X, y), 3)
        (True, 0.958)
        """
        with self._unchanged_on_error():
            message = self._fit_batches(source, classes)
        warn_of_end(message)
        return self

    @with_callbacks
    def _fit_batches(self, batches, classes):
        check_parameters(self)
        if self.solver == "sgd":
            raise ValueError("solver='sgd' reads rows in random order, which batches have not; use partial_fit.")
        if self.early_stopping:
            raise ValueError("early_stopping=True is not supported by fit_batches, which holds out no rows.")
        check_source(batches)
        classes = None if classes is None else distinct(column_or_1d(classes), "classes")
        of_classes = partial(labels_of, classes), partial(factors_of, self.class_weight)
        source = Source(batches, partial(check_batch, self), classes, *of_classes)
        rng = generator(self.random_state)
        loss = loss_of(len(source.classes))
        start = self._start(source.classes, (len(source.centre) + 1, loss.n_outputs))
        rows = BatchRows(source, self.fit_intercept, loss.n_outputs)
        task = FitTask(self, batches, None, None, self.max_iter)
        with overflow_named(np.array([source.largest], source.dtype)):
            message = self._train(Training(self, rows, loss), source.classes, start, rng, task)
        self.n_passes_ = source.n_passes
        task.end()
        return message

    @available_if(has_no_l1)
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
            loss = loss_of(len(classes))
            with overflow_named(X):
                rows = rows_of(X, codes, weight, intercept=self.fit_intercept, n_scores=loss.n_outputs)
                stream, loss_before = online.learn(stream or online.begin(rows, loss), rows, loss, self.C)
                theta = rows.about(stream.centre).leave(stream.theta)
            if not hasattr(self, "_stream"):
                for name in OF_A_FIT:
                    vars(self).pop(name, None)
                self.progressive_loss_curve_ = np.empty(0)
            self._stream, self.classes_ = stream, classes
            self.coef_ = np.ascontiguousarray(theta[:-1].T)
            self.intercept_ = theta[-1]
            self.progressive_loss_curve_ = np.append(self.progressive_loss_curve_, loss_before)
        return self
