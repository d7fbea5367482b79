"""Commands that tell what comes with nuspill."""
