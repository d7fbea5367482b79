"""Options that commands share, in groups: each is handed over as one frozen object."""
