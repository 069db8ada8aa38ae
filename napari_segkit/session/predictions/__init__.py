"""Predictions: trained models, what they answer at once, and results with their blocks."""
