"""Built-in formats."""

from __future__ import annotations

import segkit
