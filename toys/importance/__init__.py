"""Critical values from all toys at every point, with weights."""
