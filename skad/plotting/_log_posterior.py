"""Log posteriors of a multiclass classifier of templates, as a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skad.plotting._axes import get_axes
from skad.plotting._matrix import draw_matrix
from skad.utils._arguments import Made, checked

if TYPE_CHECKING:
    from typing import Any, Self

    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = ["LogPosteriorDisplay"]


class LogPosteriorDisplay:
    """Log posterior of every template on every sample; the colour is the excess over chance.

    Use `from_study`.

    Parameters
    ----------
    posterior : pandas.DataFrame
        Result of `skad.inspection.log_posterior_test`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    image_ : matplotlib AxesImage
        Medians over the seeds of log posterior less chance.
    text_ : ndarray of matplotlib Text
        Medians of the log posterior.

    References
    ----------
    .. [1] T. Golling et al., "The interplay of machine learning-based resonant anomaly
       detection methods", arXiv:2307.11157, figure 8.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skad.inspection import log_posterior_test
    >>> from skad.plotting import LogPosteriorDisplay
    >>> truth, a, b = np.random.default_rng(0).normal(size=(3, 2000, 2))
    >>> posterior = log_posterior_test(
    ...     {"a": a, "b": b + 0.5}, truth, classifier=LogisticRegression(), n_seeds=2
    ... )
    >>> display = LogPosteriorDisplay.from_study(posterior)
    >>> [label.get_text() for label in display.ax_.get_yticklabels()]
    ['a', 'b', 'truth']
    """

    def __init__(self, posterior: DataFrame) -> None:
        self.posterior = posterior

    def plot(self, ax: Axes | None = None, *, image_kwargs: dict[Any, Any] | None = None) -> Self:
        """Draw the matrix.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None makes a new figure.
        image_kwargs : dict, default=None
            Keyword arguments of matplotlib's `imshow`.

        Returns
        -------
        self : LogPosteriorDisplay
        """
        self.ax_, self.figure_ = get_axes(ax, self)
        rows = list(dict.fromkeys(self.posterior["sample"]))
        columns = list(dict.fromkeys(self.posterior["template"]))
        medians = self.posterior.groupby(["sample", "template"])[["log_posterior", "excess"]]
        medians = medians.median()
        posterior, excess = (
            medians[name].unstack().loc[rows, columns].to_numpy()
            for name in ("log_posterior", "excess")
        )
        largest = np.max(np.abs(excess))
        self.image_, self.text_ = draw_matrix(
            self.ax_, excess, rows, columns, text=posterior, text_format=".4f",
            image_kwargs={"vmin": -largest, "vmax": largest} | (image_kwargs or {}),
        )  # fmt: skip
        self.figure_.colorbar(self.image_, ax=self.ax_, label="Log posterior less chance [nats]")
        chance = self.posterior["chance"].iloc[0]
        self.ax_.set(xlabel="Class", ylabel="Sample", title=f"Chance: {chance:.3f}")
        return self

    @classmethod
    @checked(
        posterior=Made(
            "skad.inspection.log_posterior_test",
            "pandas.DataFrame",
            ("sample", "template", "log_posterior", "excess", "chance"),
        )
    )
    def from_study(
        cls, posterior: DataFrame, *, ax: Axes | None = None, **plot_options: Any
    ) -> LogPosteriorDisplay:
        """Draw the result of `skad.inspection.log_posterior_test`.

        Parameters
        ----------
        posterior : pandas.DataFrame
        ax : matplotlib Axes, default=None
        **plot_options
            Further parameters of `plot`.

        Returns
        -------
        display : LogPosteriorDisplay
        """
        return cls(posterior).plot(ax, **plot_options)
