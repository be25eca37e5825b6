"""problem.yaml and DOMjudge's files: what is read, by which defaults, and what is refused."""

import pytest

_V = "problem_format_version: 2025-09\nname: Sums\nuuid: a-b\n"
_DRAFT = "problem_format_version: 2023-07-draft\nname: Sums\nuuid: a-b\n"
_CHECK = {"output_validators/check.py": "import sys; sys.exit(42)\n"}
_CHECK_NEW = {"output_validator/check.py": "import sys; sys.exit(42)\n"}
_MIB = 1 << 20


def test_a_silent_legacy_package_has_the_defaults_of_the_format(legacy) -> None:
    problem = legacy({})
    assert (problem.name, problem.format) == ("Sums", "legacy")
    limits = problem.limits
    assert limits.time_seconds is None
    assert (limits.time_multiplier, limits.safety_margin, limits.time_resolution) == (5, 2, 1)
    assert (limits.memory_bytes, limits.output_bytes) == (2048 * _MIB, 8 * _MIB)
    assert (limits.code_bytes, limits.passes) == (256 << 10, 1)
    assert (limits.compilation_seconds, limits.validation_seconds) == (60, 60)
    assert problem.is_lazy and problem.may_write_files and problem.languages is None
    assert problem.notes == ()


def test_a_silent_new_package_has_the_defaults_of_its_format(new) -> None:
    problem = new({})
    assert problem.format == "2025-09"
    assert (problem.limits.time_multiplier, problem.limits.safety_margin) == (2, 1.5)
    assert not problem.may_write_files
    assert problem.notes == ()


def test_limits_are_read_in_their_units(legacy) -> None:
    text = (
        "limits: {time_multiplier: 3.5, time_safety_margin: 4, memory: 512, output: 1, code: 64,\n"
        " compilation_time: 10, compilation_memory: 1024, validation_time: 20,\n"
        " validation_memory: 100, validation_output: 2}\n"
    )
    limits = legacy({"problem.yaml": text}).limits
    assert limits == limits._replace(
        time_multiplier=3.5, safety_margin=4, memory_bytes=512 * _MIB, output_bytes=_MIB,
        code_bytes=64 << 10, compilation_seconds=10, compilation_memory_bytes=1024 * _MIB,
        validation_seconds=20, validation_memory_bytes=100 * _MIB,
        validation_output_bytes=2 * _MIB,
    )  # fmt: skip


def test_outputs_that_are_kept_may_be_of_a_gibibyte(legacy) -> None:
    limits = legacy({"problem.yaml": "limits: {output: 1024, validation_output: 1024}\n"}).limits
    assert (limits.output_bytes, limits.validation_output_bytes) == (1 << 30, 1 << 30)


def test_new_limits_are_read_with_their_multipliers(new) -> None:
    text = (
        f"{_V}limits: {{time_limit: 2.5, time_resolution: 0.5,\n"
        " time_multipliers: {ac_to_time_limit: 3, time_limit_to_tle: 2.0}}\n"
    )
    limits = new({"problem.yaml": text}).limits
    assert (limits.time_seconds, limits.time_resolution) == (2.5, 0.5)
    assert (limits.time_multiplier, limits.safety_margin) == (3, 2)


@pytest.mark.parametrize(
    ("validation", "is_interactive", "passes"),
    [("custom", False, 1), ("custom interactive", True, 1), ("custom multi-pass", False, 2)],
)
def test_legacy_validation_says_what_kind_it_is(legacy, validation, is_interactive, passes) -> None:
    text = f"validation: {validation}\nvalidator_flags: float_tolerance 1e-6\n"
    problem = legacy({"problem.yaml": text, **_CHECK})
    assert problem.is_interactive is is_interactive
    assert problem.limits.passes == passes
    assert problem.output_validator.name == "output_validators/check.py"
    assert problem.output_validator_flags == ("float_tolerance", "1e-6")
    assert not problem.validator_sees_score


def test_a_number_among_flags_stays_as_it_was_written(legacy) -> None:
    assert legacy({"problem.yaml": "validator_flags: 1.0e6\n"}).output_validator_flags == ("1.0e6",)


