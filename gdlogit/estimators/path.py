"""GDLogisticRegressionCV: logistic regression over a path of C and l1_ratio, chosen by cross-validation."""

import warnings
from collections.abc import Callable, Iterable
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import sklearn
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.on_dask import is_collection
from ..data.overflow import held, overflow_named
from ..loo import LeaveOneOut
from ..paths import paths
from ..problem import Problem
from ..solve import Settings
from ..typing import ByFeature, ClassWeight, CoefBounds, Matrix, RandomState
from .by_feature import penalty_factors
from .callbacks import FitTask, with_callbacks
from .choice import Choice, end_of_grid, messages_of, results_of
from .classifier import GDLogisticRegression
from .folds import Folds, folds_of
from .folds_on_parts import on_parts
from .forms import OtherForms, named, with_l1
from .grid import grid_of
from .held_out import LOG_LOSS, Rows, held_out_scores, scorer_of
from .inference import WithoutInference
from .lazy import log_likelihoods, mean_over_rows, refuse_client
from .limits import limits
from .offset import check_offset, scores_of
from .path_fits import Found, embedded, print_point
from .predictor import Predictor
from .validation import (
    check_finite,
    check_path_parameters,
    check_weight,
    encode,
    generator,
    require_all_classes,
)

__all__ = ["GDLogisticRegressionCV"]

Scoring: TypeAlias = str | Callable[..., float]
Rule: TypeAlias = Literal["best", "1se"] | Callable[[dict[str, Any]], int]

MUCH_MEMORY = 2**30  # bytes of coefficients that a user may not expect
SAME_C = 1e-9  # relative


