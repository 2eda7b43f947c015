"""The demo: a sample workspace, made when it is needed, with forged credentials planted in it."""
