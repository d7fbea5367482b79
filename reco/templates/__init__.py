"""Templates from files: their settings, and what the files hold."""
