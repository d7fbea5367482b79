"""Detector response, experiments and files."""