class GDLogisticRegressionCV(Predictor, OtherForms, WithoutInference):
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
    tol : float, default=1e-8
        Each fit ends when its J is within ``tol * min(1, J)`` of its minimum.
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
        Whether every fit is within ``tol * min(1, J)`` of its minimum.
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
        tol: float = 1e-8,
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
            If some fit did not reach its minimum, or an interrupt came.
        UserWarning
            If the best score is at an end of the grid and still rises there, or a fold lacks a class.
        """
        with self._unchanged_on_error():
            messages = self._fit(X, y, sample_weight, offset, groups, params, client)
        for message, category in messages:
            warnings.warn(message, category, stacklevel=2)
        return self

    def at(self, C: float | None = None, l1_ratio: float | None = None) -> GDLogisticRegression:
        """The model at a point of the path, fitted to all rows.

        Parameters
        ----------
        C : float, default=None
            A value of ``Cs_``, such as ``C_1se_``. None is ``C_``.
        l1_ratio : float, default=None
            A value of ``l1_ratios_``. None is ``l1_ratio_``.

        Returns
        -------
        GDLogisticRegression
            A fitted estimator; no fit is needed.

        Raises
        ------
        ValueError
            If the grid does not have this point.
        """
        check_is_fitted(self)
        C, l1_ratio = self.C_ if C is None else C, self.l1_ratio_ if l1_ratio is None else l1_ratio
        r = int(np.abs(self.l1_ratios_ - l1_ratio).argmin())
        if not np.isclose(self.l1_ratios_[r], l1_ratio, rtol=0, atol=SAME_C):
            raise ValueError(f"l1_ratio must be one of l1_ratios_, {self.l1_ratios_.tolist()}; got {l1_ratio!r}.")
        Cs = np.broadcast_to(self.Cs_, self.scores_.shape[1:])[r]
        i = int(np.abs(np.log(Cs) - np.log(C)).argmin()) if C > 0 and np.isfinite(C) else len(Cs) - 1
        if not (Cs[i] == C or np.isclose(Cs[i], C, rtol=SAME_C, atol=0)):
            raise ValueError(f"C must be a value of Cs_; got {C!r}, and the nearest is {Cs[i]:.17g}.")
        return self._model(
            C=float(Cs[i]),
            l1_ratio=float(self.l1_ratios_[r]),
            coef_=self.coef_path_[r, i].copy(),
            intercept_=self.intercept_path_[r, i].copy(),
            duality_gap_=float(self.duality_gap_path_[r, i]),
        )

    def score(
        self,
        X: Matrix,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | None = None,
        **params: Any,
    ) -> float:
        """The score of given rows, by the parameter ``scoring``.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows.
        y : array-like of shape (n_samples,)
            The labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.
        offset : float or array-like of shape (n_samples,) or (n_samples, n_classes), default=None
            Added to their scores; the score is then the negative mean log-loss.
        **params : dict
            Metadata for the scorer, by scikit-learn's metadata routing.

        Returns
        -------
        float
            The score: by default the negative mean log-loss.
        """
        if is_collection(X, y, sample_weight):
            return self._score_of_collection(X, y, sample_weight)
        if offset is not None:
            a = self.predict_proba(X, offset=offset)
            return -log_loss(y, a, sample_weight=sample_weight, labels=self.classes_)
        _, of_scorer = self._routed("score", sample_weight, params)
        return float(scorer_of(self.scoring)(self, X, y, **of_scorer))

    def _score_of_collection(self, X, y, sample_weight):
        if self.scoring != LOG_LOSS:
            raise ValueError(f"scoring must be {LOG_LOSS!r} for a Dask collection; got {self.scoring!r}.")
        return mean_over_rows(log_likelihoods, self, X, y, sample_weight)

    def to_sklearn(self) -> LogisticRegression:
        """The chosen model as a LogisticRegression: see `GDLogisticRegression.to_sklearn`.

        Returns
        -------
        sklearn.linear_model.LogisticRegression
            A fitted model with the same coefficients.
        """
        check_is_fitted(self)
        model = self._model(C=self.C_, l1_ratio=self.l1_ratio_, coef_=self.coef_, intercept_=self.intercept_)
        return model.to_sklearn()

    @property
    def penalty(self) -> str | None:
        """The penalty of the chosen model by scikit-learn's name, read-only: "l2", "l1", "elasticnet" or None."""
        return named(self.C_, self.l1_ratio_)

    def get_metadata_routing(self) -> Any:
        """Which arguments scikit-learn's metadata routing passes on: to the splitter, and to the scorer."""
        to_split, to_score = MethodMapping(), MethodMapping()
        to_split.add(caller="fit", callee="split")
        to_score.add(caller="fit", callee="score").add(caller="score", callee="score")
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        if not isinstance(self.cv, str):
            router.add(splitter=self.cv, method_mapping=to_split)
        return router.add(scorer=scorer_of(self.scoring), method_mapping=to_score)

    def _unfitted(self):
        same = ("Cs", "l1_ratios", "scoring", "refit", "fit_intercept", "class_weight")
        model = LogisticRegressionCV(**{name: getattr(self, name) for name in same})
        if not isinstance(self.cv, str):
            model.set_params(cv=self.cv)
        return with_l1(model) if any(self.l1_ratios) else model

    # --- How --------------------------------------------------------------------------------------------------------

    def _routed(self, method, sample_weight, params):
        """What the splitter and the scorer get: by metadata routing where it is on, else the weights for the scorer."""
        if sklearn.get_config().get("enable_metadata_routing", False):
            routed = process_routing(self, method, sample_weight=sample_weight, **params)
            return routed.get("splitter", {}).get("split", {}), routed.scorer.score
        unknown = [name for name in params if name != "groups"]
        if unknown:
            raise TypeError(f"{method} got {unknown[0]!r}, which needs scikit-learn's metadata routing to be enabled.")
        weighted = sample_weight is not None and isinstance(self.scoring, str)
        groups = params.get("groups")
        return {} if groups is None else {"groups": groups}, {"sample_weight": sample_weight} if weighted else {}

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
            problem, folds, of_rows, numbers = on_parts(self, *given, client, **of_splitter)
        else:
            problem, folds, of_rows, numbers = self._in_memory(*given, offset, **of_splitter)
        l1_ratios = np.array([float(ratio) for ratio in self.l1_ratios])
        rng = generator(self.random_state)
        with overflow_named(numbers):
            grids = self._grids(problem, l1_ratios)
            task = FitTask(self, *given, grids.size)
            found = self._solutions(problem, folds, grids, l1_ratios, of_rows, rng, task)
            if isinstance(self.cv, str):
                scores, std, n_scored = self._scores_without(problem, grids, l1_ratios, found, of_rows, rng)
            else:
                scores, std, n_scored = self._scores_of(folds, grids, l1_ratios, found, of_rows, of_scorer), None, None
        self.classes_, self.l1_ratios_, self.has_offset_ = of_rows.classes, l1_ratios, problem.has_offset
        self.Cs_ = grids[0] if (grids == grids[0]).all() else grids
        messages = self._keep(folds, grids, l1_ratios, found, (scores, std, n_scored), problem.dtype)
        task.end()
        return messages

    def _in_memory(self, X, y, sample_weight, offset, **of_splitter):
        """The problem, its folds, the rows for the scores, and X, whose numbers an overflow names."""
        accepted = {"accept_sparse": "csr", "dtype": [np.float64, np.float32], "ensure_all_finite": False}
        X, y = validate_data(self, X, y, **accepted)
        sample_weight = check_weight(sample_weight, X)
        columns, codes, weight = encode(y, sample_weight, self.class_weight, self.fit_intercept)
        require_all_classes(columns)
        offset = check_offset(offset, X, scores_of(columns.classes))
        if offset is not None and self.scoring != LOG_LOSS:
            raise ValueError(
                f"scoring must be {LOG_LOSS!r} with an offset, which no scorer takes; got {self.scoring!r}."
            )
        with overflow_named(X):
            factors = penalty_factors(self)
            terms = {"intercept": self.fit_intercept, "factors": factors, "bounds": limits(self, columns, factors)}
            problem = Problem.of(X, codes, weight, len(columns.classes), offset=offset, **terms)
        check_finite(self, problem.rows)
        if isinstance(self.cv, str):
            folds = Folds.none(len(y))
        else:
            folds = folds_of(self.cv, X, y, codes, weight, len(columns.classes), **of_splitter)
        return problem, folds, Rows(X, y, codes, weight, sample_weight, offset, columns.classes), X

    def _grids(self, problem, l1_ratios):
        """The values of C for each l1_ratio, ascending."""
        if isinstance(self.Cs, int | np.integer):
            return np.stack([grid_of(problem, int(self.Cs), ratio) for ratio in l1_ratios])
        return np.tile(np.unique(np.asarray(self.Cs, dtype=float)), (len(l1_ratios), 1))

    def _solutions(self, problem, folds, grids, l1_ratios, rows, rng, task):
        """All fits, of all rows first: until an interrupt, or until a callback asks to stop."""
        found = Found.of((*grids.shape, folds.shares.shape[1], *problem.shape))
        settings = Settings(tol=self.tol, max_iter=self.max_iter)
        terms = {"intercept": self.fit_intercept, "settings": settings, "rng": rng, "factors": problem.factors}
        complete = folds.complete
        if problem.bounds is not None and len(complete) < folds.shares.shape[1]:
            raise ValueError("coef_bounds and monotonic_cst need every class in the training part of every fold.")
        if found.theta.nbytes > MUCH_MEMORY:
            warnings.warn(f"The coefficients of all fits take {found.theta.nbytes / 2**30:.1f} GB.", stacklevel=4)
        try:
            for r, (Cs, l1_ratio) in enumerate(zip(grids, l1_ratios, strict=True)):
                for f in sorted({*range(folds.shares.shape[1])} - {*complete}):
                    lesser = rows.X, rows.codes
                    weight, classes = rows.weight * folds.shares[:, f], len(rows.classes)
                    terms["offset"] = rows.offset
                    for i, *of_fold in embedded(*lesser, weight, folds.lacking[f], Cs, l1_ratio, classes, **terms):
                        found.keep((r, i, f), *of_fold[:2], np.nan, *of_fold[2:])
                for i, fits in paths(problem, folds.shares[:, complete], Cs, l1_ratio, settings, rng):
                    task.begin_iteration(None)
                    found.keep((r, i, complete), fits.theta, fits.excess, fits.gap, fits.n_iter, fits.converged)
                    if self.verbose:
                        print_point(l1_ratio, Cs[i], found, r, i)
                    if task.end_iteration(None):
                        return found
        except KeyboardInterrupt:
            if not found.reached.any():
                raise
            found.interrupted.append(True)
        return found

    def _scores_of(self, folds, grids, l1_ratios, found, rows, of_scorer):
        """The score of each fold's held-out rows at each point, (n_folds, n_l1_ratios, n_cs)."""
        scores = np.full((len(folds.tests), *grids.shape), np.nan)
        reached = found.reached
        points = [(C, ratio) for Cs, ratio in zip(grids, l1_ratios, strict=True) for C in Cs]
        points = [point for point, is_reached in zip(points, reached.ravel(), strict=True) if is_reached]
        for number, test in enumerate(folds.tests):
            theta, part = found.theta[reached, number + 1], rows.some(test)
            if self.scoring == LOG_LOSS:
                scores[number][reached] = -part.log_losses(theta, self.fit_intercept)
            else:
                models = (self._model(*point, **rows.fitted(one)) for point, one in zip(points, theta, strict=True))
                metadata = {name: np.asarray(value)[test] for name, value in of_scorer.items() if value is not None}
                scores[number][reached] = held_out_scores(scorer_of(self.scoring), models, part.X, part.y, **metadata)
        return scores

    def _scores_without(self, problem, grids, l1_ratios, found, rows, rng):
        """The mean score (1, n_l1_ratios, n_cs) of rows without themselves, its spread over them, and their number."""
        loo = LeaveOneOut(problem, rows.weight, rows.unit, Settings(tol=self.tol, max_iter=self.max_iter), rng)
        part, mean, std = rows.some(loo.index), np.full(grids.shape, np.nan), np.full(grids.shape, np.nan)
        for r, i in np.argwhere(found.reached):
            losses = part.losses_at(loo.scores(found.theta[r, i, 0], grids[r, i], l1_ratios[r]))
            mean[r, i] = -np.average(losses, weights=part.sample_weight)
            std[r, i] = np.sqrt(np.average((losses + mean[r, i]) ** 2, weights=part.sample_weight))
        return mean[None], std.ravel(), len(loo.index)

    def _model(self, C, l1_ratio, **fitted):
        """A GDLogisticRegression at a point, with fitted attributes."""
        names = ("penalty_factor", "coef_bounds", "monotonic_cst", "fit_intercept", "class_weight", "max_iter", "tol")
        names = (*names, "random_state")
        model = GDLogisticRegression(C=C, l1_ratio=l1_ratio, **{name: getattr(self, name) for name in names})
        kept = ("n_features_in_", "feature_names_in_", "has_offset_")
        of_fit = {name: getattr(self, name) for name in kept if hasattr(self, name)}
        vars(model).update(of_fit | {"classes_": getattr(self, "classes_", None)} | fitted)
        return model

    def _keep(self, folds, grids, l1_ratios, found, scored, dtype):
        """Set the attributes that are left; return warnings."""
        scores, std, n_scored = scored
        with np.errstate(under="ignore"):
            theta = held(found.theta, dtype)
        path = theta[:, :, 0]
        self.coef_path_ = np.ascontiguousarray(path[..., :-1, :].swapaxes(2, 3))
        self.intercept_path_ = path[..., -1, :].copy()
        self.n_nonzero_path_ = (self.coef_path_ != 0).any(axis=2).sum(axis=2)
        self.duality_gap_path_ = found.gap[:, :, 0]
        self.scores_, self.n_iter_ = scores, np.moveaxis(found.n_iter[:, :, 1:], 2, 0)
        self.converged_ = bool(found.converged.all())
        vars(self).pop("coefs_paths_", None)
        if self.store_cv_results:
            self.coefs_paths_ = np.moveaxis(theta[:, :, 1:], 2, 0).swapaxes(3, 4)
        self.cv_results_ = results_of(scores, grids, l1_ratios, self.n_nonzero_path_, std, n_scored)
        choice = Choice.of(self.cv_results_, self.rule)
        n_cs = grids.shape[1]
        r, i = divmod(choice.used, n_cs)
        self.best_index_, self.best_score_ = choice.used, float(self.cv_results_["mean_test_score"][choice.used])
        self.C_, self.l1_ratio_ = float(grids[r, i]), float(l1_ratios[r])
        self.C_best_, self.C_1se_ = (float(grids.ravel()[index]) for index in (choice.best, choice.simplest))
        chosen = path[r, i] if self.refit or not folds.tests else theta[r, i, 1:].mean(axis=0)
        self.coef_, self.intercept_ = np.ascontiguousarray(chosen[:-1].T), chosen[-1].copy()
        return [*messages_of(self, folds, found), *end_of_grid(self.cv_results_, choice.best, grids)]
