"""The package as a stranger meets it: its addresses, its description on a package index, and its citation."""

import re
import runpy
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import gdlogit
from gdlogit.estimators import address

ROOT = Path(__file__).parents[1]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]


def test_the_citation_and_the_recipe_have_the_addresses_of_pyproject():
    run = subprocess.run(
        [sys.executable, ".ci/addresses.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0 or "Fill in OWNER" in run.stderr


@pytest.mark.parametrize("file", ["CITATION.cff", "conda/meta.yaml"])
def test_the_version_is_that_of_the_package(file):
    assert re.search(rf'^version: {gdlogit.__version__}$|version = "{gdlogit.__version__}"', _text(file), re.M)


def test_no_other_file_has_an_address_of_the_project():
    places = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.[rmp]*"), *ROOT.glob("gdlogit/**/*.py"), *ROOT.glob("examples/*")]
    assert not [path for path in places if URLS["Repository"] in path.read_text(encoding="utf-8")]


def test_the_readme_of_a_package_index_has_no_relative_link():
    pytest.importorskip("hatchling")
    hook = runpy.run_path(str(ROOT / "hatch_build.py"))
    text = hook["with_absolute_links"](_text("README.md"), URLS["Repository"])
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert targets
    assert all(target.startswith("https://") for target in targets)
    assert all(f"{URLS['Repository']}/raw/" in image for image in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text))


def test_every_link_of_the_readme_leads_to_a_file():
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", _text("README.md")) if "://" not in target]
    assert not [target for target in targets if not (ROOT / target).exists()]


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://example.org/docs", "https://example.org/docs/generated/gdlogit.GDLogisticRegression.html"),
        ("https://OWNER.github.io/gdlogit", ""),
    ],
)
def test_the_diagram_links_to_the_address_of_the_installed_package(url, link, monkeypatch):
    installed = {"Project-URL": [f"Documentation, {url}", "Repository, https://example.org"]}
    monkeypatch.setattr(address, "metadata", lambda name: _Metadata(installed))
    address.documentation.cache_clear()
    assert gdlogit.GDLogisticRegression()._get_doc_link() == link
    assert ('href="https://example.org' in gdlogit.GDLogisticRegression()._repr_html_()) == bool(link)


def test_the_diagram_has_no_link_where_the_package_is_not_installed(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(address, "metadata", absent)
    address.documentation.cache_clear()
    assert gdlogit.GDLogisticRegression()._get_doc_link() == ""


@pytest.fixture(autouse=True)
def forget_the_address():
    yield
    address.documentation.cache_clear()


class _Metadata(dict):
    def get_all(self, name):
        return self[name]


def _text(file):
    return (ROOT / file).read_text(encoding="utf-8")
