"""The nouns of keysentry: frozen, typed, and free of any behaviour that needs the outside world."""
