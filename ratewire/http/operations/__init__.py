"""The endpoints of network operations, below /api/v1/: a module for each noun."""
