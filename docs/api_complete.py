"""The public names of the package: what the page of a class lists, and a warning for each name without a page."""

import inspect
from functools import cached_property

from sphinx.util import logging

import gdlogit
import gdlogit.graph
import gdlogit.results

PROPERTIES = property | cached_property
MODULES = (gdlogit, gdlogit.results, gdlogit.graph)
OF_SCIKIT_LEARN = {
    "get_metadata_routing",
    "get_params",
    "set_callbacks",
    "set_params",
}  # as scikit-learn documents them


def public_names():
    """The public functions and classes by their full name."""
    named = {f"{module.__name__}.{name}": getattr(module, name) for module in MODULES for name in module.__all__}
    return {name: found for name, found in named.items() if callable(found)}


def members():
    """The public methods and properties of each class, by its full name."""
    classes = {name: found for name, found in public_names().items() if inspect.isclass(found)}
    return {name: {"Methods": _methods(cls), "Properties": _properties(cls)} for name, cls in classes.items()}


def check(app, env):
    """Compare the names of the package with those that Sphinx knows, which go into the index and into objects.inv."""
    wanted = {f"{cls}.{name}" for cls, lists in members().items() for names in lists.values() for name in names}
    for name in sorted((wanted | public_names().keys()) - env.domains.python_domain.objects.keys()):
        logging.getLogger(__name__).warning("%s is public, and no page of the API has it", name)


def _methods(cls):
    return [name for name, member in _own(cls) if not isinstance(member, PROPERTIES) and not _is_request(name)]


def _properties(cls):
    return [name for name, member in _own(cls) if isinstance(member, PROPERTIES)]


def _own(cls):
    """The public methods and properties, without those that a tuple has and the fields of a NamedTuple."""
    foreign = {*OF_SCIKIT_LEARN, *getattr(cls, "_fields", ()), *(dir(tuple) if issubclass(cls, tuple) else ())}
    for name, member in inspect.getmembers_static(cls):
        if not name.startswith("_") and name not in foreign and _is_shown(member):
            yield name, member


def _is_shown(member):
    return callable(member) or isinstance(member, classmethod | staticmethod | PROPERTIES) or hasattr(member, "fn")


def _is_request(name):
    """Whether it is one of scikit-learn's methods for metadata routing."""
    return name.startswith("set_") and name.endswith("_request")
