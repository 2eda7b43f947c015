"""Prefilters: the first look at every byte, which may say too much and never too little."""
