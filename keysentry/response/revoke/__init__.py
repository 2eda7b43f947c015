"""Killing credentials at their providers: one module a kind of revoker, and their table (`table.py`)."""
