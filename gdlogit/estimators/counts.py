"""``fit_proba``: targets that are probabilities or counts of the classes."""

from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import column_or_1d, validate_data

from ..data.labels import Columns, distinct
from ..data.overflow import overflow_named
from ..problem import Problem
from ..soft_labels import soft_loss_of
from ..typing import Matrix
from .arrays import as_numbers
from .base import Classifier
from .by_feature import penalty_factors
from .callbacks import FitTask, with_callbacks
from .lazy import refuse_collections
from .limits import limits
from .offset import check_offset
from .report import warn_of_end
from .validation import (
    check_finite,
    check_parameters,
    check_targets,
    check_weight,
    class_factors,
    generator,
    shares,
)

__all__ = ["CountLearner"]


class CountLearner(Classifier):
    """The method of GDLogisticRegression that takes probabilities and counts."""

    def fit_proba(
        self,
        X: Matrix,
        Y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
        offset: ArrayLike | None = None,
    ) -> Self:
        """Fit the model to probabilities, or counts, of the classes in the place of one label for each row.

        The loss of a row is sum_k Y_k loss(k), as if X had the row once for each class k, with the label k and the
        weight Y_k; no row is copied. Probabilities are soft labels, for example of several annotators or of another
        model (distillation). Counts are aggregated rows, like R's ``cbind(successes, failures)``, but with the columns
        in the order of ``classes_``: failures first.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, as in ``fit``.
        Y : array-like of shape (n_samples, n_classes)
            Probabilities or counts of the classes, not negative. Each class must have a positive one. Rows need not add
            up to 1: the sum of a row multiplies the row's weight.
        sample_weight : array-like of shape (n_samples,), default=None
            Factors of the rows of Y. Default: all 1.
        classes : array-like of shape (n_classes,), default=None
            The label of each column of Y, in any order. Default: 0, 1, ...
        offset : float or array-like of shape (n_samples,) or (n_samples, n_classes), default=None
            Numbers that are added to the scores, as in ``fit``, in the order of ``classes_``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or an argument is not as described, or with ``early_stopping=True``, which holds out rows
            by their labels; the estimator then stays as it was.

        Warns
        -----
        ConvergenceWarning
            As in ``fit``.

        Examples
        --------
        >>> import numpy as np
        >>> from gdlogit import GDLogisticRegression
        >>> dose = np.array([[0.0], [1.0], [2.0], [3.0]])
        >>> alive_and_dead = [[19, 1], [16, 4], [9, 11], [2, 18]]
        >>> model = GDLogisticRegression(C=np.inf).fit_proba(dose, alive_and_dead, classes=["alive", "dead"])
        >>> model.coef_.round(2)
        array([[1.71]])
        """
        with self._unchanged_on_error():
            message = self._fit_proba(X, Y, sample_weight, classes, offset)
        warn_of_end(message)
        return self

    @with_callbacks
    def _fit_proba(self, X, Y, sample_weight, classes, offset):
        check_parameters(self)
        if self.early_stopping:
            raise ValueError("early_stopping=True is not supported by fit_proba, which holds out no rows.")
        if self.bias_reduction is not None:
            raise ValueError("bias_reduction='firth' is not supported by fit_proba: fit rows with their labels.")
        given = X, Y, sample_weight, self.max_iter, offset
        refuse_collections("fit_proba", X, Y, sample_weight, offset)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], ensure_all_finite=False)
        classes, Y = check_counts(Y, X, classes)
        y, weight = shares_of(Y, check_weight(sample_weight, X), self.class_weight, classes)
        loss = soft_loss_of(len(classes))
        offset = check_offset(offset, X, loss.n_outputs)
        factors, rng = penalty_factors(self), generator(self.random_state)
        columns = Columns(classes, np.ones(len(classes), dtype=bool), np.ones(len(classes)))
        start = self._start(columns, X.shape[1], factors)
        terms = {"C": self.C, "l1_ratio": self.l1_ratio, "intercept": self.fit_intercept, "factors": factors}
        with overflow_named(X):
            bounds = limits(self, columns, factors)
            problem = Problem.of(X, y, weight, len(classes), offset=offset, loss=loss, bounds=bounds, **terms)
        check_finite(self, problem.rows)
        task = FitTask(self, *given)
        with overflow_named(X):
            message = self._solve(problem, columns, start, rng, task)
        totals = weight @ y
        self.class_prior_ = shares(totals if y.ndim > 1 else np.array([weight @ (1 - y), totals]), columns)
        task.end()
        return message


def check_counts(Y, X, classes):
    """The classes, sorted, and Y as an array with its columns in the order of the classes."""
    Y = as_numbers(Y, "Y")
    if Y.ndim != 2 or Y.shape[1] < 2:
        raise ValueError(f"Y must have shape (n, n_classes), with a column for each class; got shape {Y.shape}.")
    if len(Y) != X.shape[0]:
        raise ValueError(f"Y must have a row for each of the {X.shape[0]} rows of X; got {len(Y)}.")
    if (Y < 0).any():
        raise ValueError(f"Y must not be negative; its smallest is {Y.min()}.")
    if classes is None:
        return np.arange(Y.shape[1]), Y
    given = column_or_1d(classes)
    classes = distinct(given, "classes")
    check_targets(classes)
    if not len(classes) == len(given) == Y.shape[1]:
        raise ValueError(f"classes must have {Y.shape[1]} different labels, one for each column of Y; got {given!r}.")
    return classes, Y[:, np.argsort(given)]


def shares_of(Y, weight, class_weight, classes):
    """The distribution of each row, which the loss takes as its label; and the weight of each row."""
    weight = np.ones(len(Y)) if weight is None else weight
    totals = weight @ Y
    factors = class_factors(class_weight, classes, totals)
    totals *= factors
    if not (totals > 0).all():
        lacking = classes[totals == 0].tolist()
        raise ValueError(
            f"Y must be positive for each class in a row with a positive weight; got only 0 for {lacking}."
        )
    sums = Y @ factors  # by BLAS: NumPy's sums over two columns take ten times as long
    first = 1 if len(classes) == 2 else 0  # the share of the second of two classes says all
    shares = Y[:, first:] * factors[first:] / np.where(sums > 0, sums, 1.0)[:, None]
    return (shares[:, 0] if first else shares), weight * sums