@pytest.mark.parametrize("text", ["type: interactive", "type: [pass-fail, interactive]"])
def test_a_new_type_is_a_text_or_a_sequence(new, text) -> None:
    assert new({"problem.yaml": f"{_V}{text}\n", **_CHECK_NEW}).is_interactive


def test_a_name_in_norwegian_is_none_that_is_false(new) -> None:
    text = "problem_format_version: 2025-09\nuuid: x\nname: {no: Hei}\n"
    assert new({"problem.yaml": text}).name == "Hei"


def test_constants_and_their_variants_are_told(new) -> None:
    text = f"{_V}constants:\n  n: 10\n  k: {{value: 5000, tex: '5,000'}}\n"
    assert new({"problem.yaml": text}).constants == {
        "n": "10", "n.value": "10", "k": "5000", "k.value": "5000", "k.tex": "5,000",
    }  # fmt: skip


def test_domjudge_says_name_and_time_limit(legacy) -> None:
    ini = "; comment\nname = 'Two sums'\ntimelimit=2.5\ncolor = #fff\n"
    problem = legacy({"problem.yaml": None, "domjudge-problem.ini": ini})
    assert (problem.name, problem.limits.time_seconds) == ("Two sums", 2.5)
    assert problem.notes == ()


def test_domjudges_time_file_is_read(legacy) -> None:
    assert legacy({".timelimit": "5\n"}).limits.time_seconds == 5


def test_what_legacy_does_not_know_is_noted(legacy) -> None:
    notes = legacy({"problem.yaml": "nmae: Sums\nlimits: {memroy: 5}\nlicense: mine\n"}).notes
    assert "problem.yaml: nmae: no such key; did you mean name?" in notes
    assert "problem.yaml: limits.memroy: no such key; did you mean memory?" in notes
    assert any("license" in note for note in notes)


def test_multipliers_that_legacy_does_not_have_are_noted_where_they_are_no_table(legacy) -> None:
    problem = legacy({"problem.yaml": "name: Sums\nlimits: {time_multipliers: 1}\n"})
    assert problem.limits.time_multiplier == 5
    assert any(note.startswith("problem.yaml: limits.time_multipliers") for note in problem.notes)


