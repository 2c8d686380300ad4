"""The classifier of the closure tests where none is given."""

from sklearn.ensemble import HistGradientBoostingClassifier

__all__ = ["default_classifier"]


def default_classifier():
    """Return boosted trees for samples that hardly differ, stopped by their loss.

    `MLPClassifier` stops by its accuracy, which is noise for such samples.
    """
    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=300,
        max_leaf_nodes=8,
        min_samples_leaf=50,
        l2_regularization=10.0,
        max_bins=127,
        early_stopping=True,
        validation_fraction=0.2,
    )
