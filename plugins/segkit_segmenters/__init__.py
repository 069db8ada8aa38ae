"""Built-in segmenters."""

from __future__ import annotations

import segkit