def test_notes_can_be_shown_whatever_they_quote(legacy) -> None:
    (note,) = legacy({"domjudge-problem.ini": "\x1b[2J = 1\n"}).notes
    assert note == r"domjudge-problem.ini: \x1b[2J: no such key"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("limits: {memory: 1GiB}", 'limits.memory: "1GiB" is no number of MiB'),
        ("limits: {code: much}", 'limits.code: "much" is no number of KiB'),
        ("limits: {time_limit: 1s}", 'limits.time_limit: "1s" is no number of seconds'),
        ("limits: {memory: 0}", "limits.memory: 0 is out of range"),
        ("limits: {output: 1025}", "limits.output: 1025 is out of range"),
        ("limits: {validation_output: 1e6}", 'validation_output: "1e6" is out of range'),
        ("limits: {time_multiplier: .nan}", "limits.time_multiplier: nan is no number"),
        ("limits: [1]", "limits: an array is no table"),
        ("validation: costum", 'validation: "costum" is neither default nor custom'),
        ("validation: default score", 'validation: "score" cannot follow default'),
        ("validation: custom interactiv", "did you mean interactive?"),
        ("validation: custom score", "score is for problems of type scoring only"),
        ("validation: custom", "output_validators: has no program"),
        ("type: pass fail", '"pass" is not one of'),
        ("type: [scoring, pass-fail]", "pass-fail and scoring exclude each other"),
        ("name: [a]", "name: an array is no text"),
        ("problem_format_version: 2024-01", "known are legacy"),
        ("type: scoring\ngrading: {objective: most}", 'grading.objective: "most" is not one of'),
        ("a: &a [x]\nb: *a", "line 2: an alias"),
        ("name: a\nname: b", 'line 2: the key "name" twice'),
        ("- a", "problem.yaml: the document: an array is no table"),
        ("1: a", "a key: 1 is no text"),
        ("a: !!python/object:os.system x", "line 1: could not determine a constructor"),
        ("a: " + "[" * 40 + "]" * 40, "line 1: over 16 levels deep"),
        ("a: b: c", 'line 1: mapping values are not allowed here; put a text with ": " in it'),
        ("limits:\n\tmemory: 1", "cannot start any token; indent by spaces"),
        ("a: 2025-13-45", "is no YAML: month must be in 1..12"),
        ("x: " + "9" * 5000, "is no YAML: Exceeds the limit"),
        ("name: a\0b", "is no YAML"),
        ("n: " + "x" * (1 << 20), "is over 1048576 bytes"),
    ],
)  # fmt: skip
def test_a_legacy_problem_yaml_is_refused_by_file_and_rule(legacy, refusal, text, told) -> None:
    message = refusal(legacy, {"problem.yaml": text + "\n"})
    assert told in message
    assert "problem.yaml" in message or "output_validators" in message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nmae: x", "problem.yaml: nmae: no such key; did you mean name?"),
        ("limits: {time_multiplier: 2}", "limits.time_multiplier: no such key; did you mean time"),
        ("limits: {memory: 1.5}", "limits.memory: 1.5 is no whole number"),
        ("limits: {time_multipliers: {ac_to_time_limit: 0.5}}", "ac_to_time_limit: 0.5 is out of"),
        ("limits: {time_limit: 1.5, time_resolution: 1}", "1.5 is no multiple of time_resolution"),
        ("validation: custom", "validation: is a key of the legacy format; now a directory"),
        ("validator_flags: x", "validator_flags: is a key of the legacy format; now output_val"),
        ("type: interactive", "interactive problems need an output validator of their own"),
        ("type: [submit-answer, multi-pass]", "submit-answer and multi-pass exclude each other"),
        ("type: [scoring, scoring]", "type: says the same twice"),
        ("languages: [1.5, [c]]", "languages: holds what is no text"),
        ("allow_file_writing: 1", "allow_file_writing: 1 is neither true nor false"),
        ("constants: {1a: 2}", "constants.1a: a constant's name is letters"),
        ("constants: {a: {tex: 2}}", "constants.a.value: is missing"),
        ("constants: {a: true}", "constants.a: true is no text"),
    ],
)  # fmt: skip
def test_a_new_problem_yaml_is_refused_by_file_and_rule(new, refusal, text, told) -> None:
    assert told in refusal(new, {"problem.yaml": f"{_V}{text}\n"})


def test_the_draft_lets_a_time_limit_be_no_multiple(new) -> None:
    text = f"{_DRAFT}limits: {{time_limit: 1.5, time_resolution: 1}}\n"
    assert new({"problem.yaml": text}).limits.time_seconds == 1.5


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"domjudge-problem.ini": "timelimit = soon\n"}, 'ini: timelimit: "soon" is no number of'),
        ({"domjudge-problem.ini": "timelimit\n"}, 'ini: line 1: "timelimit" is no key = value'),
        ({"domjudge-problem.ini": "name='a\n"}, "ini: line 1: a quote that does not end"),
        ({"domjudge-problem.ini": "name=a\nname=b\n"}, "ini: line 2: name a second time"),
        ({"domjudge-problem.ini": "special_run = x\n"}, "the program x is on a DOMjudge server"),
        ({".timelimit": "-1"}, '.timelimit: "-1" is no number of seconds'),
        ({".timelimit": "1", "domjudge-problem.ini": "timelimit=2"}, "says 1 s, and domjudge"),
        (
            {".timelimit": "1", "problem.yaml": "limits: {time_limit: 2}\n"},
            "limits.time_limit: is 2 s, and DOMjudge's file says 1 s",
        ),
        ({"submissions.json": "{"}, "submissions.json: is no JSON"),
        ({"submissions.json": "[" * 100_000}, "submissions.json: is no JSON"),
        ({"problem.yaml": None}, "problem.yaml: is missing, so this is no problem package"),
        ({"problem.yaml": None, "problem.yml": ""}, "package; did you mean problem.yml?"),
        ({"problem.yaml": b"\xff\n"}, "problem.yaml: is no UTF-8 at byte 0"),
    ],
)  # fmt: skip
def test_domjudges_files_are_refused_by_file_and_rule(legacy, refusal, files, told) -> None:
    assert told in refusal(legacy, files)
