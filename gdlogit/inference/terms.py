"""The parameters as a user sees them: named, the intercept first, class by class.

The package's theta is (p + 1, k') with the intercept last; a flat theta goes feature by feature. The user's ``params``
is (terms,) for two classes and (terms, k') for more; flat, as in ``cov_params``, it goes class by class.
"""

from typing import Any, NamedTuple

import numpy as np

__all__ = ["CONST", "Terms"]

CONST = "const"


class Terms(NamedTuple):
    """Names of the features, labels of all classes, the code of the reference, and whether there is an intercept."""

    features: tuple[str, ...]
    all_classes: tuple[Any, ...]
    code: int
    has_intercept: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms: the intercept, where there is one, and the features."""
        const = CONST if CONST not in self.features else "(Intercept)"
        return (const, *self.features) if self.has_intercept else self.features

    @property
    def reference(self) -> Any:
        """The label of the reference."""
        return self.all_classes[self.code]

    @property
    def classes(self) -> tuple[Any, ...]:
        """The labels of the classes that are compared with the reference."""
        return self.all_classes[: self.code] + self.all_classes[self.code + 1 :]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of ``params``."""
        return (len(self.names),) if len(self.classes) == 1 else (len(self.names), len(self.classes))

    @property
    def rows(self) -> np.ndarray:
        """The row of theta for each term."""
        n = len(self.names)
        return (np.arange(n) - self.has_intercept) % n

    @property
    def order(self) -> np.ndarray:
        """The index in a flat theta of each parameter, in the user's flat order."""
        k = len(self.classes)
        return (self.rows[None, :] * k + np.arange(k)[:, None]).ravel()

    def array(self, theta: np.ndarray) -> np.ndarray:
        """A theta in the shape of ``params``."""
        return theta[self.rows].reshape(self.shape)

    def shaped(self, flat: np.ndarray) -> np.ndarray:
        """An array with an entry for each parameter, in the user's flat order, in the shape of ``params``."""
        return flat.reshape(len(self.classes), -1, *flat.shape[1:]).swapaxes(0, 1).reshape(*self.shape, *flat.shape[1:])

    def flat(self, array: np.ndarray) -> np.ndarray:
        """The inverse of ``shaped``."""
        return array.reshape(len(self.names), -1).T.ravel()

    def row(self, term: Any) -> int:
        """The row of ``params`` of a term, by its name or by its index among the terms."""
        if isinstance(term, str):
            if term in self.names:
                return self.names.index(term)
        elif isinstance(term, int | np.integer) and -len(self.names) <= term < len(self.names):
            return int(term) % len(self.names)
        raise ValueError(f"{term!r} is no term of the model; its terms are {', '.join(self.names)}.")

    def parameters(self, term: Any) -> np.ndarray:
        """The places of a term's parameters, one for each class, in the user's flat order."""
        return self.row(term) + len(self.names) * np.arange(len(self.classes))

    def labels(self) -> list[str]:
        """A name for each parameter, in the user's flat order: the term's name, and the class if there are several."""
        if len(self.classes) == 1:
            return list(self.names)
        return [f"{label}:{name}" for label in self.classes for name in self.names]
