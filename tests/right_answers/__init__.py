"""Right answers of other kinds than the solutions, by exercise."""
