"""Trainings: those of this session, and every other run in the project, followed by its journal."""
