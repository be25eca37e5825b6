"""cgroup v2 for real, in a guest kernel: most of these tests are others, run in there."""

import sys

from guest.guests import guest, pass_in_guest


def test_each_limit_holds() -> None:
    pass_in_guest("tests/supervisor/cgroup")


def test_whole_jobs_end_at_their_limits() -> None:
    pass_in_guest("tests/guest/inside/jobs.py")


def test_root_drops_and_runs_jobs() -> None:
    pass_in_guest("tests/guest/inside/jobs_of_root.py", "--user=0")


def test_without_a_delegated_subtree_nothing_runs_and_the_fix_is_told() -> None:
    pass_in_guest("tests/guest/inside/undelegated.py", "--no-delegate")


def test_each_way_to_a_subtree_is_found_or_refused() -> None:
    pass_in_guest("tests/guest/inside/subtrees.py", "--user=0")


def test_a_subtree_that_is_disturbed_harms_no_other_job() -> None:
    pass_in_guest("tests/guest/inside/disturbed.py", "--user=0")


def test_systemd_delegates_and_limits() -> None:
    pass_in_guest("tests/guest/inside/systemd.py", "--user=0", "--systemd")


def test_the_guest_passes_both_streams_and_the_status_on() -> None:
    program = (
        "import os, sys; os.write(1, bytes(range(256)) * 999); os.write(2, b'\\r\\n'); exit(7)"
    )
    ended = guest("--", sys.executable, "-c", program)
    assert (ended.returncode, ended.stderr) == (7, b"\r\n")
    assert ended.stdout == bytes(range(256)) * 999


def test_a_guest_without_end_is_ended() -> None:
    ended = guest("--timeout=5", "--", "sleep", "infinity")
    assert ended.returncode == 124
    assert b"no end within 5 seconds" in ended.stderr
