"""What a configuration says: layers of settings, tables, what has no effect, and errors."""
