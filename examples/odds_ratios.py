"""
What a survey says, and how sure it is
======================================

A survey of 6,366 married women, of whom a third report an affair (Fair, 1978; the data are those of statsmodels). What
do the coefficients of a logistic regression say, and how sure is that?
"""

# %%
# The fit has no penalty, because a penalty would draw the coefficients towards 0. ``inference`` takes the same rows.
import matplotlib.pyplot as plt
import numpy as np
import statsmodels.api as sm

from gdlogit import CoefficientDisplay, EffectsDisplay, GDLogisticRegression

data = sm.datasets.fair.load_pandas().data
names = {
    "rate_marriage": "marriage, rated 1 to 5",
    "age": "age, years",
    "yrs_married": "years married",
    "children": "children",
    "religious": "religious, rated 1 to 4",
    "educ": "education, years",
}
X = data[list(names)].rename(columns=names)
y = np.where(data["affairs"] > 0, "affair", "none")
result = GDLogisticRegression(C=np.inf).fit(X, y).inference(X, y, reference="none")
result.summary()

# %%
# A forest plot of the odds ratios, on a log axis: each step of the five-step rating of the marriage halves the odds of
# an affair.
CoefficientDisplay.from_inference(result, odds_ratio=True)
plt.show()

# %%
# An odds ratio is not a ratio of probabilities. Average marginal effects are in units of the probability: one step of
# the rating lowers it by 13 percentage points.
EffectsDisplay.from_inference(result)
plt.show()

# %%
# Contrasts compare two values of a feature, for everybody in the survey: a marriage that is rated 5 against one that is
# rated 1.
result.contrast("marriage, rated 1 to 5", 5, 1)

# %%
# Age and the years of marriage go together: their correlation is 0.89. So their coefficients have opposite signs, and
# neither should be read alone. Together they count.
test = result.lr_test(["age, years", "years married"])
print(f"correlation {np.corrcoef(data['age'], data['yrs_married'])[0, 1]:.2f}")
print(f"likelihood-ratio test of both: {test.statistic:.1f}, {test.df:.0f} degrees of freedom, p = {test.pvalue:.1e}")

# %%
# Errors that do not assume the model are nearly the same, which speaks for the model. The limits of the likelihood's
# profile are nearly the same, too, because there are thousands of rows.
robust = GDLogisticRegression(C=np.inf).fit(X, y).inference(X, y, reference="none", cov_type="HC3")
for name, usual, sandwich in zip(result.names, result.bse, robust.bse, strict=True):
    print(f"{name:24} {usual:.4f}   HC3 {sandwich:.4f}")

# %%
# statsmodels has the same table.
theirs = sm.Logit(y == "affair", sm.add_constant(X)).fit(disp=False)
np.testing.assert_allclose(result.params, theirs.params, rtol=1e-6)
np.testing.assert_allclose(result.bse, theirs.bse, rtol=1e-5)
np.testing.assert_allclose(result.margins().margeff, theirs.get_margeff().margeff, rtol=1e-5)
profile = result.conf_int(method="profile")
assert np.abs(profile - result.conf_int()).max() < 0.1 * result.bse.max()
assert np.abs(robust.bse / result.bse - 1).max() < 0.2
