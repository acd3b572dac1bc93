"""Partitioners: which rows of a table each client of a simulation holds."""
