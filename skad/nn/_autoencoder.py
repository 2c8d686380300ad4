"""Autoencoders: an encoder, a mirrored decoder and the scaling in front of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from skad.nn._mlp import Standardize, mlp_layers

__all__ = ["LARGEST_SCALED", "LOG_VARIANCES", "Autoencoder", "VariationalAutoencoder"]

# Beyond it, in scaled units, a network would overflow to NaN; it sees this value.
LARGEST_SCALED = 1e15
# Posterior variances are kept within exp(-30) and exp(20), whatever the event.
LOG_VARIANCES = -30.0, 20.0


class Autoencoder(nn.Module):
    """A dense encoder and its mirror image, both with linear outputs.

    Parameters
    ----------
    scaling : Standardize
        Map from the features to the scaled ones z that are encoded and decoded.
    n_features : int
    hidden_sizes : sequence of int
        Hidden layers of the encoder; the decoder has them in reverse.
    n_latent : int
    activation : {"relu", "tanh", "silu", "elu", "gelu"}, default="relu"
    encoder_bias : bool, default=True
        Whether the layers of the encoder have a bias.
    """

    def __init__(
        self,
        scaling: Standardize,
        n_features: int,
        hidden_sizes: Sequence[int],
        n_latent: int,
        *,
        activation: str = "relu",
        encoder_bias: bool = True,
    ) -> None:
        super().__init__()
        self.scaling = scaling
        encoder = [n_features, *hidden_sizes, self._n_code(n_latent)]
        decoder = [n_latent, *reversed(hidden_sizes), n_features]
        self.encoder = nn.Sequential(*mlp_layers(encoder, activation, bias=encoder_bias))
        self.decoder = nn.Sequential(*mlp_layers(decoder, activation))
        self._options = {
            "n_features": n_features,
            "hidden_sizes": [int(size) for size in hidden_sizes],
            "n_latent": n_latent,
            "activation": activation,
            "encoder_bias": encoder_bias,
        }

    @property
    def settings(self) -> dict[str, Any]:
        """What builds it again."""
        return {"scaling": self.scaling, **self._options}

    @staticmethod
    def _n_code(n_latent: int) -> int:
        """Outputs of the encoder."""
        return n_latent

    def _cast(self, value: torch.Tensor) -> torch.Tensor:
        dtype = next(self.decoder.parameters()).dtype
        if value.dtype == dtype and self.training:
            return value
        return value.clamp(-LARGEST_SCALED, LARGEST_SCALED).to(dtype)

    def latent(self, z: torch.Tensor) -> torch.Tensor:
        """Return the latent point of scaled features."""
        return self.encoder(self._cast(z))

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """Return the scaled features at a latent point."""
        return self.decoder(self._cast(latent))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Return the reconstruction of scaled features."""
        return self.decode(self.latent(z))


class VariationalAutoencoder(Autoencoder):
    """An autoencoder whose encoder returns a normal distribution over the latent space.

    Parameters as for `Autoencoder`.
    """

    @staticmethod
    def _n_code(n_latent: int) -> int:
        return 2 * n_latent

    def posterior(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and log variance of the latent point of scaled features."""
        mean, log_variance = self.encoder(self._cast(z)).chunk(2, dim=-1)
        return mean, log_variance.clamp(*LOG_VARIANCES)

    def latent(self, z: torch.Tensor) -> torch.Tensor:
        """Return the posterior mean."""
        return self.posterior(z)[0]

    def forward(  # type: ignore[override]  # its training needs the noise
        self, z: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return the reconstruction of a posterior draw, and posterior mean and log variance."""
        mean, log_variance = self.posterior(z)
        drawn = mean + torch.exp(0.5 * log_variance) * noise
        return self.decode(drawn), mean, log_variance
