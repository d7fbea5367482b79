"""Detector response, experiments, runs and files."""
