"""Models of a detector: quenching, resolution, efficiency, backgrounds."""
