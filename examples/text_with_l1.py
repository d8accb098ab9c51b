"""
Text: the words that matter, with an l1 penalty
===============================================

A text becomes thousands of sparse columns, most of which say nothing about the label. An l1 penalty sets their
coefficients to exactly zero. The rest is a list of words that people can read.
"""

# %%
# The reviews are synthetic, so nothing has to be downloaded: 3,000 reviews of about 40 words. The vocabulary has 5,000
# words, whose frequencies fall as in a language, and ten more words that depend on the author's mood.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import train_test_split

from gdlogit import CoefficientDisplay, GDLogisticRegression

rng = np.random.default_rng(0)
happy, sad = ["great", "lovely", "superb", "enjoyed", "perfect"], ["awful", "boring", "broken", "refund", "never"]
vocabulary = np.array([f"word{j}" for j in range(5000)])
frequency = 1 / np.arange(10, 5010)
frequency /= frequency.sum()
y = np.array(["sad", "happy"])[rng.integers(0, 2, 3000)]
reviews = []
for mood in y:
    words = rng.choice(vocabulary, rng.poisson(40), p=frequency)
    tone = rng.choice(happy if rng.random() < (0.85 if mood == "happy" else 0.15) else sad, 2)
    reviews.append(" ".join([*words, *tone]))

# %%
# The model takes the CSR matrix of the vectoriser as it is.
train, test, y_train, y_test = train_test_split(reviews, y, random_state=0)
vectorizer = TfidfVectorizer()
X_train, X_test = vectorizer.fit_transform(train), vectorizer.transform(test)
models = {l1_ratio: GDLogisticRegression(C=1, l1_ratio=l1_ratio, random_state=0) for l1_ratio in (0, 1)}
for l1_ratio, model in models.items():
    model.fit(X_train, y_train)
    print(
        f"l1_ratio={l1_ratio}: {np.count_nonzero(model.coef_):5} of {model.coef_.size} coefficients are not zero, "
        f"accuracy on new reviews {model.score(X_test, y_test):.3f}"
    )

# %%
words = vectorizer.get_feature_names_out()
CoefficientDisplay.from_estimator(models[1], feature_names=words, k=12)
plt.show()

# %%
chosen = set(words[models[1].coef_[0] != 0])
assert models[1].converged_
assert {*happy, *sad} <= chosen
assert len(chosen) < 0.02 * len(words)
assert models[1].score(X_test, y_test) >= models[0].score(X_test, y_test)
