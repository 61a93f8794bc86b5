"""Customers: who accounts belong to. Personal data are apart: to be exported, and erased."""
