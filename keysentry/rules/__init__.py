"""Rule packs: their schema, loader, linter, and the forge of synthetic credentials."""
