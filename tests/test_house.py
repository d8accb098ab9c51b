"""The house: which file may import which, and which may reach into which, read from the source itself."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import gdlogit

HOUSE = Path(gdlogit.__file__).parent
OBJECTIVE = {"objective", "line", "moments", "smoothness", "proofs"}  # what is asked of the rows of a problem
FORMULA = {"backprop", "soft_labels", "penalty", "bounds", "several", *OBJECTIVE}
CORE = {
    "problem",
    "solve",
    "paths",
    "loo",
    "descent",
    "quadratic",
    "online",
}  # what the estimators and the pictures build on
ALLOWED = {  # room: what it may import, of gdlogit's rooms and scikit-learn
    "graph": {"graph"},
    "data": {"data"},
    "typing": set(),
    "backprop": set(),
    "soft_labels": {"backprop"},
    "bounds": {"penalty"},
    "penalty": set(),
    "summands": set(),
    "objective": {"data", "backprop", "summands", "penalty"},
    "line": {"summands", "objective"},
    "moments": {"summands"},
    "smoothness": {"data", "summands"},
    "proofs": {"summands"},
    "several": {"summands"},
    "quadratic": {"quadratic", *FORMULA},
    "quadratic/sweeps": {"sklearn"},
    "descent": {"descent", "quadratic", *FORMULA},
    "verdict": {"quadratic", *FORMULA},
    "problem": {"data", "summands", *FORMULA},
    "solve": {"typing", "problem", "data", "descent", "quadratic", "verdict", *FORMULA},
    "side_by_side": {"descent", "quadratic", "verdict", *FORMULA},
    "l1_path": {"side_by_side", "problem", "descent", "quadratic", "verdict", *FORMULA},
    "paths": {"side_by_side", "l1_path", "solve", "problem", *FORMULA},
    "loo": {"paths", "side_by_side", "problem", "descent", "quadratic", *FORMULA},
    "inference": {"inference", "summands", "solve", "problem", "descent", "quadratic", *FORMULA},
    "results": {"inference"},
    "online": {"descent", "quadratic", *FORMULA},
    "estimators": {"estimators", "inference", "typing", "data", "sklearn", *CORE, *FORMULA},
    "display": {
        "display",
        "inference",
        "typing",
        "estimators",
        "sklearn",
        *CORE,
        *FORMULA,
    },  # it draws the methods at work
    "__init__": {"estimators", "display", "backprop", "data"},
}
STRENGTHS = {"l1", "l2"}
KNOW_DASK = {"data/on_dask", "data/dask_parts"}  # and import it where it is used
REACH_ROWS = {"several", "problem", "inference/likelihood", *OBJECTIVE}  # files that pass over the rows of an objective
FILES = {path.relative_to(HOUSE).with_suffix("").as_posix(): path for path in sorted(HOUSE.rglob("*.py"))}


def imports(source, package):
    """Yield the dotted name of each import in a file of that package, the imported name last."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: 1 - node.level or None] if node.level else []
            yield from (".".join([*parents, *filter(None, [node.module]), a.name]) for a in node.names)


def allowed(file):
    """The rooms that a file may import, by its own name or by its room's."""
    return ALLOWED.get(file) or ALLOWED[file.split("/")[0]]


def breaches(file, source):
    """The imports in a file, named as in FILES, that the house does not allow."""
    package = ".".join(["gdlogit", *file.split("/")[:-1]])
    for name in imports(source, package):
        first, *rest = name.split(".")
        room = (rest or ["__init__"])[0] if first == "gdlogit" else first
        private = first == "sklearn" and any(part.startswith("_") and part != "__version__" for part in rest)
        if private or (first in {"gdlogit", "sklearn"} and room not in allowed(file)):
            yield name


def strengths_read(source):
    """The lines that read a penalty's strengths, ``.l1`` or ``.l2``: they may be vectors, which only penalty knows."""
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in STRENGTHS
    ]


@pytest.mark.parametrize("file", FILES)
def test_strengths_are_read_in_penalty_only(file):
    assert file == "penalty" or not strengths_read(FILES[file].read_text(encoding="utf-8"))


@pytest.mark.parametrize("source", ["def f(o):\n    return o.penalty.l1", "if penalty.l2:\n    x = 1", "p.l1 += 1"])
def test_a_strength_that_is_read_is_seen(source):
    assert strengths_read(source)


def test_strengths_by_other_names_pass():
    assert not strengths_read("x = swept(F, y, x, l1, l2)\ns = penalty.l1_strengths(shape)\np = Penalty(l1=0.1)")


