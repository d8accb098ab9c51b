"""GDLogisticRegression with settings that users do not choose."""

from gdlogit import GDLogisticRegression


def with_settings(**settings):
    """The estimator whose fits have these fields of ``Settings``: formed_parameters=0 is conjugate gradients."""

    class Variant(GDLogisticRegression):
        def _settings(self):
            return super()._settings()._replace(**settings)

    return Variant


ByProducts = with_settings(formed_parameters=0)
