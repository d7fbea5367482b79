"""What several formats share, and the way in and out that all go."""
