"""Sphinx: python -m sphinx -nW --keep-going docs docs/_build/html."""

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import api_complete
import benchmark_table
import inventories
import rooms

import gdlogit

URLS = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]["urls"]
if any("OWNER" in url for url in URLS.values()):  # not filled in yet: the pages show none
    URLS = {}

project = "gdlogit"
author = copyright = "the gdlogit developers"
version = release = gdlogit.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # the pages hold their own MathJax: maths without a network
    "numpydoc",
    "matplotlib.sphinxext.plot_directive",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "generated/backreferences"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
default_role = "code"
intersphinx_mapping = inventories.write(HERE / "generated")
intersphinx_timeout = 5  # seconds; without a network the inventories that are made here serve

autosummary_context = {"PUBLIC": api_complete.members()}
autodoc_typehints = "none"
numpydoc_show_class_members = False
toc_object_entries_show_parents = "hide"  # a method's own name is enough beside its class

plot_formats = [("png", 110)]
plot_html_show_formats = plot_html_show_source_link = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"\.py$",  # every example runs
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("gdlogit",),
    "backreferences_dir": "generated/backreferences",
    "abort_on_example_error": True,
    "default_thumb_file": str(HERE / "figures" / "time.png"),
    "write_computation_times": False,  # nobody reads it, and it loads scripts from a CDN
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
}

# Pages with tables, code or pictures that need the room of the right sidebar.
WIDE_PAGES = [
    "index",
    "benchmarks",
    "architecture",
    "backpropagation",
    "batch_or_stochastic",
    "default_solver",
    "contributing",
]
WIDE_PAGES += [f"auto_examples/{example.stem}" for example in (HERE.parent / "examples").glob("*.py")]

html_theme = "pydata_sphinx_theme"
html_title = f"gdlogit {release}"
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher", "navbar-icon-links"],
    "icon_links": [{"name": "Repository", "url": URLS["Repository"], "icon": "fa-brands fa-github"}] if URLS else [],
    "secondary_sidebar_items": {"**": ["page-toc"]} | dict.fromkeys(WIDE_PAGES, []),
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "pygments_light_style": "a11y-light",
}
html_baseurl = URLS.get("Documentation", "")
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["widths.css"]
html_sidebars = {"index": [], "getting_started": []}  # elsewhere the pages of the same section are listed at the left

# In the gallery, the "?" of an estimator's diagram leads to the page of this build, not to the public one.
for estimator in (gdlogit.GDLogisticRegression, gdlogit.GDLogisticRegressionCV):
    estimator._doc_link_template = "../generated/gdlogit.{estimator_name}.html"


def setup(app):
    """Write what is generated before the pages are read, and leave out what NamedTuple says of its fields."""
    app.connect("builder-inited", lambda app: benchmark_table.write(HERE / "generated"))
    app.connect("builder-inited", lambda app: rooms.write(HERE / "generated"))
    app.connect("env-check-consistency", api_complete.check)
    app.connect("env-check-consistency", keep_out_of_the_search)
    app.connect("autodoc-skip-member", lambda app, what, name, member, skip, options: skip or is_alias(member))


def keep_out_of_the_search(app, env):
    """The pages for maintainers do not answer a user's search."""
    for page in env.all_docs:
        if page in {"architecture", "contributing", "mutation"} or page.startswith("decisions/"):
            env.metadata[page]["nosearch"] = True


def is_alias(member):
    """Whether a member is a field of a NamedTuple, which the class documents."""
    return (getattr(member, "__doc__", None) or "").startswith("Alias for field number")
