"""Where findings and cursors are kept: SQLite, PostgreSQL, or memory, behind one protocol."""
