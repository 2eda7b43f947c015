"""Keeping secrets in an organisation's vault: one module a kind of vault, and their table (`table.py`)."""
