"""Options of a command line: in front of its other words, or among them."""

from __future__ import annotations

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Given", "Option", "help_lines", "parse_options", "parse_options_anywhere"]

_HELP_COLUMN = 30


# One option as it was given: its name and value. None: a switch, or one that stands alone.
Given = tuple[str, str | None]


class Option:
    """One option. `value` is the name of its value in the help text; "" is a switch."""

    def __init__(self, help: str, value: str = "", may_stand_alone: bool = False) -> None:
        """may_stand_alone: its value may be left out."""
        self.help, self.value, self.may_stand_alone = help, value, may_stand_alone


def parse_options(
    words: Sequence[str], options: Mapping[str, Option]
) -> tuple[list[Given], list[str]]:
    """The options at the start of `words`, in order, and the words after them.

    They end at "--", which is dropped, or at the first word that does not begin with "-". A value
    is the next word, or follows "=". An option that may stand alone takes the next word only
    where one of `options` or "--" comes after that: else it would take the command away.
    Raises SpecError naming the option.
    """
    given: list[Given] = []
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        may_take_next = _is_value_before_option(rest, options)
        given.append(_given(word, rest, options, may_take_next=may_take_next))
    return given, rest


def parse_options_anywhere(
    words: Sequence[str], options: Mapping[str, Option]
) -> tuple[list[Given], list[str]]:
    """The options before, between and behind other words, in order, and those words.

    After "--" none is one. The value of an option that may stand alone follows "=". Raises
    SpecError naming the option.
    """
    given: list[Given] = []
    others: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            others += rest
            break
        if word.startswith("-"):
            given.append(_given(word, rest, options, may_take_next=False))
        else:
            others.append(word)
    return given, others


def _given(
    word: str, rest: list[str], options: Mapping[str, Option], *, may_take_next: bool
) -> Given:
    """One option, and its value: of `word`, or taken from `rest`.

    `may_take_next`: whether one that may stand alone takes it from there.
    """
    name, equals, value = word.partition("=")
    if name not in options:
        raise SpecError(name, f"no such option{suggestion(name, options)}")
    option = options[name]
    if not option.value:
        if equals:
            raise SpecError(name, "takes no value")
        return name, None
    if equals:
        return name, value
    if option.may_stand_alone and not may_take_next:
        return name, None
    if not rest or _is_option(rest[0], options):
        raise SpecError(name, f"needs a value: {name} {option.value}")
    return name, rest.pop(0)


def help_lines(options: Mapping[str, Option]) -> str:
    """One line for each option, as `--help` prints them."""
    lines = []
    for name, option in options.items():
        value = f"[={option.value}]" if option.may_stand_alone else f" {option.value}"
        head = f"  {name}{value}".rstrip()
        lines.append(f"{head:{_HELP_COLUMN}}{option.help}")
    return "\n".join(lines)


def _is_option(word: str, options: Mapping[str, Option]) -> bool:
    return word == "--" or word.partition("=")[0] in options


def _is_value_before_option(rest: Sequence[str], options: Mapping[str, Option]) -> bool:
    return len(rest) > 1 and not rest[0].startswith("-") and _is_option(rest[1], options)
