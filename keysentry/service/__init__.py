"""The daemon: sources read round the clock, each in its own supervised loop."""
