"""Built-in unet."""

from __future__ import annotations

import segkit
