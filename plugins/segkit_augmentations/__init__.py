"""Built-in augmentations."""

from __future__ import annotations

import segkit
