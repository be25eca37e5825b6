"""A kept filter is the one that was compiled, whoever has been at the cache; or it is not used."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.spec.errors import SpecError
from sandbox.spec.policy import ArgumentCheck, Policy, SyscallRule, load_policy
from sandbox.supervisor import filter_key, seccomp
from sandbox.supervisor.filter_cache import digest, load, store

KEY, OTHER = digest(b"key"), digest(b"other")
PROGRAM = bytes(range(64))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a cache, and nothing kept in memory."""
    directory = tmp_path / "home"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(directory))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    seccomp._filter.cache_clear()
    return directory


@pytest.fixture
def filters(home: Path) -> Path:
    """The directory of the cache, with PROGRAM under KEY."""
    store(KEY, PROGRAM)
    return home / ".cache/sandbox/filters"


def test_what_is_stored_is_loaded_and_readable_to_nobody_else(filters: Path) -> None:
    assert load(KEY) == PROGRAM
    assert load(OTHER) is None
    assert [path.name for path in filters.iterdir()] == [KEY.hex()]
    assert (filters / KEY.hex()).stat().st_mode & 0o777 == 0o600
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in (filters, *filters.parents[:2]))


def test_what_would_not_be_loaded_is_not_stored(filters: Path) -> None:
    store(OTHER, bytes(4096 * 8))  # the kernel takes no larger filter
    assert load(OTHER) == bytes(4096 * 8)
    store(KEY, bytes(4096 * 8 + 1))
    assert load(KEY) == PROGRAM, "what was there stays"


