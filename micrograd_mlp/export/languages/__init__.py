"""The languages that a program can be written in: one file of words for each."""
