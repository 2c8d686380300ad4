"""Models for other programs: graphs of ONNX."""

from skad.serving._export import to_onnx

__all__ = ["to_onnx"]
