"""Offline validity of credentials: named pure functions and their table."""
