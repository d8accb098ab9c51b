"""The model inside a Pipeline or a search, and the names of the features that it sees."""

from typing import Any, NamedTuple, Self

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

__all__ = ["UnwrappedModel", "unwrapped", "names_of_columns"]


class UnwrappedModel(NamedTuple):
    """A model, and the transformers that its X goes through first, in their order."""

    model: Any
    transformers: tuple[Any, ...]

    def fitted(self, X: Any, y: Any) -> Self:
        """The same with fitted transformers: where one is not fitted, a copy of it is fitted to X, y."""
        done: list[Any] = []
        for transformer in self.transformers:
            try:
                check_is_fitted(transformer)
            except NotFittedError:
                transformer = clone(transformer).fit(X, y)
            X = transformer.transform(X)
            done.append(transformer)
        return self._replace(transformers=tuple(done))

    def transform(self, X: Any) -> Any:
        """The X that the model sees."""
        for transformer in self.transformers:
            X = transformer.transform(X)
        return X

    def feature_names(self, X: Any = None) -> list[str] | None:
        """Names of the model's features: those of its fit, or those made from the columns of the user's X, or None."""
        seen = getattr(self.model, "feature_names_in_", None)
        if seen is not None:
            return list(seen)
        names = names_of_columns(X)
        try:
            for transformer in self.transformers:
                names = list(transformer.get_feature_names_out(names))
        except (AttributeError, NotFittedError, ValueError):  # a transformer without names for its output
            return None
        return names


def unwrapped(estimator: Any) -> UnwrappedModel:
    """The model inside an estimator.

    That is the last step of a Pipeline, and the best model of a search or, before its fit, the model that it varies.
    """
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV  # a fit needs neither of them
    from sklearn.pipeline import Pipeline

    transformers: tuple[Any, ...] = ()
    while True:
        if isinstance(estimator, Pipeline):
            transformers += (estimator[:-1],) if len(estimator) > 1 else ()
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):  # searches of other packages have that attribute, too
            estimator = estimator.best_estimator_
        elif isinstance(estimator, GridSearchCV | RandomizedSearchCV):
            estimator = estimator.estimator
        else:
            return UnwrappedModel(estimator, transformers)


def names_of_columns(X: Any) -> list[str] | None:
    """The names of a data frame's columns, if all are strings, as scikit-learn takes them; None where X has none."""
    names = list(getattr(X, "columns", []))
    return names if names and all(isinstance(name, str) for name in names) else None
