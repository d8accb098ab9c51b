"""The pages say what there is: nothing that a user may set is left out of the tables that lead here."""

import inspect
import re
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier

from gdlogit import GDLogisticRegression

PAGES = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("estimator", [LogisticRegression, SGDClassifier, GDLogisticRegression])
def test_every_parameter_has_a_place_in_the_page_for_those_who_switch(estimator):
    page = (PAGES / "coming_from.rst").read_text(encoding="utf-8")
    named = set(re.findall(r"`([A-Za-z_0-9]+)`", page))
    assert not set(inspect.signature(estimator).parameters) - {"self"} - named


def test_every_attribute_of_a_fit_has_a_place_there(fitted_attributes):
    page = (PAGES / "coming_from.rst").read_text(encoding="utf-8")
    assert not fitted_attributes - set(re.findall(r"`([A-Za-z_0-9]+_)`", page))


@pytest.fixture
def fitted_attributes():
    model = GDLogisticRegression().fit([[0.0], [1.0], [2.0]], [0, 1, 0])
    return {name for name in vars(model) if name.endswith("_")}


def test_every_page_is_in_the_table_of_contents():
    index = (PAGES / "index.rst").read_text(encoding="utf-8")
    pages = {path.stem for path in [*PAGES.glob("*.rst"), *PAGES.glob("*.md")]} - {"index"}
    assert not {page for page in pages if not re.search(rf"^   (.* <)?{page}>?$", index, re.M)}


def test_an_estimator_shows_itself_as_scikit_learns_do():
    model = GDLogisticRegression(C=2).fit([[0.0], [1.0], [2.0]], [0, 1, 0])
    assert repr(model) == "GDLogisticRegression(C=2)"
    assert "GDLogisticRegression" in model._repr_html_()
