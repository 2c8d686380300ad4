"""A matrix as a picture with its numbers written in."""

import numpy as np

__all__ = ["draw_matrix"]


def draw_matrix(ax, values, rows, columns, *, text=None, text_format=".2f", image_kwargs=None):
    """Draw `values` with the numbers `text` (by default the same); NaN stays empty.

    Returns the image and an array of the written Text, None where there is none.
    """
    text = values if text is None else text
    image = ax.imshow(values, **{"cmap": "RdBu_r", "aspect": "auto"} | (image_kwargs or {}))
    written = np.full(np.shape(values), None)
    for i, j in zip(*np.nonzero(np.isfinite(values)), strict=True):
        shade = image.cmap(image.norm(values[i, j]))
        # Rec. 601 luma: white on dark fields.
        dark = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] < 0.5
        written[i, j] = ax.text(
            j, i, format(text[i, j], text_format), ha="center", va="center", fontsize="small",
            color="white" if dark else "black",
        )  # fmt: skip
    ax.set_xticks(range(len(columns)), columns, rotation=30, ha="right")
    ax.set_yticks(range(len(rows)), rows)
    return image, written
