"""A judge for programming contests: from a problem package and submissions to verdicts.

A client of the supervisor's public API. Nothing below knows of it.
"""
