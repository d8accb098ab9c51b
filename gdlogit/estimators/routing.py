"""The score of a path's model, and the metadata that its scorer and its splitter get."""

from typing import Any

import sklearn
from numpy.typing import ArrayLike
from sklearn.metrics import log_loss
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from ..data.on_dask import is_collection
from ..typing import Matrix
from .base import Classifier
from .held_out import LOG_LOSS, scorer_of
from .lazy import log_likelihoods, mean_over_rows

__all__ = ["Scored"]


class Scored(Classifier):
    """The methods of GDLogisticRegressionCV that score, and that route metadata."""

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

    def get_metadata_routing(self) -> Any:
        """Which arguments scikit-learn's metadata routing passes on: to the splitter, and to the scorer."""
        to_split, to_score = MethodMapping(), MethodMapping()
        to_split.add(caller="fit", callee="split")
        to_score.add(caller="fit", callee="score").add(caller="score", callee="score")
        router = MetadataRouter(owner=type(self).__name__).add_self_request(self)
        if not isinstance(self.cv, str):
            router.add(splitter=self.cv, method_mapping=to_split)
        return router.add(scorer=scorer_of(self.scoring), method_mapping=to_score)

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
