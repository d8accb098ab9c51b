"""Pictures of a fit: its loss, its coefficients, and the paths of the solvers.

    LossCurveDisplay      J, or a proven bound on J - min J, after each iteration; one estimator or several
    CoefficientDisplay    the largest coefficients by name, as log-odds or odds ratios; of an inference, with intervals
    EffectsDisplay        marginal effects on probabilities, and contrasts, with their intervals
    DescentPathDisplay    contours of J over two coefficients, and the paths that the solvers take across them
    RegularizationPathDisplay    the coefficients over C, by name
    CVCurveDisplay        the score of cross-validation over C, with its standard error

They follow scikit-learn's pattern. The constructor takes data, ``from_estimator`` computes the data and draws them, and
``plot`` draws and returns self, with ``ax_``, ``figure_`` and the artists. ``frame`` returns the data as a pandas
DataFrame.
"""

from .coefficients import CoefficientDisplay
from .cv_curve import CVCurveDisplay
from .descent_path import DescentPathDisplay
from .effects import EffectsDisplay
from .loss_curve import LossCurveDisplay
from .path import RegularizationPathDisplay

__all__ = [
    "CVCurveDisplay",
    "CoefficientDisplay",
    "DescentPathDisplay",
    "EffectsDisplay",
    "LossCurveDisplay",
    "RegularizationPathDisplay",
]
