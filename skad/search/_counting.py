"""Likelihood of counts with signal and an uncertain background, profiled for many data at once."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import xlogy

__all__ = ["CountingData", "CountingModel"]

# Steps of a root: Newton's from inside a bracket, a bisection where they are slow.
_MAX_STEPS = 150
_TOLERANCE = 1e-9
# No exponent of a shift of the signal is larger; fits never come near.
_LARGEST_SHIFT = 50.0


class CountingData(NamedTuple):
    """What a likelihood is made of, for many experiments.

    Attributes
    ----------
    counts : ndarray, shape (n_experiments, n_channels)
        Observed events.
    background : ndarray, shape (n_experiments, n_channels)
        Measured backgrounds b0.
    shift : ndarray, shape (n_experiments,)
        Measured shift of the signal in standard deviations, 0 in real data.
    """

    counts: np.ndarray
    background: np.ndarray
    shift: np.ndarray


class _Profile(NamedTuple):
    """Best nuisance parameters at given strengths, and what follows from them."""

    deviance: np.ndarray
    background: np.ndarray
    shift: np.ndarray
    slope: np.ndarray
    curvature: np.ndarray


@dataclass(frozen=True)
class CountingModel:
    """Counts of channels, each with signal and a background that was measured beside it.

    ``prod_c Poisson(n_c | s_c(mu) k_c^a + b_c) C(b0_c | b_c) Normal(a0 | a, 1)``: one shift `a`
    moves the signal of all channels, `C` is that of `local_p_value`.

    Attributes
    ----------
    background, uncertainty : ndarray, shape (n_channels,)
        Nominal b0 and its standard deviation.
    strengths : ndarray, shape (n_points,)
        Increasing, not 0.
    signal : ndarray, shape (n_points, n_channels)
        Signal events at these strengths; none at 0, linear between.
    signal_uncertainty : ndarray, shape (n_points, n_channels)
        Relative; k is one more. Linear in ln k between strengths, constant below the first.
    constraint : {"gamma", "gaussian"}
    """

    background: np.ndarray
    uncertainty: np.ndarray
    strengths: np.ndarray
    signal: np.ndarray
    signal_uncertainty: np.ndarray
    constraint: str

    @property
    def _tau(self):
        """Size of the region in which b0 is counted, over that of the signal."""
        with np.errstate(divide="ignore", invalid="ignore"):
            tau = self.background / self.uncertainty**2
        # Where it would count more events than float64 tells apart, b0 is certain.
        certain = (self.uncertainty == 0) | ~(tau * self.background < 1e15)
        return np.where(certain, np.inf, tau)

    def expected_signal(self, strength):
        """Return signal events at each strength, and their derivative by it."""
        return self._between(strength, np.zeros_like(self.signal[:1]), self.signal)

    def log_k(self, strength):
        """Return ln k at each strength, and its derivative by it."""
        values = np.log1p(self.signal_uncertainty)
        if (values == values[:1]).all():
            # Not beyond the last strength either.
            constant = np.broadcast_to(values[:1], (np.size(strength), values.shape[1]))
            return constant, np.zeros_like(constant)
        return self._between(strength, values[:1], values)

    def _between(self, strength, at_zero, values):
        """Interpolate between the strengths, and return the slopes."""
        strength = np.atleast_1d(strength)
        knots = np.concatenate([[0.0], self.strengths])
        values = np.concatenate([at_zero, values])
        piece = np.clip(np.searchsorted(knots, strength, side="right") - 1, 0, len(knots) - 2)
        slope = (values[piece + 1] - values[piece]) / (knots[piece + 1] - knots[piece])[:, None]
        return values[piece] + (strength - knots[piece])[:, None] * slope, slope

    def observed(self, counts):
        """Return the data of one experiment with the nominal background."""
        return CountingData(counts[None], self.background[None], np.zeros(1))

    def profile(self, strength, data):
        """Maximise the likelihood over the nuisance parameters at fixed strengths."""
        signal, _ = self.expected_signal(strength)
        shift = self._best_shift(signal, self.log_k(strength)[0], data)
        return self._at(strength, shift, data)

    def best(self, data):
        """Return the strength of the largest likelihood, none below 0, and the fit there."""

        def slope(strength):
            fit = self.profile(strength, data)
            return fit.slope, fit.curvature

        n_data = len(data.counts)
        high = np.full(n_data, self.strengths[-1])
        for _ in range(100):
            rising = slope(high)[0] >= 0
            if rising.all():
                break
            high = np.where(rising, high, 2 * high)
        low = np.zeros(n_data)
        with np.errstate(divide="ignore", invalid="ignore"):
            at_zero = slope(low)[0] >= 0
        strength = _root(slope, 0.5 * high, low, np.where(at_zero, 0.0, high))
        return strength, self.profile(strength, data)

    def statistic(self, strength, data, best=None):
        """Return ``q~`` of upper limits: 0 where the best strength is above the tested one.

        Parameters
        ----------
        strength : ndarray, shape (n_experiments,)
        data : CountingData
        best : (ndarray, profile), default=None
            What `best` returns, where it is known.
        """
        favoured, fit = self.best(data) if best is None else best
        q = self.profile(strength, data).deviance - fit.deviance
        return np.where(favoured > strength, 0.0, np.maximum(q, 0.0))

    def asimov(self, data):
        """Return the data that are exactly the best background without signal."""
        fit = self.profile(np.zeros(len(data.counts)), data)
        return CountingData(fit.background, fit.background, fit.shift)

    def toys(self, strength, data, n_toys, rng):
        """Throw experiments around the fit of one experiment at a strength: all that is measured.

        Parameters
        ----------
        strength : float
        data : CountingData
            One experiment.
        n_toys : int
        rng : RandomState
        """
        fit = self.profile(np.array([strength]), data)
        log_k, _ = self.log_k(strength)
        signal = self.expected_signal(strength)[0] * np.exp(fit.shift[:, None] * log_k)
        background, shape = fit.background[0], (n_toys, len(self.background))
        if self.constraint == "gamma":
            tau = np.where(np.isinf(self._tau), 1.0, self._tau)
            counted = rng.poisson(tau * background, shape) / tau
            measured = np.where(np.isinf(self._tau), background, counted)
        else:
            measured = np.maximum(rng.normal(background, self.uncertainty, shape), 0.0)
        return CountingData(
            rng.poisson(signal[0] + background, shape).astype(np.float64),
            measured,
            rng.normal(fit.shift[0], 1.0, n_toys) if log_k.any() else np.zeros(n_toys),
        )

    def _best_shift(self, signal, log_k, data):
        start = np.broadcast_to(data.shift, len(signal))
        if not log_k.any():
            return start

        def slope(shift):
            moved, push, curvature = self._forces(signal, log_k, shift, data)
            value = (push * moved * log_k).sum(axis=1) + shift - data.shift
            return value, (curvature * (moved * log_k) ** 2).sum(axis=1) + 1

        # Beyond these ends the constraint outweighs the largest possible push of the counts.
        low = start - (signal * np.exp(start[:, None] * log_k) * log_k).sum(axis=1)
        high = start + (data.counts * log_k).sum(axis=1)
        return _root(slope, start, low - 1e-6, high + 1e-6)

    def _forces(self, signal, log_k, shift, data):
        """Return the shifted signal, and first and second derivatives by it of the profile."""
        moved = signal * np.exp(np.minimum(shift[:, None] * log_k, _LARGEST_SHIFT))
        background, stiffness = self._best_background(moved, data)
        total = moved + background
        with np.errstate(divide="ignore", invalid="ignore"):
            push = 1 - np.where(data.counts > 0, data.counts / total, 0.0)
            poisson = np.where(data.counts > 0, data.counts / total**2, 0.0)
            # How much of a change of the signal is left when the background has given way.
            left = np.where(np.isinf(stiffness), 1.0, stiffness / (stiffness + poisson))
        return moved, push, poisson * np.where(np.isnan(left), 1.0, left)

    def _best_background(self, moved, data):
        """Return the best background beside a signal, and the curvature of its constraint."""
        n, b0 = data.counts, data.background
        if self.constraint == "gaussian":
            variance = self.uncertainty**2
            shift = moved + b0 - variance
            root = np.sqrt(shift**2 + 4 * n * variance)
            with np.errstate(divide="ignore", invalid="ignore"):
                total = np.where(
                    shift >= 0, 0.5 * (shift + root), 2 * n * variance / (root - shift)
                )
                stiffness = np.where(variance > 0, 1 / variance, np.inf)
            best = np.where(variance > 0, np.maximum(total - moved, 0.0), b0)
            return best, np.where(best > 0, stiffness, np.inf)
        tau = self._tau
        certain = np.isinf(tau)
        finite = np.where(certain, 1.0, tau)
        m = finite * b0
        # (1 + tau) b^2 + linear b = m s
        linear = (1 + finite) * moved - n - m
        root = np.sqrt(linear**2 + 4 * (1 + finite) * m * moved)
        with np.errstate(divide="ignore", invalid="ignore"):
            other = np.where(linear + root > 0, 2 * m * moved / (linear + root), 0.0)
            best = np.where(linear > 0, other, 0.5 * (root - linear) / (1 + finite))
            best = np.where(certain, b0, best)
            stiffness = np.where(certain | (best <= 0), np.inf, m / best**2)
        return best, stiffness

    def _at(self, strength, shift, data):
        signal, growth = self.expected_signal(strength)
        log_k, log_k_growth = self.log_k(strength)
        moved, push, curvature = self._forces(signal, log_k, shift, data)
        background, _ = self._best_background(moved, data)
        total, n, b0 = moved + background, data.counts, data.background
        with np.errstate(divide="ignore", invalid="ignore"):
            deviance = total - n + np.where(n > 0, xlogy(n, n / total), 0.0)
            if self.constraint == "gaussian":
                scale = np.where(self.uncertainty > 0, self.uncertainty, 1.0)
                deviance += 0.5 * ((background - b0) / scale) ** 2
            else:
                tau = self._tau
                off = tau * (background - b0) + np.where(
                    b0 > 0, xlogy(tau * b0, b0 / background), 0
                )
                deviance += np.where(np.isinf(tau), 0.0, off)
            deviance = 2 * deviance.sum(axis=1) + (shift - data.shift) ** 2
            growth = growth * np.exp(np.minimum(shift[:, None] * log_k, _LARGEST_SHIFT))
            growth = growth + moved * shift[:, None] * log_k_growth
            slope = (push * growth).sum(axis=1)
            direct = (curvature * growth**2).sum(axis=1)
            crossed = (curvature * growth * moved * log_k).sum(axis=1)
            own = (curvature * (moved * log_k) ** 2).sum(axis=1) + 1
        return _Profile(deviance, background, shift, slope, direct - crossed**2 / own)


def _root(function, start, low, high):
    """Root of increasing functions, one for each entry, between `low` and `high`."""
    x = np.clip(start, low, high)
    tolerance = _TOLERANCE * (high - low)
    last = np.inf
    for _ in range(_MAX_STEPS):
        value, slope = function(x)
        high = np.where(value > 0, x, high)
        low = np.where(value > 0, low, x)
        with np.errstate(divide="ignore", invalid="ignore"):
            newton = x - value / slope
        found = (np.abs(newton - x) <= tolerance) | (high - low <= tolerance)
        if found.all():
            return x
        # A derivative with a step, where the signal bends, must not stop the search.
        fast = (newton > low) & (newton < high) & (np.abs(value) < 0.5 * last)
        x, last = np.where(found, x, np.where(fast, newton, 0.5 * (low + high))), np.abs(value)
    return x
