"""Requests that are done once, however often they are sent: their keys and their answers."""
