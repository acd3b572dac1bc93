"""Options of everything this plugin offers, as light dataclasses.

Begin with `sources`. Nothing heavy is imported here.

Checks that need data do not belong here; sources and steps make them.
"""
