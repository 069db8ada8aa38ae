"""Recipes: what to train, on what, and how, as a file that people write and programs check.

A recipe is TOML (or JSON): a table for each chosen component, with its name and options, and four tables of settings.
Components are chosen by registered name only; there is no inheritance, no expression and no import path. Reading a
recipe checks everything, fills in every default and stores names as ``plugin:name``, so that what is kept beside the
weights says exactly what was done.
"""

from segkit.recipe._loading import load_recipe
from segkit.recipe._recipe import CHOICES, Recipe, Selection
from segkit.recipe._settings import SECTIONS, Optimizer, Sampling, Schedule, Split, Training

__all__ = [
    "CHOICES",
    "SECTIONS",
    "Optimizer",
    "Recipe",
    "Sampling",
    "Schedule",
    "Selection",
    "Split",
    "Training",
    "load_recipe",
]
