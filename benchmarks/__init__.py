"""Speed and memory, measured against other scanners and against the machine's own limits."""
