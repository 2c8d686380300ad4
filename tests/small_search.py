"""A search of the benchmarks on a few thousand invented events."""

from dijet_search import REGION, Search

from skad.datasets import make_resonance

__all__ = ["make_search"]


def make_search(
    folder, seed, *, signal_fraction=0.006, shifted=False, features=(), n_data=None, quick=True
):
    """Stand in for `dijet_search.make_search`."""

    def events(n, n_signal, seed):
        return make_resonance(n, n_signal, n_features=4, random_state=seed, return_X_y=True)

    X, truth = events(6000, round(20_000 * signal_fraction), seed)
    simulation, _ = events(6000, 0, seed + 50)
    fresh, fresh_truth = events(12_000, 1000, seed + 1)
    inside = REGION.mask(fresh)
    fresh, fresh_truth = fresh[inside], fresh_truth[inside]
    signal = fresh[fresh_truth == 1]
    return Search(X, truth, simulation, fresh[fresh_truth == 0], signal[::2], signal[1::2])
