"""Neutrinos from the beam to the nucleus: source, target, cross section, rates and true events."""
