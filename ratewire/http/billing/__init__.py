"""The endpoints of billing staff, below /api/v1/billing/: a module for each noun."""