def constants(source):
    """The constants that a file defines, with the text of their values."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            (target,) = node.targets
            is_tuple = isinstance(target, ast.Tuple)
            pairs = zip(target.elts, node.value.elts, strict=True) if is_tuple else [(target, node.value)]
            yield from ((name.id, ast.unparse(value)) for name, value in pairs if name.id.isupper())


def ambiguous(sources):
    """The names of constants that have one value in one file, and another value in another."""
    values = {}
    for name, value in (pair for source in sources for pair in constants(source)):
        values.setdefault(name, set()).add(value)
    return {name for name, found in values.items() if len(found) > 1}


def test_a_constant_has_one_value_in_the_whole_package():
    assert not ambiguous(path.read_text(encoding="utf-8") for path in FILES.values())


def test_a_constant_with_two_values_is_seen():
    assert ambiguous(["FAR, NEAR = 1, 2", "NEAR = 3"]) == {"NEAR"}
    assert not ambiguous(["EPS = 1e-9", "EPS = 1e-9\nfar = 2", "far = 3"])


def reaches_into_rows(source):
    """The lines of a file that ask some object's rows for something: ``objective.rows.sum``, say."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "rows":
            yield node.lineno


@pytest.mark.parametrize("file", FILES)
def test_imports_follow_the_arrow(file):
    assert file.split("/")[0] in ALLOWED, f"{file} is new: give it a place in ALLOWED"
    assert not list(breaches(file, FILES[file].read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("data/rows", "from ..backprop import Sigmoid"),
        ("data/source", "from ..estimators.validation import check_labels"),
        ("summands", "from .objective import Objective"),
        ("verdict/duality", "from ..data.rows import Rows"),
        ("penalty", "def f():\n    from . import rows"),
        ("graph", "import gdlogit"),
        ("objective", "import gdlogit.descent.newton as n"),
        ("descent/newton", "from ..data.rows import Rows"),
        ("descent/newton", "from .. import data"),
        ("solve", "from .estimators.classifier import GDLogisticRegression"),
        ("problem", "from .solve import solve"),
        ("inference/ask", "from ..estimators.classifier import GDLogisticRegression"),
        ("verdict/duality", "from ..descent import loop"),
        ("descent/loop", "from sklearn.utils import check_array"),
        ("estimators/classifier", "from sklearn.linear_model import _logistic"),
        ("estimators/classifier", "import sklearn.linear_model._base"),
    ],
)
def test_a_breach_is_seen(file, source):
    assert list(breaches(file, source))


@pytest.mark.parametrize("room", ALLOWED)
def test_every_room_has_a_rule_that_can_fail(room):
    forbidden = {*(name.split("/")[0] for name in ALLOWED), "sklearn"} - ALLOWED[room] - {"__init__"}
    assert forbidden
    for name in forbidden:
        assert list(breaches(room, f"import {name}" if name == "sklearn" else f"import gdlogit.{name}"))


@pytest.mark.parametrize("file", sorted(FILES.keys() - REACH_ROWS))
def test_rows_are_reached_through_an_objective_only(file):
    assert not list(reaches_into_rows(FILES[file].read_text(encoding="utf-8")))


@pytest.mark.parametrize("source", ["objective.rows.sum(f)", "def f():\n    return self.part.rows.centre.any()"])
def test_a_reach_into_rows_is_seen(source):
    assert list(reaches_into_rows(source))


@pytest.mark.parametrize("source", ["rows.sum(f)", "Objective(objective.rows, loss)", "from .data.rows import Rows"])
def test_rows_of_ones_own_are_no_reach(source):
    assert not list(reaches_into_rows(source))


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("data/rows", "import numpy as np\nfrom scipy.special import expit"),
        ("objective", "from .data.rows import Rows\nfrom gdlogit import backprop"),
        ("descent/newton", "from . import loop\nfrom ..quadratic.curvature import Cholesky\nfrom .loop import run"),
        ("estimators/callbacks", "from sklearn import __version__"),
        ("estimators/classifier", "from sklearn.base import BaseEstimator\nfrom ..solve import solve"),
    ],
)
def test_what_is_allowed_passes(file, source):
    assert not list(breaches(file, source))


@pytest.mark.parametrize("file", sorted(FILES.keys() - KNOW_DASK))
def test_dask_is_known_in_two_files_only(file):
    names = imports(FILES[file].read_text(encoding="utf-8"), "gdlogit")
    assert not [name for name in names if name.split(".")[0] in {"dask", "distributed"}]


def test_optional_packages_are_not_needed_to_import_any_file():
    # scikit-learn loads pandas and rich by itself where they exist, so they are hidden instead of looked for.
    modules = [f"gdlogit/{file}".removesuffix("/__init__").replace("/", ".") for file in FILES]
    code = f"""
import importlib, sys
sys.modules.update(dict.fromkeys(["dask", "distributed", "pandas", "polars", "rich"]))
for module in {modules}:
    importlib.import_module(module)
assert "matplotlib" not in sys.modules, "import matplotlib inside the function that draws"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
