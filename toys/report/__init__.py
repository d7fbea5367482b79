"""Results of a fit to data: values, errors, impacts, quality, components and plots."""
