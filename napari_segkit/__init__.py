"""The napari plugin of segkit."""
