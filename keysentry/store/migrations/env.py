"""What Alembic runs a step in: the connection, and its transaction, of the one who opens the store."""

from __future__ import annotations

from alembic import context

from keysentry.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
