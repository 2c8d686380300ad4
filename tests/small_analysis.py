"""Settings of a search of a few thousand events that takes seconds."""

__all__ = ["SETTINGS"]

SETTINGS = """\
title = "A small search"

[input]
path = "events.csv"
label = "label"

[detector]
name = "IsolationForest"
n_estimators = 10

[search]
resonance = "m"
windows = [[3.1, 3.5], [3.3, 3.7]]
efficiencies = [1.0, 0.1]
n_folds = 2
n_parameters = 3
random_state = 1
"""
