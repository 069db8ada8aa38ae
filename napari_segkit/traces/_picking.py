"""The mouse on the canvas: a double click on a line or an instance selects, and elsewhere zooms as always; Ctrl and click centres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    gone
        Called with -1 or 1 when the fourth or fifth button of the mouse is pressed.
    """

    def __init__(
        self,
        viewer: Any,
        line: Callable[[Any, Any, float], tuple[int, int] | None],
        known: Callable[[int], bool],
        chosen: Callable[[int, int | None, bool], None],
        centred: Callable[[int, int], None],
        gone: Callable[[int], None],
    ) -> None:
        self._viewer, self._line, self._known = viewer, line, known
        self._chosen, self._centred, self._gone = chosen, centred, gone
        callbacks = viewer.mouse_double_click_callbacks
        self._before = list(callbacks)
        callbacks[:] = [self._clicked]
        viewer.mouse_drag_callbacks.append(self._pressed)

    def release(self) -> None:
        """Give the mouse back."""
        if self._pressed in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._pressed)
        callbacks = self._viewer.mouse_double_click_callbacks
        if self._clicked in callbacks:
            callbacks[:] = [*self._before, *(callback for callback in callbacks if callback != self._clicked)]

    def _clicked(self, viewer: Any, event: Any) -> None:
        if not self._meant(event):
            for callback in self._before:
                callback(viewer, event)

    def _pressed(self, viewer: Any, event: Any) -> Iterator[None]:
        if event.button in (4, 5):
            self._gone(-1 if event.button == 4 else 1)
            return
        if event.button != 1 or "Control" not in _modifiers(event):
            return
        yield
        if event.type == "mouse_move":
            return  # a drag
        found = self._hit(event)
        if found is not None:
            self._centred(*found)

    def _hit(self, event: Any) -> tuple[int, int] | None:
        """Return the id and node of the trace below the mouse."""
        active = self._viewer.layers.selection.active
        if active is not None and active.mode not in ("pan_zoom", "transform"):
            return None  # somebody paints
        position = np.asarray(event.position, float)[-3:]
        if len(position) < 3:
            return None
        direction = [1.0, 0.0, 0.0] if event.view_direction is None else np.asarray(event.view_direction, float)[-3:]
        reach = REACH_PIXELS / max(float(self._viewer.scene.camera.zoom), 1e-12)
        return self._line(position, direction, reach)

    def _meant(self, event: Any) -> bool:
        """Select what a double click is on; return whether it is on anything."""
        if "Control" in _modifiers(event):
            return self._hit(event) is not None  # its clicks have centred it
        found = self._hit(event)
        add = "Shift" in _modifiers(event)
        if found is not None:
            self._chosen(*found, add)
            return True
        instance = self._instance(event)
        if instance is None or not self._known(instance):
            return False
        self._chosen(instance, None, add)
        return True

    def _instance(self, event: Any) -> int | None:
        """Return the object below the mouse in the uppermost layer of labels that is seen."""
        active = self._viewer.layers.selection.active
        if active is not None and active.mode not in ("pan_zoom", "transform"):
            return None
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


def _modifiers(event: Any) -> set[str]:
    return {str(getattr(modifier, "name", modifier)) for modifier in event.modifiers}
