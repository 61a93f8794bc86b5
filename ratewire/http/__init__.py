"""The HTTP edge: health, metrics, and the API. Handlers are thin."""
