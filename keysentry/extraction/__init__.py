"""From bytes to text with a meaning: encodings, archives, escapes, JSON, chat exports; pure, under a budget."""
