"""Hypothesis draws the same few examples in every run, and thousands of new ones in the profile "deep".

python -m pytest tests/test_properties.py --hypothesis-profile=deep --hypothesis-seed=1
"""

import signal

from hypothesis import HealthCheck, settings
from threadpoolctl import threadpool_limits

PLAIN = {"deadline": None, "database": None, "suppress_health_check": [*HealthCheck]}  # fits may take their time
settings.register_profile("committed", max_examples=20, derandomize=True, **PLAIN)
settings.register_profile("deep", max_examples=3000, print_blob=True, **PLAIN)
settings.load_profile("committed")


def pytest_configure(config):
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell script
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "thread_unsafe: of scikit-learn's own tests, which test_scikit_learns_own.py runs"
    )


def pytest_collection_finish(session):
    """Where tests run in several processes, each has one core: threads of BLAS that wait for a core spin, for seconds.

    Tests of threads ask for two.
    """
    if hasattr(session.config, "workerinput"):
        threadpool_limits(1)
