"""What this is, and which version of it."""

VERSION = "0.1.0"
