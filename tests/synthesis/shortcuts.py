"""What the tests against shortcuts share: classifiers that are given one property, and what chance allows."""

from __future__ import annotations

import numpy as np
from scipy.stats import binom
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def accuracies(features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Cross-validated accuracy of a linear and a non-linear classifier."""
    dimensions = min(features.shape[1], 30)
    models = {
        "linear": make_pipeline(
            StandardScaler(),
            PCA(dimensions, random_state=0),
            LogisticRegression(C=0.1, max_iter=500),
        ),
        "forest": RandomForestClassifier(30, min_samples_leaf=3, random_state=0),
    }
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return {
        key: float(cross_val_score(m, features, labels, cv=folds).mean())
        for key, m in models.items()
    }


def chance_bound(count: int, classes: int) -> float:
    """What guessing exceeds once in two thousand times."""
    return float(binom.ppf(0.9995, count, 1 / classes)) / count
