"""How well a programme works: figures over all incidents, as a table, as JSON, and as a page with plots."""
