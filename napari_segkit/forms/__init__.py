"""Forms made of `Parameter` records, and what the pages are made of."""

from __future__ import annotations

from napari_segkit.forms._colours import colours
from napari_segkit.forms._component_picker import ComponentPicker
from napari_segkit.forms._editors import BrowseButton, QuietCombo, number_text
from napari_segkit.forms._fold import Fold
from napari_segkit.forms._form import Form
from napari_segkit.forms._page import Page, line, primary_button
from napari_segkit.forms._source_picker import SourcePicker, source_of_layer

__all__ = [
    "BrowseButton",
    "ComponentPicker",
    "Fold",
    "Form",
    "Page",
    "QuietCombo",
    "SourcePicker",
    "colours",
    "line",
    "number_text",
    "primary_button",
    "source_of_layer",
]
