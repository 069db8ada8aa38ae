"""The napari plugin of segkit.

It is a view of the library: training, prediction and tracing run as child processes of the same command line that
people use in a shell, and this package reads what they write. Importing it loads neither torch nor napari.
"""
