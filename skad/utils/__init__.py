"""The list of all estimators, and what users with estimators of their own share with skad."""

from skad.utils._discovery import all_estimators

__all__ = ["all_estimators"]
