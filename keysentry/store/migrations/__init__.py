"""The steps that bring a store's tables up to date, run when it is opened (Alembic).

A new step is a file in `versions/`, made by hand or with `alembic revision --autogenerate`, whose revision becomes
`HEAD`. Both databases run the same steps, each set of them in one transaction.
"""

from __future__ import annotations

from pathlib import Path

HEAD = "0002"
"""The revision that this version of keysentry works with."""
FOLDER = Path(__file__).parent
