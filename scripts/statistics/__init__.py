"""Commands on counts: sensitivities, toys, coverage."""
