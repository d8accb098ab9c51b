"""
More than two classes: party identification
===========================================

944 Americans in 1996 say where they stand between the parties, on seven steps (the data are those of statsmodels). A
softmax compares each step with a reference.
"""

# %%
# Seven classes and five features are 36 coefficients. With "Independent" as the reference, each is a change of the
# log-odds of a class against the independents.
import matplotlib.pyplot as plt
import numpy as np
import statsmodels.api as sm

from gdlogit import CoefficientDisplay, EffectsDisplay, GDLogisticRegression

data = sm.datasets.anes96.load_pandas()
names = {
    "logpopul": "population, log",
    "selfLR": "left to right, 1 to 7",
    "age": "age, years",
    "educ": "education, 1 to 7",
    "income": "income, 1 to 24",
}
X = data.exog[list(names)].rename(columns=names)
steps = np.array(["1 strong D", "2 weak D", "3 lean D", "4 independent", "5 lean R", "6 weak R", "7 strong R"])
y = steps[data.endog.to_numpy(dtype=int)]
model = GDLogisticRegression(C=np.inf).fit(X, y)
result = model.inference(X, y, reference="4 independent")
CoefficientDisplay.from_inference(result, k=5)
plt.show()

# %%
# The steps say little by themselves: they depend on the reference. Another reference is another view of the same model,
# and takes no new fit.
democrats = model.inference(X, y, reference="1 strong D")
print(result.to_frame().loc["7 strong R"].round(3))
print(democrats.to_frame().loc["7 strong R"].round(3))

# %%
# Effects on probabilities do not depend on the reference. A step to the right, on a scale of seven, moves people from
# the first classes to the last; and the effects on all classes add up to 0.
EffectsDisplay.from_inference(result)
plt.show()

# %%
# Does education count at all? A likelihood-ratio test of its six coefficients together. All features are tested side by
# side, in a few passes over the rows.
test = result.lr_test()
for name, statistic, pvalue in zip(result.features, test.statistic, test.pvalue, strict=True):
    print(f"{name:22} {statistic:7.1f}   p = {pvalue:.2g}")

# %%
# What a person of given features may think, with an interval for each probability.
prediction = result.predict(X.iloc[:1])
for label, p, low, high in zip(steps, prediction.probability[0], prediction.lower[0], prediction.upper[0], strict=True):
    print(f"{label:15} {p:.3f}  [{low:.3f}, {high:.3f}]")

# %%
theirs = sm.MNLogit(data.endog, sm.add_constant(X)).fit(disp=False, method="newton")
np.testing.assert_allclose(democrats.params, theirs.params, rtol=1e-5, atol=1e-8)
np.testing.assert_allclose(democrats.bse, theirs.bse, rtol=1e-5)
np.testing.assert_allclose(result.margins().margeff, democrats.margins().margeff, atol=1e-10)
np.testing.assert_allclose(result.margins().margeff.sum(axis=1), 0, atol=1e-12)
assert test.pvalue[1] < 1e-10 < test.pvalue[0]
