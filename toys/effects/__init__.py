"""What nuisance parameters do to expected counts, and which pull acts on which component."""
