"""The model inside a Pipeline or a search, and the names of the features that it sees."""

from typing import Any, NamedTuple, Self

from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

__all__ = ["Inner", "inner", "names_of_columns"]


class Inner(NamedTuple):
    """A model, and the transformers that its X goes through before, the first one first."""

    model: Any
    transformers: tuple[Any, ...]

    def fitted(self, X: Any, y: Any) -> Self:
        """The same, with transformers that are fitted: those that are not are copied, and the copies fitted to X, y."""
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
        """Names of the model's features; X, which may bring names, is the user's. None where nothing has names."""
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


def inner(estimator: Any) -> Inner:
    """The model inside: of a Pipeline the last step, of a search the best model or, before a fit, the one it varies."""
    from sklearn.model_selection import GridSearchCV, RandomizedSearchCV  # a fit needs neither of them
    from sklearn.pipeline import Pipeline

    transformers: tuple[Any, ...] = ()
    while True:
        if isinstance(estimator, Pipeline):
            transformers += (estimator[:-1],) if len(estimator) > 1 else ()
            estimator = estimator[-1]
        elif hasattr(estimator, "best_estimator_"):  # searches of other packages have one, too
            estimator = estimator.best_estimator_
        elif isinstance(estimator, GridSearchCV | RandomizedSearchCV):
            estimator = estimator.estimator
        else:
            return Inner(estimator, transformers)


def names_of_columns(X: Any) -> list[str] | None:
    """The names of a data frame's columns, if all are strings, as scikit-learn takes them; None where X has none."""
    names = list(getattr(X, "columns", []))
    return names if names and all(isinstance(name, str) for name in names) else None
