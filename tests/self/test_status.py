"""What the kernel says of the processes of a server that serves, and of their threads."""

import os
import signal
from pathlib import Path

from faults.test_kills import assert_all_end, descendants, victims
from server.daemon import PATIENCE_SECONDS, Daemon, command

from sandbox.spec.errors import RefusedError

LOOKOUT_RIGHTS = 1 << 2 | 1 << 19  # CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE


def threads(pid: int) -> list[dict[str, str]]:
    found = []
    for path in Path(f"/proc/{pid}/task").iterdir():
        lines = path.joinpath("status").read_text().splitlines()
        fields = (line.partition(":") for line in lines)
        found.append({name: value.strip() for name, _, value in fields})
    return found


def namespace(pid: int, name: str) -> str:
    return str(Path(f"/proc/{pid}/ns/{name}").readlink())


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def start(tmp_path: Path) -> Daemon:
    daemon = Daemon(tmp_path)
    daemon.start()
    return daemon


def test_every_process_of_a_server_is_behind_its_walls(tmp_path: Path) -> None:
    daemon = start(tmp_path)
    try:
        with daemon.client() as client:
            client.wait_until_running(client.submit(command("sleep 1000"))["job"])
            pids = {"supervisor": daemon.pid, **victims(daemon.pid)}
            seen = {name: threads(pid) for name, pid in pids.items()}
            assert len(seen["supervisor"]) > 1, "the journal has threads"
            for name, found in seen.items():
                for thread in found:
                    assert thread["NoNewPrivs"] == "1", name
                    assert thread["Seccomp"] == ("0" if name in ("keeper", "zygote") else "2"), name
            assert {int(one["CapEff"], 16) for one in seen["supervisor"] + seen["keeper"]} == {0}
            (lookout,) = seen["lookout"]
            assert int(lookout["CapEff"], 16) == int(lookout["CapPrm"], 16) == LOOKOUT_RIGHTS
            for name in ("zygote", "lookout"):
                assert namespace(pids[name], "user") != namespace(os.getpid(), "user")
            for name in ("net", "ipc", "mnt"):
                assert namespace(pids["zygote"], name) != namespace(os.getpid(), name)
            assert {oom_score(pid) for pid in descendants(pids["zygote"])} == {500}
            assert {oom_score(pids[name]) for name in ("supervisor", "keeper", "lookout")} == {
                oom_score(os.getpid())
            }
    finally:
        daemon.kill()


def test_no_process_of_ours_has_a_secret_in_its_environment(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    os.environ["A_SECRET_OF_THE_CALLER"] = "secret"
    try:
        daemon.start()
        with daemon.client() as client:
            client.wait_until_running(client.submit(command("sleep 1000"))["job"])
        found = victims(daemon.pid)
        environments = {
            name: Path(f"/proc/{pid}/environ").read_bytes() for name, pid in found.items()
            if name in ("keeper", "zygote")
        }  # fmt: skip
        assert set(environments.values()) == {b"LC_ALL=C.UTF-8\0"}
        own = Path(f"/proc/{daemon.pid}/environ").read_bytes()
        assert b"A_SECRET_OF_THE_CALLER=secret" in own, "control: it has it"
    finally:
        del os.environ["A_SECRET_OF_THE_CALLER"]
        daemon.kill()


def test_a_server_without_its_keeper_ends_what_runs_and_fails(tmp_path: Path) -> None:
    daemon = start(tmp_path)
    try:
        with daemon.client() as client:
            job = client.submit(command("read x; echo $x"), stdin_open=True)["job"]
            client.wait_until_running(job)
            pids = list(descendants(daemon.pid))
            os.kill(victims(daemon.pid)["keeper"], signal.SIGKILL)
            daemon.wait_for("keeper_died")
            try:
                client.submit(command("true"))
                raise AssertionError("it was accepted")
            except RefusedError as error:
                assert "about to end" in str(error)
            client.call("job.write", job=job, data=b"still here\n", end=True)
            assert client.wait(job)["result"]["verdict"] == "exited"
            assert client.read(job) == b"still here\n"
        assert daemon.process.wait(PATIENCE_SECONDS) == 125
        assert_all_end(pids)
    finally:
        daemon.kill()
