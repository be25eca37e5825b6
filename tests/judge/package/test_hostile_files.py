"""What a package may hold to read another's files, to block, or to fill memory: refused."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.judge.package import PackageError, files, read_problem, repository_of
from sandbox.judge.package.document import parse_document


def _link_out(path: Path) -> None:
    path.symlink_to("/etc/passwd")


def _link_up(path: Path) -> None:
    path.symlink_to("../../..")


def _link_round(path: Path) -> None:
    path.symlink_to(path.name)


def _link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def _link_to_parent(path: Path) -> None:
    path.symlink_to("..")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(path))  # a name of at most 107 bytes: unix(7)


_HOSTILE = [
    (_link_out, "is a link that leads out of the package"),
    (_link_up, "is a link that leads out of the package"),
    (_link_round, "[Ll]oop|Too many levels"),
    (_link_to_nothing, "No such file or directory"),
    (_link_to_parent, "leads back to a directory above it"),
    (_fifo, "is a FIFO; a package holds files and directories only"),
    (_socket, "is a socket; a package holds files and directories only"),
]


@pytest.mark.parametrize(("make", "told"), _HOSTILE, ids=[make.__name__ for make, _ in _HOSTILE])
@pytest.mark.parametrize("where", ["data/secret/2.in", "submissions/accepted/x.py"])
def test_what_is_no_file_of_the_package_is_refused(legacy, monkeypatch, make, told, where) -> None:
    package = legacy({}).directory
    monkeypatch.chdir(package)
    make(package / where)
    with pytest.raises(PackageError, match=told) as caught:
        read_problem(package)
    assert caught.value.field.startswith(where)


def test_a_problem_yaml_that_is_a_link_out_is_refused(legacy) -> None:
    package = legacy({}).directory
    (package / "problem.yaml").unlink()
    (package / "problem.yaml").symlink_to("/etc/hostname")
    with pytest.raises(PackageError, match="leads out of the package"):
        read_problem(package)


def test_a_link_within_the_package_is_what_it_leads_to(legacy) -> None:
    package = legacy({}).directory
    (package / "submissions/wrong_answer").mkdir()
    (package / "submissions/wrong_answer/same.py").symlink_to("../accepted/sum.py")
    ((_, path),) = read_problem(package).submissions[1].files
    assert path == package / "submissions/accepted/sum.py"


def test_a_link_out_may_lead_within_the_repository_that_the_package_came_with(
    legacy, tmp_path, monkeypatch
) -> None:
    package = legacy({}).directory
    repository = package.parent
    (package / "include/default").mkdir(parents=True)
    link = package / "include/default/common.h"
    link.symlink_to("../../../common.h")
    (repository / "common.h").write_text("")
    assert repository_of(package) is None
    with pytest.raises(PackageError, match="leads out of the package"):
        read_problem(package, repository_of(package))
    (repository / ".git").mkdir()
    assert repository_of(package) == repository
    ((name, path),) = read_problem(package, repository_of(package)).includes["default"]
    assert (name, path) == ("common.h", repository / "common.h")
    for outside in ("/etc/passwd", "../../../.git"):
        link.unlink()
        link.symlink_to(outside)
        with pytest.raises(PackageError, match="leads out of the package"):
            read_problem(package, repository_of(package))
    monkeypatch.setenv("HOME", str(repository))
    assert repository_of(package) is None


def test_a_dead_link_to_what_nobody_needs_is_no_matter(legacy) -> None:
    package = legacy({}).directory
    (package / "problem.pdf").symlink_to("statement.pdf")
    (package / "attachments").symlink_to("/")
    assert read_problem(package).name == "Sums"


@pytest.mark.parametrize("name", [b"\xff.in", b"a\nb.in", "‮.in".encode()])
def test_names_that_cannot_be_shown_are_refused(legacy, name) -> None:
    package = legacy({}).directory
    Path(os.fsdecode(os.fsencode(package / "data/secret") + b"/" + name)).touch()
    with pytest.raises(PackageError) as caught:
        read_problem(package)
    assert "its name" in str(caught.value) and str(caught.value).isprintable()


def test_hidden_files_are_as_if_they_were_not_there(legacy) -> None:
    package = legacy({}).directory
    os.mkfifo(package / "data/secret/.fifo")
    (package / "data/.git").symlink_to("/")
    assert read_problem(package).notes == ()


@pytest.mark.parametrize(
    ("bound", "most", "told"),
    [
        ("_MOST_ENTRIES", 10, "over 10 files in the package"),
        ("_MOST_DEPTH", 1, "is over 1 directories deep"),
        ("_MOST_FILE_BYTES", 1, "is over 0 MiB"),
        ("_MOST_BYTES", 10, "the package is over 0 GiB"),
    ],
)
def test_size_count_and_depth_are_bounded(legacy, monkeypatch, bound, most, told) -> None:
    package = legacy({}).directory
    monkeypatch.setattr(files, bound, most)
    with pytest.raises(PackageError, match=told):
        read_problem(package)


@pytest.mark.parametrize("make", [Path.touch, _link_round, lambda path: None])
def test_what_is_no_directory_is_no_package(tmp_path, make) -> None:
    make(tmp_path / "x")
    with pytest.raises(PackageError):
        read_problem(tmp_path / "x")


_YAML = st.text("ab:-[]{}&*!|>%@`'\"# \n\t0159.~?,<=\0é\ud7ff", max_size=60)


@settings(max_examples=300, deadline=None)
@given(_YAML | st.text(max_size=30))
def test_any_text_is_a_document_or_one_line_that_says_why_not(text) -> None:
    try:
        parse_document(text, "f.yaml")
    except PackageError as error:
        assert error.field == "f.yaml" and str(error).isprintable()


def test_aliases_are_refused_before_they_grow() -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    with pytest.raises(PackageError, match="line 2: an alias"):
        parse_document("\n".join(lines), "f.yaml")
