"""Best values, intervals and contours."""
