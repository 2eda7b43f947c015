"""The platforms' servers that tests start for themselves: emulators, databases, and stateful ones of our own."""
