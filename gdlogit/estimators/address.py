"""Where the documentation is: the address that pyproject.toml has under [project.urls], read from what is installed."""

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata

__all__ = ["DocumentationLink", "documentation"]

NOT_FILLED_IN = "OWNER"


@cache
def documentation() -> str | None:
    """The address of the documentation; None where the package is not installed or has no address yet."""
    try:
        urls = metadata("gdlogit").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    by_name = dict(url.split(", ", 1) for url in urls)
    address = by_name.get("Documentation", NOT_FILLED_IN)
    return None if NOT_FILLED_IN in address else address


class DocumentationLink:
    """The "?" of an estimator's diagram leads to its page: two attributes that scikit-learn reads."""

    _doc_link_module = "gdlogit"

    @property
    def _doc_link_template(self) -> str:
        address = documentation()
        return "" if address is None else f"{address}/generated/gdlogit.{{estimator_name}}.html"
