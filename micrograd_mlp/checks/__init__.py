"""Checks of derivatives against numbers that were computed in another way."""
