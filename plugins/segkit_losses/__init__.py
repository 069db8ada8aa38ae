"""Built-in losses."""

from __future__ import annotations

import segkit
