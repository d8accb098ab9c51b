"""GDLogisticRegression with settings that users do not choose; and all of scikit-learn's checks of an estimator."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from gdlogit import GDLogisticRegression


def with_settings(**settings):
    """The estimator whose fits have these fields of ``Settings``: formed_parameters=0 is conjugate gradients."""

    class Variant(GDLogisticRegression):
        def _settings(self):
            return super()._settings()._replace(**settings)

    return Variant


ByProducts = with_settings(formed_parameters=0)


def every_check(estimators):
    """parametrize_with_checks, as a list: scikit-learn 1.6 gives pytest a generator, which it will not take."""
    names, checks = (mark := parametrize_with_checks(estimators)).args
    return pytest.mark.parametrize(names, [*checks], **mark.kwargs)
