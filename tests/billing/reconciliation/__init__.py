"""Tests of bank files."""
