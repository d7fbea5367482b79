"""Two samples side by side."""
