"""Observed counts of a model: from ntuples, releases, histograms and texts."""
