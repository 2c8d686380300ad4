"""Errors and warnings of skad; each also inherits the class users already catch."""

from sklearn.exceptions import ConvergenceWarning, InconsistentVersionWarning

__all__ = [
    "SkadError",
    "DomainError",
    "ConstantColumnError",
    "MissingColumnError",
    "NoJacobianError",
    "RegionError",
    "DivergenceError",
    "DataFileError",
    "DownloadError",
    "ModelFileError",
    "UnknownTypeError",
    "SettingsError",
    "MissingTasksError",
    "SkadWarning",
    "DiscreteColumnWarning",
    "DivergenceWarning",
    "DrownedFeaturesWarning",
    "InterruptedFitWarning",
    "CheckpointWarning",
    "FiducialWarning",
    "LowStatisticsWarning",
    "SculptingWarning",
    "SpectrumFitWarning",
    "VersionWarning",
    "SlowWarning",
]


class SkadError(Exception):
    """Base class of all errors raised by skad on purpose."""


class DomainError(SkadError, ValueError):
    """A value lies outside the domain of a coordinate transform."""


class ConstantColumnError(SkadError, ValueError):
    """A density is asked for, but a column is the same for all events."""


class MissingColumnError(SkadError, ValueError, KeyError):
    """A named or numbered column is not in X."""

    # KeyError would print the repr of the message.
    __str__ = Exception.__str__


class NoJacobianError(SkadError, TypeError):
    """No rule is known for the Jacobian of a transformer."""


class RegionError(SkadError, ValueError):
    """A signal region is empty, lies outside the data or lacks a sideband."""


class DivergenceError(SkadError, FloatingPointError):
    """Training produced nothing finite."""


class DataFileError(SkadError, ValueError):
    """A data file does not hold what was asked of it."""


class DownloadError(SkadError, OSError):
    """A data set could not be downloaded whole."""


class ModelFileError(SkadError, ValueError):
    """A model file is damaged, forged or of a newer format."""


class UnknownTypeError(ModelFileError, TypeError):
    """A model holds something that a model file, or a graph of ONNX, does not know."""


class SettingsError(SkadError, ValueError):
    """A settings file names something that does not exist."""


class MissingTasksError(SkadError, RuntimeError):
    """Tasks of a plan have not been run; `missing` holds their numbers."""

    def __init__(self, message: str, missing: list[int]) -> None:
        super().__init__(message, missing)
        self.missing = missing

    def __str__(self) -> str:
        return self.args[0]


class SkadWarning(UserWarning):
    """Base class of all warnings issued by skad."""


class DiscreteColumnWarning(SkadWarning):
    """A density is asked for, but the values of some columns repeat or are all the same."""


class DivergenceWarning(SkadWarning, ConvergenceWarning):
    """Training met non-finite losses and was rescued."""


class DrownedFeaturesWarning(SkadWarning):
    """Columns without information drown the signal that others show."""


class InterruptedFitWarning(SkadWarning, ConvergenceWarning):
    """A fit was interrupted from the keyboard; the best state so far is kept."""


class CheckpointWarning(SkadWarning):
    """A file of a checkpoint is damaged; what it held is computed again."""


class FiducialWarning(SkadWarning):
    """Points lie outside the fiducial region of a transform or model."""


class LowStatisticsWarning(SkadWarning):
    """Too few events for the result to be trusted."""


class SculptingWarning(SkadWarning):
    """A cut on the score changes the shape of the resonant spectrum."""


class SpectrumFitWarning(SkadWarning, ConvergenceWarning):
    """A fit of the resonant spectrum did not converge or describes the sidebands badly."""


class VersionWarning(SkadWarning, InconsistentVersionWarning):
    """A model was stored with other versions of the libraries than it is loaded with."""

    def __init__(self, message):
        # scikit-learn's takes the parts of a sentence of its own.
        Exception.__init__(self, message)

    __str__ = Exception.__str__


class SlowWarning(SkadWarning):
    """A computation takes time that grows faster than the number of events."""
