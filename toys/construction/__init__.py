"""Neyman constructions: toys, acceptance belts and regions."""
