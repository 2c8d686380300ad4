"""Networks that learn from files of more events than fit into memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skad.io._stored_events import StoredEvents, events_to_fit
from skad.utils import _sklearn as sk

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from skad.utils._types import FilePath

__all__ = ["FromFilesMixin"]


class FromFilesMixin:
    """`fit_file` of estimators that learn without labels.

    A subclass has `fit(X)` and `_fit_stored(events)`, which does the same with `StoredEvents`.
    `_in_memory_only` names the parameters that need all events at once, and are to be None.
    """

    _in_memory_only: tuple[str, ...] = ()

    @sk.fit_context(prefer_skip_nested_validation=True)
    def fit_file(
        self,
        path: Sequence[FilePath] | FilePath,
        columns: Sequence[int | str] | None = None,
        **reader: Any,
    ) -> Self:
        """Learn from the events of files, which need not fit into memory.

        Up to 1 048 576 events are read whole: the same as ``fit(read_events(path, columns))``.
        More of them go once through a temporary file of the size of their columns as float32 or
        float64, and then there is memory for some such blocks only. `fit` shuffles so many events
        in blocks as well, so that both learn the same to the bit from the same order of events.

        Parameters
        ----------
        path : str, path-like, or list of them
            Files of events in any format, as in `read_events`.
        columns : list of str or int, default=None
            Columns to learn from; None means all.
        **reader
            Of `read_events`: `rows`, `filters`, `key`, `column_names`, `on_nan` ("raise" or
            "drop").

        Returns
        -------
        self : object

        Raises
        ------
        DataFileError
            As `read_events`, and for infinite values, with file, column and event.
        MissingColumnError
            When a file lacks a column.
        ValueError
            As `fit`; `decorrelation` or `exposure` of a `VAEDetector`, which need all events at
            once, or labels.

        Notes
        -----
        The temporary file is deleted in the end. It lies where `tempfile` puts files, which the
        environment variable TMPDIR sets; a folder in memory would be no help.

        Examples
        --------
        >>> from skad.datasets import load_dijets
        >>> from skad.detectors import AutoencoderDetector
        >>> shipped = load_dijets(n_background=1, n_signal=0).filename
        >>> detector = AutoencoderDetector(max_epochs=2, random_state=0)
        >>> detector.fit_file(shipped, ["mj1", "mj2"], rows=slice(0, 2000)).n_features_in_
        2
        """
        for name in self._in_memory_only:
            if getattr(self, name) is not None:
                raise ValueError(
                    f"fit_file takes {name}=None only; got {getattr(self, name)!r}. Read as many "
                    "events as fit into memory with read_events(rows=), and call fit."
                )
        with events_to_fit(path, columns, reader) as events:
            if isinstance(events, StoredEvents):
                return self._fit_stored(events)  # type: ignore[attr-defined]
        return self.fit(events)  # type: ignore[attr-defined]