def test_a_cache_directory_of_the_environment_comes_first(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    store(KEY, PROGRAM)
    assert (cache / "sandbox/filters" / KEY.hex()).is_file()
    assert list(home.iterdir()) == []
    assert load(KEY) == PROGRAM


Damage = Callable[[Path], object]


def _swap_names(file: Path) -> None:
    store(OTHER, b"weaker")
    file.with_name(OTHER.hex()).rename(file)


def _link_elsewhere(file: Path) -> None:
    copy = file.parents[3] / "copy"
    file.rename(copy)
    file.symlink_to(copy)


def _link_directory(file: Path) -> None:
    elsewhere = file.parents[3] / "elsewhere"
    file.parent.rename(elsewhere)
    file.parent.symlink_to(elsewhere)


def _flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def _replace(file: Path, make: Callable[[Path], object]) -> None:
    file.unlink()
    make(file)


DAMAGES: dict[str, Damage] = {
    "a link in its place": _link_elsewhere,
    "a link to nothing": lambda file: _replace(file, lambda path: path.symlink_to("/nowhere")),
    "a link for its directory": _link_directory,
    "group may write": lambda file: file.chmod(0o620),
    "all may write": lambda file: file.chmod(0o602),
    "none may read": lambda file: file.chmod(0),
    "empty": lambda file: file.write_bytes(b""),
    "cut in the digest": lambda file: os.truncate(file, 16),
    "cut to the digest": lambda file: os.truncate(file, 32),
    "cut by a byte": lambda file: os.truncate(file, len(PROGRAM) + 31),
    "longer by a byte": lambda file: file.write_bytes(file.read_bytes() + b"\0"),
    "first bit": lambda file: _flip(file, 0),
    "a bit of the program": lambda file: _flip(file, 40),
    "last bit": lambda file: _flip(file, -1),
    "the content of another key": _swap_names,
    "garbage": lambda file: file.write_bytes(os.urandom(4096)),
    "zeros without end": lambda file: os.truncate(file, 1 << 40),
    "a FIFO": lambda file: _replace(file, os.mkfifo),
    "a directory": lambda file: _replace(file, os.mkdir),
    "directory writable to a group": lambda file: file.parent.chmod(0o770),
    "directory writable to all": lambda file: file.parent.chmod(0o1777),
    "directory above writable to a group": lambda file: file.parents[1].chmod(0o770),
    "cache directory writable to a group": lambda file: file.parents[2].chmod(0o775),
    "home writable to all": lambda file: file.parents[3].chmod(0o777),
    "directory without rights": lambda file: file.parent.chmod(0),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_nothing_odd_is_loaded_or_fails(damage: Damage, filters: Path) -> None:
    assert load(KEY) == PROGRAM, "control"
    damage(filters / KEY.hex())
    try:
        assert load(KEY) is None
        store(KEY, PROGRAM)
        assert load(KEY) in (None, PROGRAM)
    finally:
        if not filters.is_symlink():
            filters.chmod(0o700)  # for pytest to remove it


MENDED = [name for name in DAMAGES if "direct" not in name and "home" not in name]


@pytest.mark.parametrize("name", MENDED)
def test_a_file_that_was_refused_is_replaced(name: str, filters: Path) -> None:
    DAMAGES[name](filters / KEY.hex())
    store(KEY, PROGRAM)
    assert load(KEY) == PROGRAM
    assert not (filters / KEY.hex()).is_symlink()


@pytest.mark.root
def test_files_and_directories_of_another_owner_are_not_used(filters: Path) -> None:
    file = filters / KEY.hex()
    for path in (file, *file.parents[:4]):
        os.chown(path, 12345, -1)
        assert load(KEY) is None, path
        os.chown(path, 0, -1)
        assert load(KEY) == PROGRAM, "control"


def test_a_directory_of_another_owner_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("/", "/tmp"):  # of root: not ours, and open to all
        monkeypatch.setenv("XDG_CACHE_HOME", place)
        store(KEY, PROGRAM)
        assert load(KEY) is None
        assert not Path(place, "sandbox").exists()


@pytest.mark.parametrize("home", ["", ".", "/nowhere", "/dev/null", None])
def test_without_a_home_nothing_is_kept(
    home: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    if home is None:
        monkeypatch.delenv("HOME")
    else:
        monkeypatch.setenv("HOME", home)
    store(KEY, PROGRAM)
    assert load(KEY) is None
    assert not list(tmp_path.rglob(KEY.hex()))


def test_a_home_that_cannot_be_written_is_no_error(home: Path) -> None:
    home.chmod(0o500)
    store(KEY, PROGRAM)
    assert load(KEY) is None
    home.chmod(0o700)


def test_a_cache_does_not_grow_without_end(filters: Path) -> None:
    (filters / "garbage").mkdir()
    for count in range(1000):
        store(digest(b"%d" % count), PROGRAM)
    assert len(list(filters.iterdir())) < 300
    assert load(digest(b"999")) == PROGRAM


def compile_native(listener: bool = True) -> seccomp.Filter:
    seccomp._filter.cache_clear()
    return seccomp.compile_filter(load_policy("native"), listener=listener)


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were looked up since: none where a kept filter was taken."""
    names = []
    original = seccomp._number

    def number(arch: int, name: str) -> int | None:
        names.append(name)
        return original(arch, name)

    monkeypatch.setattr(seccomp, "_number", number)
    return names


def test_a_filter_is_compiled_once(compilations: list[str]) -> None:
    filters = {listener: compile_native(listener) for listener in (True, False)}
    own = seccomp.init_filter(), seccomp.collector_filter()
    compilations.clear()
    for listener in (True, False):
        assert compile_native(listener) == filters[listener]
        assert filters[listener].notifies == listener
    assert (seccomp.init_filter(), seccomp.collector_filter()) == own
    assert compilations == []


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_whatever_became_of_the_cache_the_filter_is_right(damage: Damage, home: Path) -> None:
    expected = compile_native()
    (file,) = (home / ".cache/sandbox/filters").iterdir()
    damage(file)
    try:
        assert compile_native() == expected
    finally:
        if not file.parent.is_symlink():
            file.parent.chmod(0o700)


IN_ANOTHER_PROCESS = """
import sys
from sandbox.spec.policy import load_policy
from sandbox.supervisor import seccomp
program = seccomp.compile_filter(load_policy("native"), listener=True).program
print(*sorted({"pyseccomp", "ctypes", "difflib", "hashlib", "sandbox.supervisor.compiler"}
              & sys.modules.keys()))
print((program + seccomp.init_filter() + seccomp.collector_filter()).hex())
"""


def in_another_process() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", IN_ANOTHER_PROCESS], stdout=subprocess.PIPE, text=True
    )


def test_a_kept_filter_loads_nothing_that_compiles() -> None:
    outputs = [in_another_process().communicate()[0].splitlines() for _ in range(2)]
    (first_modules, first), (modules, second) = outputs
    assert "pyseccomp" in first_modules and "sandbox.supervisor.compiler" in first_modules
    assert modules == ""
    assert first == second


def test_processes_that_compile_at_once_agree(home: Path) -> None:
    processes = [in_another_process() for _ in range(4)]
    outputs = [process.communicate()[0].splitlines()[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert len(set(outputs)) == 1
    names = [path.name for path in (home / ".cache/sandbox/filters").iterdir()]
    assert sorted(map(len, names)) == [64] * 3, "three filters, and no draft is left"


def test_a_store_that_fails_leaves_nothing(filters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    store(OTHER, PROGRAM)
    assert [path.name for path in filters.iterdir()] == [KEY.hex()]


READ = SyscallRule(("read",), "allow")


def key(rules: tuple[SyscallRule, ...] = (READ,), default: str = "EPERM") -> bytes | None:
    return filter_key.filter_key(rules, default, False, seccomp.ARCH)


def test_any_edit_of_a_policy_is_another_key_and_its_reasons_are_none() -> None:
    check = ArgumentCheck(0, 1, 1)
    keys = [
        key(),
        key(default="ENOSYS"),
        key((READ, READ)),
        key((SyscallRule(("write",), "allow"),)),
        key((SyscallRule(("read", "write"), "allow"),)),
        key((SyscallRule(("read",), "kill"),)),
        *(
            key((SyscallRule(("read",), "allow", checks),))
            for checks in (
                (check,),
                (check, check),
                (check._replace(index=1),),
                (check._replace(mask=3),),
                (check._replace(value=0),),
                (check._replace(negated=True),),
            )
        ),
        filter_key.filter_key((READ,), "EPERM", True, seccomp.ARCH),
        filter_key.filter_key((READ,), "EPERM", False, 0),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key((READ._replace(why="a reason"),)) == key()


def test_another_libseccomp_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = key()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    assert key() == plain, "control: there is none"
    library = tmp_path / "libseccomp.so.2"
    library.write_bytes(b"one")
    keys = [plain, key()]
    library.write_bytes(b"three")
    keys.append(key())
    os.utime(library, ns=(0, 0))
    keys.append(key())
    library.rename(tmp_path / "libseccomp.so.2.9.9")
    library.symlink_to("libseccomp.so.2.9.9")
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_another_compiler_is_another_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = key()
    room = Path(filter_key.__file__).parent
    for name in filter_key._SOURCES:
        shutil.copy(room / name, tmp_path)
    monkeypatch.setattr(filter_key, "__file__", str(tmp_path / "filter_key.py"))
    keys = {plain}
    for name in filter_key._SOURCES:
        with (tmp_path / name).open("a") as file:
            file.write("# edited\n")
        filter_key._compiler.cache_clear()
        keys.add(key())
    (tmp_path / "bpf.py").unlink()
    filter_key._compiler.cache_clear()
    assert key() is None, "without a source nobody can tell"
    monkeypatch.undo()
    filter_key._compiler.cache_clear()
    assert len(keys) == len(filter_key._SOURCES) + 1
    assert key() == plain


def test_all_that_compiles_is_in_the_key() -> None:
    """What is loaded to compile a filter, and is not for a kept one, decides what comes out."""
    code = IN_ANOTHER_PROCESS.replace(
        '{"pyseccomp", "ctypes", "difflib", "hashlib", "sandbox.supervisor.compiler"}',
        '{name for name in sys.modules if name.startswith("sandbox.supervisor.")}',
    )
    outputs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
        for _ in range(2)
    ]
    compiling, kept = (set(output.splitlines()[0].split()) for output in outputs)
    added = {f"{name.rsplit('.', 1)[1]}.py" for name in compiling - kept}
    assert added | {"seccomp.py"} == set(filter_key._SOURCES)


def test_what_an_unseen_library_compiles_is_not_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filter_key, "_DIRECTORIES", (str(home),))
    (home / "libseccomp.so.2").write_bytes(b"not the one that is loaded")
    assert compile_native().program
    assert not (home / ".cache").exists()


def test_a_policy_that_is_refused_is_refused_again(home: Path) -> None:
    rules = (SyscallRule(seccomp.REQUIRED, "allow"), SyscallRule(("frok",), "EPERM"))
    for _ in range(2):
        with pytest.raises(SpecError, match="did you mean fork"):
            seccomp.compile_filter(Policy("t", "t", rules, "EPERM", {}, {}), listener=False)
    assert not (home / ".cache").exists()
