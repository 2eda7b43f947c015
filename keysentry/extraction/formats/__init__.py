"""The formats of platforms: how each writes down what people said, and where in it the words are."""
