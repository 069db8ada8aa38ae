"""The few colours of our own, for a dark and for a light theme; all others are napari's."""

from __future__ import annotations

__all__ = ["colours"]

_PRIMARY = "#1f6feb"
_DARK = {
    "primary": _PRIMARY,
    "error": "#ff8a80",
    "good": "#7fd18b",
    "muted": "#a9b0ba",
    "training": "#6f97d8",
    "validation": "#f2a541",
}
_LIGHT = {
    "primary": _PRIMARY,
    "error": "#b3261e",
    "good": "#1b6e2c",
    "muted": "#595f69",
    "training": "#2c5aa8",
    "validation": "#b05c00",
}


def colours() -> dict[str, str]:
    """Return the colours that fit the viewer's theme now: texts ``error``, ``good``, ``muted``, lines, and ``primary`` buttons."""
    import napari
    from napari.settings import get_settings
    from napari.utils.theme import get_theme

    viewer = napari.current_viewer()
    theme = get_settings().appearance.theme if viewer is None else viewer.theme
    background = get_theme(theme).background.as_rgb_tuple(alpha=False)
    return dict(_DARK if sum(background) < 384 else _LIGHT)
