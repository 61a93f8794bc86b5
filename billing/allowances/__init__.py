"""Allowances that are granted by hand: by a top-up, or as a promotion."""
