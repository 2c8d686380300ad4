"""Studies of what a detector finds across frames, methods and seeds."""

from skad.inspection._coordinate_study import coordinate_study
from skad.inspection._frame_overlap import FrameOverlap, frame_overlap

__all__ = ["FrameOverlap", "coordinate_study", "frame_overlap"]
