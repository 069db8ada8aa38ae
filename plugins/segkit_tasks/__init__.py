"""Built-in tasks."""

from __future__ import annotations

import segkit
