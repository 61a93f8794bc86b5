"""Who changed what: written by the rows themselves (migration 0009), told here who it was."""
