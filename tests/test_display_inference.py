"""Pictures of inference: every number that is drawn is one of the result's."""

import numpy as np
import pytest

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")

from births import birthwt, drawn, fitted, inferred  # noqa: E402

from gdlogit import CoefficientDisplay, EffectsDisplay  # noqa: E402


@pytest.fixture(autouse=True)
def _closed():
    yield
    matplotlib.pyplot.close("all")


def whiskers(display):
    """The limits that are drawn, from the top, and from the first class on."""
    segments = [segment for lines in display.ax_.collections for segment in lines.get_segments()]
    return np.array([segment[:, 0] for segment in segments])


def labels(display):
    """The names beside the axis, from the top."""
    return [text.get_text() for text in display.ax_.get_yticklabels()]


def test_coefficients_are_drawn_with_their_intervals_in_the_order_of_the_features():
    X, y = birthwt()
    result = inferred(X, y)
    display = CoefficientDisplay.from_inference(result)
    assert labels(display) == list(X.columns)
    np.testing.assert_allclose(display.points_[0].get_xdata(), result.params[1:])
    np.testing.assert_allclose(whiskers(display), result.conf_int()[1:])
    assert np.diff(display.points_[0].get_ydata()).max() < 0  # the first on top


def test_odds_ratios_are_on_a_log_axis_with_plain_numbers():
    X, y = birthwt()
    display = CoefficientDisplay.from_inference(inferred(X, y), odds_ratio=True, conf_level=0.9)
    assert display.ax_.get_xscale() == "log"
    np.testing.assert_allclose(whiskers(display), np.exp(inferred(X, y).conf_int(0.1)[1:]))
    display.figure_.canvas.draw()
    assert {"1", "2", "5"} <= {text.get_text() for text in display.ax_.get_xticklabels()}
    assert "90% interval" in display.ax_.get_xlabel()
    assert "2.56  [1.32, 4.95]" in [text.get_text() for text in display.ax_.texts]


def test_several_classes_stand_side_by_side():
    X, y, _ = drawn(3)
    result = inferred(X, y, reference=1)
    display = CoefficientDisplay.from_inference(result)
    assert [line.get_label() for line in display.points_] == ["0", "2"]
    assert "against 1" in display.ax_.get_xlabel()
    np.testing.assert_allclose(whiskers(display), result.conf_int()[1:].transpose(1, 0, 2).reshape(-1, 2))
    heights = np.array([line.get_ydata() for line in display.points_])
    assert (heights[0] > heights[1]).all()


def test_of_many_features_the_clearest_are_drawn():
    X, y = birthwt()
    display = CoefficientDisplay.from_inference(inferred(X, y), k=3)
    assert labels(display) == ["race2", "smoke", "ht"]
    assert list(display.frame().feature[:3]) == ["ht", "race2", "smoke"]


def test_an_aliased_feature_is_not_drawn():
    X, y = birthwt()
    X = X.assign(twice=2 * X.age)
    assert "twice" not in labels(CoefficientDisplay.from_inference(inferred(X, y)))
    assert "twice" not in labels(EffectsDisplay.from_inference(inferred(X, y)))


def test_marginal_effects_are_drawn():
    X, y = birthwt()
    effects = inferred(X, y).margins(dummy=True)
    display = EffectsDisplay.from_inference(inferred(X, y), dummy=True)
    np.testing.assert_allclose(display.points_[0].get_xdata(), effects.margeff)
    np.testing.assert_allclose(whiskers(display), effects.conf_int())
    assert "marginal effect on the probability of 1" in display.ax_.get_xlabel()
    assert list(display.frame().index) == list(X.columns)


def test_a_contrast_is_drawn_where_it_is_told():
    X, y, _ = drawn(3)
    _, ax = matplotlib.pyplot.subplots()
    display = EffectsDisplay(inferred(X, y).contrast("x1", 1, 0, measure="ratio")).plot(ax)
    assert display.ax_ is ax
    assert ax.get_xscale() == "log"
    assert len(display.points_) == 3


def test_credible_intervals_are_drawn_too():
    X, y, _ = drawn(2)
    result = fitted(X, y, C=1.0).inference(X, y, method="bayes")
    np.testing.assert_allclose(whiskers(CoefficientDisplay.from_inference(result)), result.conf_int()[1:])


def test_a_result_shows_its_table_in_a_notebook_and_a_line_at_a_prompt():
    X, y = birthwt()
    result = inferred(X, y)
    assert result._repr_html_() == result.summary()._repr_html_()
    assert repr(result).startswith(f"<InferenceResult: 1 against 0, {1 + X.shape[1]} terms, 189 rows")
    assert "<table" in result.margins()._repr_html_()
