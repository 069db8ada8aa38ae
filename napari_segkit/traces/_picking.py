"""Double clicks on the canvas: on a line or an instance they select, with Ctrl they centre, elsewhere napari zooms as always."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Picking"]

REACH_PIXELS = 8.0


class Picking:
    """Listens to a viewer's double clicks until `release` is called.

    Parameters
    ----------
    viewer
        The napari viewer.
    line
        Called with position, direction ``(z, y, x)`` and reach of a click, in world units; returns the id and node that it
        hits, or None.
    known
        Whether there is a trace of an id.
    chosen
        Called with an id, a node or None, and whether it is added to what is selected.
    centred
        Called with an id and a node that the camera is to go to.
    """

    def __init__(
        self,
        viewer: Any,
        line: Callable[[Any, Any, float], tuple[int, int] | None],
        known: Callable[[int], bool],
        chosen: Callable[[int, int | None, bool], None],
        centred: Callable[[int, int], None],
    ) -> None:
        self._viewer, self._line, self._known = viewer, line, known
        self._chosen, self._centred = chosen, centred
        callbacks = viewer.mouse_double_click_callbacks
        self._before = list(callbacks)
        callbacks[:] = [self._clicked]

    def release(self) -> None:
        """Give the double clicks back."""
        callbacks = self._viewer.mouse_double_click_callbacks
        if self._clicked in callbacks:
            callbacks[:] = [*self._before, *(callback for callback in callbacks if callback != self._clicked)]

    def _clicked(self, viewer: Any, event: Any) -> None:
        if not self._meant(event):
            for callback in self._before:
                callback(viewer, event)

    def _meant(self, event: Any) -> bool:
        active = self._viewer.layers.selection.active
        if active is not None and active.mode not in ("pan_zoom", "transform"):
            return False  # somebody paints
        position = np.asarray(event.position, float)[-3:]
        if len(position) < 3:
            return False
        direction = [1.0, 0.0, 0.0] if event.view_direction is None else np.asarray(event.view_direction, float)[-3:]
        reach = REACH_PIXELS / max(float(self._viewer.scene.camera.zoom), 1e-12)
        modifiers = {str(getattr(modifier, "name", modifier)) for modifier in event.modifiers}
        found = self._line(position, direction, reach)
        if found is not None and "Control" in modifiers:
            self._centred(*found)
            return True
        if found is None:
            instance = self._instance(event)
            found_id = instance if instance is not None and self._known(instance) else None
            if found_id is None:
                return False
            self._chosen(found_id, None, "Shift" in modifiers)
            return True
        self._chosen(*found, "Shift" in modifiers)
        return True

    def _instance(self, event: Any) -> int | None:
        """Return the object below the mouse in the uppermost layer of labels that is seen."""
        for layer in reversed(self._viewer.layers):
            if type(layer).__name__ != "Labels" or not layer.visible or layer.ndim != 3:
                continue
            value = layer.get_value(
                event.position,
                view_direction=event.view_direction,
                dims_displayed=list(event.dims_displayed),
                world=True,
            )
            value = value[-1] if isinstance(value, tuple) else value
            if value:
                return int(value)
        return None
