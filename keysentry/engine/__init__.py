"""The pure, synchronous matching engine: prefilter, confirm, check, score."""
