"""Options of everything this plugin offers, as light dataclasses."""
