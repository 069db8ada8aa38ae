"""Many trainings of one recipe: what a setting changes, and what is best."""
