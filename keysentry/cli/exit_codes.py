"""What the exit codes of every command mean; 0 is success with nothing found."""

from __future__ import annotations

FOUND = 1
"""`scan` or `watch --once` found something, `rules lint` an error, `rules test` a miss, `status` a source that needs
attention."""
USAGE = 2
"""The command line, a setting or a rule file cannot be used; nothing was done."""
INCOMPLETE = 3
"""Nothing was found, but something could not be read (`--fail-on-incomplete`)."""
INTERRUPTED = 130
"""Ctrl-C; what was found until then is reported."""
BROKEN_PIPE = 141
"""The reader of standard output went away. The code is the one a shell reports for a command that SIGPIPE ended."""
