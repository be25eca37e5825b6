"""How properties are tested: as many examples as by default, and never by the clock."""

from hypothesis import settings

settings.register_profile("sandbox", deadline=None, database=None)
settings.load_profile("sandbox")
