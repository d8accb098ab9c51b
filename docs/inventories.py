"""Inventories of other projects for intersphinx, made from what is installed: the build finds links without a network.

intersphinx asks a project's own site first, and takes these where there is no network. The addresses follow the pattern
of each site, and a name is listed only if the installed package has it.
"""

import importlib
import zlib
from inspect import isclass

from sklearn.utils.discovery import all_displays, all_estimators, all_functions

SITES = {  # project: its site, the pattern of a page, and the names that the pages may refer to
    "sklearn": ("https://scikit-learn.org/stable/", "modules/generated/{}.html"),
    "numpy": ("https://numpy.org/doc/stable/", "reference/generated/{}.html"),
    "scipy": ("https://docs.scipy.org/doc/scipy/", "reference/generated/{}.html"),
    "pandas": ("https://pandas.pydata.org/docs/", "reference/api/{}.html"),
    "statsmodels": ("https://www.statsmodels.org/stable/", "generated/{}.html"),
}
NAMES = {
    "numpy": ["numpy.memmap", "numpy.load", "numpy.seterr"],
    "scipy": ["scipy.sparse.csr_array"],
    "pandas": ["pandas.DataFrame", "pandas.get_dummies"],
    "statsmodels": ["statsmodels.discrete.discrete_model.Logit", "statsmodels.discrete.discrete_model.MNLogit"],
}


def write(folder):
    """Write an inventory for each project, and return what intersphinx_mapping takes."""
    folder.mkdir(parents=True, exist_ok=True)
    for project, (_, pattern) in SITES.items():
        names = NAMES.get(project) or list(_of_scikit_learn())
        lines = (f"{name} py:{_role(name)} 1 {pattern.format(name)}#$ -\n" for name in names)
        head = f"# Sphinx inventory version 2\n# Project: {project}\n# Version: \n# Compressed with zlib\n"
        (folder / f"{project}.inv").write_bytes(head.encode() + zlib.compress("".join(lines).encode()))
    return {project: (site, (None, str(folder / f"{project}.inv"))) for project, (site, _) in SITES.items()}


def _of_scikit_learn():
    """The names of scikit-learn's estimators, displays and functions, as its pages have them."""
    for name, found in [*all_estimators(), *all_displays(), *all_functions()]:
        module = found.__module__.partition("._")[0]
        if hasattr(importlib.import_module(module), name):
            yield f"{module}.{name}"


def _role(name):
    module, _, last = name.rpartition(".")
    return "class" if isclass(getattr(importlib.import_module(module), last)) else "function"
