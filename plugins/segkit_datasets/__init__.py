"""Built-in datasets."""

from __future__ import annotations

import segkit
