"""Studies of what a detector finds across frames, methods and seeds."""

from skad.inspection._breakdown import BreakdownTest, breakdown_test
from skad.inspection._closure_auc import ClosureAUC, closure_auc
from skad.inspection._coordinate_study import coordinate_study
from skad.inspection._excess import excess_features, most_signal_like
from skad.inspection._explain import explain
from skad.inspection._feature_histograms import (
    FeatureHistograms,
    feature_histograms,
    region_samples,
)
from skad.inspection._frame_overlap import FrameOverlap, frame_overlap
from skad.inspection._injection_study import injection_study
from skad.inspection._jet_images import JetImages, jet_images
from skad.inspection._jet_spectra import JetSpectra, jet_spectra
from skad.inspection._latent import LatentEmbedding, latent_embedding
from skad.inspection._log_posterior import log_posterior_test
from skad.inspection._overlap_study import overlap_study
from skad.inspection._score_correlation import score_correlation
from skad.inspection._template_closure import template_closure
from skad.inspection._template_fit import TemplateFitTest, template_fit_test
from skad.inspection._yield_closure import yield_closure

__all__ = [
    # across frames
    "FrameOverlap",
    "coordinate_study",
    "frame_overlap",
    # templates against true background
    "ClosureAUC",
    "closure_auc",
    "log_posterior_test",
    "template_closure",
    # templates against data without signal
    "TemplateFitTest",
    "template_fit_test",
    # samples by region and class, background against the cut, signal injected
    "FeatureHistograms",
    "feature_histograms",
    "injection_study",
    "region_samples",
    "yield_closure",
    # what was found
    "excess_features",
    "most_signal_like",
    # across methods and seeds
    "BreakdownTest",
    "breakdown_test",
    "overlap_study",
    "score_correlation",
    # what makes an event anomalous
    "explain",
    # what an autoencoder has learned
    "JetImages",
    "JetSpectra",
    "LatentEmbedding",
    "jet_images",
    "jet_spectra",
    "latent_embedding",
]
