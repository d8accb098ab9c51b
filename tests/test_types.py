"""Types: a user's script passes the strict type checkers, a faulty one does not, and no public name lacks a type.

The checkers see gdlogit as a user's do: from outside, in an environment, by ``py.typed``.
"""

import ast
import importlib.util
import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gdlogit
import gdlogit.graph
import gdlogit.results
from gdlogit import GDLogisticRegression
from gdlogit.estimators import base

HERE = Path(__file__).parent
ACCEPTED, REFUSED = HERE / "types_accepted.py", HERE / "types_refused.py"
COMMANDS = {  # scikit-learn and SciPy have no types
    "mypy": ["--strict", "--disable-error-code=import-untyped", "--no-error-summary", f"--cache-dir={os.devnull}"],
    "pyright": ["--pythonpath", sys.executable],
}
CHECKERS = [name for name in COMMANDS if importlib.util.find_spec(name)]


@pytest.fixture(scope="module", params=CHECKERS)
def checked(request, tmp_path_factory):
    """What a checker says of both scripts."""
    folder = tmp_path_factory.mktemp(request.param)
    for script in (ACCEPTED, REFUSED):
        shutil.copy(script, folder)
    house = Path(gdlogit.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(house)}
    (folder / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{house.as_posix()}"]}}')
    command = [sys.executable, "-m", request.param, *COMMANDS[request.param], ACCEPTED.name, REFUSED.name]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert not run.stderr
    return run.stdout


def errors(output, script):
    """The lines of a script that have errors, with the codes that mypy has for them."""
    found = re.findall(rf"{script.name}:(\d+):.* error: (.*)", output)
    return [(int(line), message.rpartition("[")[2].rstrip("]")) for line, message in found]


@pytest.mark.deep
def test_a_users_script_is_accepted(checked):
    assert errors(checked, ACCEPTED) == []


@pytest.mark.deep
def test_every_faulty_line_is_refused(checked):
    lines = enumerate(REFUSED.read_text(encoding="utf-8").splitlines(), start=1)
    expected = [(number, line.rpartition("# error: ")[2]) for number, line in lines if "# error: " in line]
    found = errors(checked, REFUSED)
    assert [line for line, _ in found] == [line for line, _ in expected]
    if "[arg-type]" in checked:  # mypy's own codes
        assert found == expected


@pytest.mark.deep
@pytest.mark.skipif("mypy" not in CHECKERS, reason="mypy is not installed")
def test_mypy_accepts_the_package():
    """With the settings of pyproject.toml: ``mypy`` in the checkout."""
    run = subprocess.run([sys.executable, "-m", "mypy"], cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert "Success" in run.stdout, run.stdout


@pytest.mark.deep
@pytest.mark.skipif("mypy" not in CHECKERS, reason="mypy is not installed")
def test_mypy_accepts_every_example():
    """But for types that other packages lack, and that functions of a few lines need not have."""
    lenient = ["--allow-untyped-defs", "--allow-untyped-calls", "--implicit-reexport", "examples"]
    command = [sys.executable, "-m", "mypy", *COMMANDS["mypy"], *lenient]
    run = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert not run.stdout + run.stderr


def test_the_script_does_what_its_types_say(monkeypatch):
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.syspath_prepend(HERE)
    import types_accepted

    assert 0 < types_accepted.main() < np.inf


def public_functions():
    """Each public function, and each public method that is written here, by its name."""
    for module in (gdlogit, gdlogit.graph, gdlogit.results):
        for name in module.__all__:
            thing = getattr(module, name)
            if inspect.isclass(thing):
                methods = [*inspect.getmembers(thing, inspect.isfunction), *inspect.getmembers(thing, inspect.ismethod)]
                methods = [(key, value) for key, value in methods if value.__module__.startswith("gdlogit")]
                yield from ((f"{name}.{key}", value) for key, value in methods if key == "__init__" or key[0] != "_")
            elif callable(thing):
                yield name, thing


@pytest.mark.parametrize("function", [pytest.param(value, id=name) for name, value in public_functions()])
def test_every_public_signature_has_types(function):
    signature = inspect.signature(function)
    parameters = [p for name, p in signature.parameters.items() if name not in ("self", "cls")]
    assert not [p.name for p in parameters if p.annotation is p.empty]
    assert signature.return_annotation is not signature.empty


def test_every_attribute_of_a_model_has_a_type():
    X, y = pd.DataFrame({"x": np.arange(40.0)}), np.arange(40) % 2
    fitted = GDLogisticRegression(early_stopping=True, random_state=0).fit(X, y)
    models = [fitted, GDLogisticRegression().fit_batches([(X, y)]), GDLogisticRegression().partial_fit(X, y, [0, 1])]
    names = {name for model in models for name in vars(model) if name.endswith("_")}
    tree = ast.parse(inspect.getsource(base))
    declared = {node.target.id for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)}
    assert len(names) == 16
    assert not names - declared
