"""Built-in smp."""

from __future__ import annotations

import segkit
