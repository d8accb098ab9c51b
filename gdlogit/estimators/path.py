"""GDLogisticRegressionCV: logistic regression over a path of C and l1_ratio, chosen by cross-validation."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.metadata_routing import UNUSED

from ..data.on_dask import is_collection
from ..data.overflow import held, overflow_named
from ..solve import Settings
from ..typing import ByFeature, ClassWeight, CoefBounds, Matrix, RandomState
from .callbacks import FitTask, with_callbacks
from .choice import Choice, end_of_grid, messages_of, results_of
from .folds import in_memory
from .folds_on_parts import on_parts
from .grid import Grid
from .held_out import LOG_LOSS, PathScores
from .inference import WithoutInference
from .lazy import refuse_client
from .path_fits import fit_all
from .path_points import PathPoints
from .predictor import Predictor
from .routing import Scored
from .validation import check_path_parameters, generator

__all__ = ["GDLogisticRegressionCV"]

Scoring: TypeAlias = str | Callable[..., float]
Rule: TypeAlias = Literal["best", "1se"] | Callable[[dict[str, Any]], int]


class GDLogisticRegressionCV(PathPoints, Scored, Predictor, WithoutInference):
    """Logistic regression with C and l1_ratio chosen by cross-validation; it needs no scaling and no tuning.

    Fits `GDLogisticRegression` at every point of a grid, to all rows and to the rows of every fold. One pass over X
    serves many of these fits. The grid comes from the data, and the choice is by log-loss.

    Parameters
    ----------
    Cs : int or array-like of floats, default=100
        The values of C. An int is the size of a grid that is made from the data. With l1 this grid begins at ``c_min``
        and ends at 10,000 times ``c_min``, or 100 times if there are more features than rows. With l2 alone it begins
        at the C at which the penalty leaves 0.01 effective degrees of freedom, and ends at 100 times the C at which it
        leaves 99% of all.
    l1_ratios : sequence of floats, default=(0.0,)
        Shares of the l1 penalty, from 0 to 1. With an int for Cs, each has a grid of its own.
    cv : int, splitter, iterable of (train, test), "loo" or None, default=None
        The folds. None is 5 stratified folds, or as many as the largest class has rows, if fewer; an int is the number
        of stratified folds. A row that the training part of a split names several times counts several times. "loo" is
        leave-one-out without a fit for each row: the score of a row without itself follows from the fit to all rows and
        the row's leverage. Only rows with a very large leverage are left out one by one. "loo" needs log-loss as the
        score, and at most 1,500 nonzero parameters. If there are more than 20,000 rows, it uses 20,000 random rows.
        ``scores_`` then has one fold, the mean.
    scoring : str or callable, default="neg_log_loss"
        The score to choose by: the name of one of scikit-learn's scorers, or a callable ``scorer(model, X, y)``.
        Log-loss measures the probabilities; accuracy is the same at many values of C.
    rule : {"best", "1se"} or callable, default="best"
        Which point of the grid to take. "best" is the point with the best mean score. "1se" is the simplest point
        within one standard error of the best score: the smallest C there, and of equal C the largest l1_ratio. A
        callable gets ``cv_results_`` and returns an index.
    refit : bool, default=True
        Whether ``coef_`` has the coefficients of the fit to all rows at the chosen point. With False ``coef_`` has the
        mean of the folds' coefficients there.
    store_cv_results : bool, default=False
        Whether to keep ``coefs_paths_``, the coefficients of every fold.
    penalty_factor : array-like of shape (n_features,), dict or None, default=None
        A number for each feature, which multiplies its penalty at every C, as in `GDLogisticRegression`: with 0 a
        feature is never penalised, with ``np.inf`` it is left out.
    coef_bounds : tuple (low, high), dict or None, default=None
        Bounds that the coefficients of every fit meet, as in `GDLogisticRegression`. With them the fits go one by one.
    monotonic_cst : array-like of int of shape (n_features,), dict or None, default=None
        The signs that coefficients may have, as in `GDLogisticRegression`.
    fit_intercept : bool, default=True
        Whether to fit b; otherwise it is 0.
    class_weight : dict, "balanced" or None, default=None
        Weights of the classes, as in `GDLogisticRegression`. Scores are computed without these weights.
    max_iter : int, default=1000
        Largest number of iterations of one fit.
    tol : float or "auto", default="auto"
        Each fit ends when its J is within ``tol * min(1, J)`` of its minimum. With "auto" this is 1e-8, and with too
        many parameters to form a Hessian as in `GDLogisticRegression`: 1e-6, or the end of a long descent.
    random_state : int, RandomState instance or None, default=None
        Seed for the rows that the fits and the proofs sample. It does not shuffle the folds.
    verbose : int or bool, default=0
        With 1 or more, print one line for each value of C.

    Attributes
    ----------
    C_, l1_ratio_ : float
        The point of the grid that is used.
    C_best_, C_1se_ : float
        The C that each of the two rules would take.
    coef_ : ndarray of shape (1, n_features) or (n_classes, n_features)
        W at that point.
    intercept_ : ndarray of shape (1,) or (n_classes,)
        The intercept b there.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    Cs_ : ndarray of shape (n_cs,) or (n_l1_ratios, n_cs)
        The values of C, ascending; a row for each l1_ratio if these rows differ.
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
        The shares of the l1 penalty.
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_cs)
        The score of each fold's held-out rows; nan at points that an interrupt has left out.
    cv_results_ : dict of ndarrays
        As in GridSearchCV: ``params``, ``param_C``, ``param_l1_ratio``, ``split0_test_score`` and so on,
        ``mean_test_score``, ``std_test_score``, ``rank_test_score``; also ``se_test_score``, the standard error of the
        mean, and ``n_nonzero``. There are no times, because the fits share their passes.
    best_index_ : int
        The index in ``cv_results_`` of the point that is used.
    best_score_ : float
        Its mean score.
    coef_path_ : ndarray of shape (n_l1_ratios, n_cs, 1 or n_classes, n_features)
        W of the fits to all rows.
    intercept_path_ : ndarray of shape (n_l1_ratios, n_cs, 1 or n_classes)
        b of the fits to all rows.
    n_nonzero_path_ : ndarray of shape (n_l1_ratios, n_cs)
        How many features have a nonzero coefficient in the fits to all rows.
    duality_gap_path_ : ndarray of shape (n_l1_ratios, n_cs)
        Proven bounds on J - min J of the fits to all rows.
    has_offset_ : bool
        Whether ``fit`` got an offset, which predictions then need, too.
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_cs, 1 or n_classes, n_features + 1)
        W and b of each fold's fits; only with ``store_cv_results=True``.
    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_cs)
        Number of iterations of each fit to a fold.
    converged_ : bool
        Whether every fit has ended as ``tol`` asks.
    n_features_in_ : int
        Number of features seen in ``fit``.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has string column names.

    See Also
    --------
    GDLogisticRegression : The same model at one value of C.
    sklearn.linear_model.LogisticRegressionCV : The same choice; its grid does not know the data.

    References
    ----------
    Friedman, Hastie and Tibshirani, "Regularization paths for generalized linear models via coordinate descent",
    Journal of Statistical Software 33 (2010).
    Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning" (2009), section 7.10 (one standard error).

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdlogit import GDLogisticRegressionCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GDLogisticRegressionCV(Cs=20, random_state=0).fit(X, y)
    >>> model.scores_.shape, model.C_1se_ <= model.C_best_
    ((5, 1, 20), True)
    """

    __metadata_request__fit = {"groups": UNUSED, "client": UNUSED}  # groups are of the splitter's

    def __init__(
        self,
        *,
        Cs: int | ArrayLike = 100,
        l1_ratios: Iterable[float] = (0.0,),
        cv: Any = None,
        scoring: Scoring = LOG_LOSS,
        rule: Rule = "best",
        refit: bool = True,
        store_cv_results: bool = False,
        penalty_factor: ByFeature = None,
        coef_bounds: CoefBounds = None,
        monotonic_cst: ByFeature = None,
        fit_intercept: bool = True,
        class_weight: ClassWeight = None,
        max_iter: int = 1000,
        tol: float | Literal["auto"] = "auto",
        random_state: RandomState = None,
        verbose: int = 0,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.cv = cv
        self.scoring = scoring
        self.rule = rule
        self.refit = refit
        self.store_cv_results = store_cv_results
        self.penalty_factor = penalty_factor
        self.coef_bounds = coef_bounds
        self.monotonic_cst = monotonic_cst
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Matrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        client: Any = None,
        **params: Any,
    ) -> Self:
        """Fit the path to all rows and to every fold, and choose.

        Ctrl-C ends the fit with a warning: points of the grid that every fold has reached stay, the others are nan.
        Before every fold has reached a point, Ctrl-C raises KeyboardInterrupt, and the estimator stays as it was.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows, on any scale; float64 and float32 are used without a copy, also from a memory map. A Dask
            collection, as in `GDLogisticRegression.fit`, stays on its cluster. A number of folds, or None, then deals
            the rows of each class in each partition; a splitter gets the numbers of all rows, and their labels. The
            scoring must be "neg_log_loss", and ``cv="loo"`` is not for collections.
        y : array-like of shape (n_samples,)
            The labels, at least two different ones. A class that a fold's training part lacks has the probability 0 in
            that fold, and a warning says so.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows, not negative. The fits use them, and so do the scores of a ``scoring`` that is a string
            or that asks for them by metadata routing. Default: all 1.
        offset : float or array-like of shape (n_samples,) or (n_samples, n_classes), default=None
            Added to the scores of the rows, as in `GDLogisticRegression.fit`; predictions need it, too. The scoring
            must then be "neg_log_loss".
        groups : array-like of shape (n_samples,), default=None
            Groups of rows, for a splitter such as GroupKFold.
        client : distributed.Client, default=None
            The cluster of a Dask collection; None is the client of this process.
        **params : dict
            Metadata for the splitter and the scorer, by scikit-learn's metadata routing.

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
            If some fit did not reach its minimum, or has none because the classes are separable, or an interrupt came.
        UserWarning
            If the best score is at an end of the grid and still rises there, or a fold lacks a class.
        """
        with self._unchanged_on_error():
            messages = self._fit(X, y, sample_weight, offset, groups, params, client)
        for message, category in messages:
            warnings.warn(message, category, stacklevel=2)
        return self

    @with_callbacks
    def _fit(self, X, y, sample_weight, offset, groups, params, client):
        """Set the fitted attributes; return warnings to give, each with its category."""
        check_path_parameters(self)
        given = X, y, sample_weight
        refuse_client(client, *given)
        of_splitter, of_scorer = self._routed("fit", sample_weight, {"groups": groups, **params})
        if is_collection(*given):
            if offset is not None:
                raise ValueError("offset must be None for a Dask collection.")
            problem, folds, rows, numbers = on_parts(self, *given, client, **of_splitter)
        else:
            problem, folds, rows, numbers = in_memory(self, *given, offset, **of_splitter)
        settings, rng = Settings(tol=self.tol, max_iter=self.max_iter), generator(self.random_state)
        with overflow_named(numbers):
            grid = Grid.of(problem, self.Cs, self.l1_ratios)
            task = FitTask(self, *given, grid.Cs.size)
            found = fit_all(self, problem, folds, grid, rows, settings, rng, task)
            if isinstance(self.cv, str):
                scores = PathScores.of_rows_without_themselves(problem, grid, found, rows, settings, rng)
            else:
                scores = PathScores.by_folds(self, folds, grid, found, rows, of_scorer)
        self.classes_, self.has_offset_ = rows.classes, problem.has_offset
        with np.errstate(under="ignore"):
            theta = held(found.theta, problem.dtype)
        self._keep_path(grid, theta, found)
        choice = self._keep_choice(grid, theta, scores)
        task.end()
        n_free = 0 if problem.factors is None else np.count_nonzero(problem.factors == 0)
        return [*messages_of(self, folds, found), *end_of_grid(self.cv_results_, choice.best, grid, n_free)]

    def _keep_path(self, grid, theta, found):
        """Set the attributes that are arrays over the grid."""
        Cs, self.l1_ratios_ = grid
        self.Cs_ = Cs[0] if (Cs == Cs[0]).all() else Cs
        path = theta[:, :, 0]
        self.coef_path_ = np.ascontiguousarray(path[..., :-1, :].swapaxes(2, 3))
        self.intercept_path_ = path[..., -1, :].copy()
        self.n_nonzero_path_ = (self.coef_path_ != 0).any(axis=2).sum(axis=2)
        self.duality_gap_path_, self.n_iter_ = found.gap[:, :, 0], np.moveaxis(found.n_iter[:, :, 1:], 2, 0)
        self.converged_ = bool(found.converged.all())
        vars(self).pop("coefs_paths_", None)
        if self.store_cv_results:
            self.coefs_paths_ = np.moveaxis(theta[:, :, 1:], 2, 0).swapaxes(3, 4)

    def _keep_choice(self, grid, theta, scores):
        """Set the attributes of the scores and of the chosen point; return the choice."""
        self.scores_, self.cv_results_ = scores.of_folds, results_of(scores, grid, self.n_nonzero_path_)
        choice = Choice.of(self.cv_results_, self.rule)
        self.best_index_, self.best_score_ = choice.used, float(self.cv_results_["mean_test_score"][choice.used])
        self.C_, self.l1_ratio_ = grid.point(choice.used)
        self.C_best_, self.C_1se_ = (grid.point(index)[0] for index in (choice.best, choice.simplest))
        of_point = theta[divmod(choice.used, grid.shape[1])]
        chosen = of_point[0] if self.refit or len(of_point) == 1 else of_point[1:].mean(axis=0)
        self.coef_, self.intercept_ = np.ascontiguousarray(chosen[:-1].T), chosen[-1].copy()
        return choice
