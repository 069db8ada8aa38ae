"""Built-in initializers."""

from __future__ import annotations

import segkit
