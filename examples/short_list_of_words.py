"""
A short list of words
=====================

An l1 penalty keeps few words of many. Where the list begins to be good enough, cross-validation tells.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from gdlogit import GDLogisticRegressionCV, RegularizationPathDisplay

rng = np.random.default_rng(0)
common = np.array([f"word{i}" for i in range(300)])
telling = {True: ["win", "free", "prize"], False: ["meeting", "dinner", "home"]}


def message(is_spam):
    """Some common words, and now and then one that tells."""
    return " ".join([*rng.choice(common, 12), *rng.choice(telling[is_spam], rng.integers(1, 3))])


labels = rng.random(400) < 0.5
texts = [message(label) for label in labels]
labels ^= rng.random(400) < 0.1  # some messages are not what they seem
labels = np.where(labels, "spam", "no spam")

# %%
# The rule of one standard error gives the shortest list that is not distinguishably worse than the best.
vectorizer = TfidfVectorizer()
model = GDLogisticRegressionCV(Cs=15, l1_ratios=[1.0], cv=3, rule="1se", random_state=0)
pipeline = make_pipeline(vectorizer, model).fit(texts, labels)
kept = model.coef_[0] != 0
words = vectorizer.get_feature_names_out()[kept]
print(f"{kept.sum()} of {len(kept)} words: {', '.join(words[:12])}")

# %%
# The words that enter the path first are the ones that tell.
RegularizationPathDisplay.from_estimator(pipeline, k=6)
plt.show()
assert {"win", "free", "prize", "meeting", "dinner", "home"} <= set(words)
assert kept.sum() < 0.2 * len(kept)
