"""What is expected and seen in bins."""
