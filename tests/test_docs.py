"""The pages say what there is: nothing that a user may set is left out of the tables that lead here."""

import ast
import inspect
import re
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression, SGDClassifier

from gdlogit import GDLogisticRegression

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs"
NAMED_FILE = re.compile(r"`((?:gdlogit|benchmarks|docs|tests|examples)/[\w./]+)`")


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


def test_the_navigation_has_at_most_seven_entries():
    index = (PAGES / "index.rst").read_text(encoding="utf-8")
    assert len(index.split(":hidden:")[1].strip().splitlines()) <= 7


def test_every_file_that_a_page_names_exists():
    written = [*ROOT.glob("*.md"), *PAGES.glob("*.[rm][sd]*"), *PAGES.glob("decisions/*.md")]
    named = {path for page in written for path in NAMED_FILE.findall(page.read_text(encoding="utf-8"))}
    assert named
    assert not {path for path in named if not (ROOT / path).exists() and "/_build/" not in path}


def test_the_first_line_of_each_module_says_what_it_alone_holds():
    """The architecture page lists the files by these lines."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "gdlogit").rglob("*.py"))
    lines = [ast.get_docstring(ast.parse(source)).split("\n")[0] for source in sources]
    assert not [line for line in lines if not line.endswith(".")]
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("page", sorted((PAGES / "decisions").glob("*.md")), ids=lambda page: page.stem)
def test_the_code_that_a_decision_names_exists(page):
    for names, path in re.findall(r"((?:`[\w.]+`,?\s(?:and\s)?)+)in\s`([\w/]+\.py)`", page.read_text(encoding="utf-8")):
        source = (ROOT / path).read_text(encoding="utf-8")
        defined = {node.name for node in ast.walk(ast.parse(source)) if hasattr(node, "name")}
        assigned = set(re.findall(r"^ *(\w+)(?:: .*)? = ", source, re.M))
        assert not set(re.findall(r"\w+", names)) - {"and"} - defined - assigned, path


def test_an_estimator_shows_itself_as_scikit_learns_do():
    model = GDLogisticRegression(C=2).fit([[0.0], [1.0], [2.0]], [0, 1, 0])
    assert repr(model) == "GDLogisticRegression(C=2)"
    assert "GDLogisticRegression" in model._repr_html_()


SENDS_THE_READER_BACK = ("so many", "however many", "pay for themselves", "to be believed", "counts once", "of others")
PROSE = [*ROOT.glob("*.md"), *PAGES.glob("*.rst"), *ROOT.glob("examples/*.py")]


@pytest.mark.parametrize("page", [page for page in PROSE if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_no_sentence_sends_the_reader_back(page):
    text = re.sub(r"\s+(# )?", " ", page.read_text(encoding="utf-8"))
    assert not [phrase for phrase in SENDS_THE_READER_BACK if phrase in text]


SEARCHED = {  # what users type into the search, and the page that answers: a main entry of the index comes first there
    "missing values": "mixed_tables",
    "pandas": "mixed_tables",
    "odds ratio": "inference",
    "confidence interval": "inference",
    "calibration": "imbalance",
    "Dask": "cluster",
    "many classes": "many_classes",
}


@pytest.mark.parametrize("words", SEARCHED)
def test_a_search_leads_to_the_page_that_answers(words):
    places = [page.stem for page in PAGES.glob("*.rst") if f"! single: {words}\n" in page.read_text(encoding="utf-8")]
    assert places == [SEARCHED[words]]
