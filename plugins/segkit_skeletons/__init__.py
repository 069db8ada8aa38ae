"""Built-in skeletons."""

from __future__ import annotations

import segkit
