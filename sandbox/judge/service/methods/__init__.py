"""judge.*: submit to a problem package, hear of each test, look, cancel, judge again, forget."""

# Importing them declares their methods: in this order, which is that of the page made of them.
from sandbox.judge.service.methods import submit  # isort: skip
from sandbox.judge.service.methods import look  # isort: skip
from sandbox.judge.service.methods import events  # isort: skip
from sandbox.judge.service.methods import end  # isort: skip
from sandbox.judge.service.methods import languages  # isort: skip
from sandbox.judge.service.methods.declared import METHODS

__all__ = ["METHODS", "end", "events", "languages", "look", "submit"]
