"""Statistics of counts: templates, likelihood, fits, Asimov regions, toys and coverage."""
