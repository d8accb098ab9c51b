"""The table of coefficients: as text in statsmodels' layout, and as a pandas DataFrame."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .table import Block, Table, digits, probability

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["frame_of", "odds_ratios_of", "summary_of"]

TIDY = {"coef": "estimate", "std err": "std.error", "std dev": "std.error", "z": "statistic", "chi2": "statistic"}
TIDY |= {"P>|z|": "p.value", "P>chi2": "p.value", "low": "conf.low", "high": "conf.high"}


def summary_of(result: Any, alpha: float) -> Table:
    """The summary of a result."""
    table = result._table(alpha)
    model = "Logit" if len(result.classes) == 1 else "MNLogit"
    blocks = [
        Block(heading_of(result, c), headings(table, alpha), rows_of(result, table, c))
        for c in range(len(result.classes))
    ]
    return Table(f"{model} Regression Results", facts_of(result, model), blocks, notes_of(result))


def facts_of(result: Any, model: str) -> list[tuple[str, str]]:
    """The facts at the head of a summary, the left column first."""
    hat = result._largest_hat
    return [
        ("Dep. Variable:", result.outcome),
        ("Model:", model),
        ("Method:", result._method),
        ("Reference:", str(result.reference)),
        ("Covariance Type:", result.cov_type),
        ("Excess of J:", f"{result.excess:.1e}"),
        ("Largest leverage:", digits(hat) if hat is not None else "not computed"),
        ("No. Observations:", f"{result.nobs:.10g}"),
        ("Df Residuals:", f"{result.df_resid:.10g}"),
        ("Df Model:", f"{result.df_model:.10g}"),
        ("Pseudo R-squ.:", f"{result.prsquared:.4g}"),
        ("Log-Likelihood:", f"{result.llf:.5g}"),
        ("LL-Null:", f"{result.llnull:.5g}"),
        ("LLR p-value:", f"{result.llr_pvalue:.4g}"),
    ]


def heading_of(result: Any, c: int) -> str:
    """The heading above the terms of a class."""
    return "" if len(result.classes) == 1 else f"{result.outcome}={result.classes[c]}"


def headings(table: dict[str, Any], alpha: float) -> list[str]:
    """The names of the columns, with the limits named by their probabilities."""
    return [limit_names(alpha).get(name, name) for name in table]


def limit_names(alpha: float) -> dict[str, str]:
    """The limits by their probabilities, as statsmodels names them."""
    return {"low": f"[{alpha / 2:.6g}", "high": f"{1 - alpha / 2:.6g}]"}


def rows_of(result: Any, table: dict[str, Any], c: int) -> list[tuple[str, list[str]]]:
    """The rows of a class in a summary."""
    columns = [array.reshape(len(result.names), -1)[:, c] for array in table.values()]
    forms = [probability if name.startswith("P>") else digits for name in table]
    return [
        (name, [form(column[j]) for form, column in zip(forms, columns, strict=True)])
        for j, name in ((j, result.names[j]) for j in result._shown)
    ]


def notes_of(result: Any) -> list[str]:
    """The notes below the numbers."""
    n = len(result._terms.order)
    notes = [f"Rank: {result.rank} of {n} parameters."]
    if result.aliased:
        notes.append(f"Aliased, linear functions of the terms before them: {', '.join(result.aliased)}.")
    return [*notes, *result._notes]


def frame_of(result: Any, conf_level: float, exponentiate: bool, tidy: bool) -> "pd.DataFrame":
    """The table of coefficients as a DataFrame."""
    import pandas as pd

    table, k = result._table(1 - conf_level), len(result.classes)
    columns = {name: result._terms.flat(array) for name, array in table.items()}
    if exponentiate:
        with np.errstate(over="ignore"):
            columns |= {name: np.exp(columns[name]) for name in ("coef", "low", "high")}
    levels = {} if k == 1 else {"y.level": np.repeat(np.array(result.classes), len(result.names))}
    terms = np.tile(np.array(result.names, dtype=object), k)
    if tidy:
        return pd.DataFrame({**levels, "term": terms, **{TIDY[name]: column for name, column in columns.items()}})
    index = (
        pd.Index(terms)
        if k == 1
        else pd.MultiIndex.from_arrays([*levels.values(), terms], names=[result.outcome, None])
    )
    return pd.DataFrame(columns, index=index).rename(columns=limit_names(1 - conf_level))


def odds_ratios_of(result: Any, conf_level: float) -> "pd.DataFrame":
    """The odds ratios of the features as a DataFrame."""
    frame = frame_of(result, conf_level, exponentiate=True, tidy=False).rename(columns={"coef": "odds ratio"})
    features = np.tile(
        np.arange(len(result.names)) >= len(result.names) - len(result._terms.features), len(result.classes)
    )
    return frame.loc[features, ["odds ratio", *limit_names(1 - conf_level).values()]]
