"""Compilers and what they make, each under the tightest filter that fits, without a sandbox."""

import shutil
from pathlib import Path

import pytest
from policies.filtered import run_program

C = r"""
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static void *square(void *p) { long n = (long)p; return (void *)(n * n); }
int main(void) {
    pthread_t threads[4]; void *result; long sum = 0, n;
    for (long i = 0; i < 4; i++) if (pthread_create(&threads[i], 0, square, (void *)i)) return 1;
    for (int i = 0; i < 4; i++) { pthread_join(threads[i], &result); sum += (long)result; }
    char *block = malloc(10 << 20); block = realloc(block, 20 << 20); free(block);
    FILE *file = fopen("scratch", "w"); if (!file) return 2;
    fputs("x", file); fclose(file); if (remove("scratch")) return 3;
    while (scanf("%ld", &n) == 1) sum += n;
    printf("%ld\n", sum);
}
"""
STATIC_C = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(void) {
    long sum = 14, n;
    srand(time(0)); char *block = malloc(10 << 20); block = realloc(block, 20 << 20); free(block);
    while (scanf("%ld", &n) == 1) sum += n;
    printf("%ld\n", sum);
}
"""
CXX = r"""
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <thread>
#include <vector>
int main() {
    std::vector<std::thread> threads; long parts[4], sum = 0, n;
    for (long i = 0; i < 4; i++) threads.emplace_back([i, &parts] {
        std::this_thread::sleep_for(std::chrono::milliseconds(1)); parts[i] = i * i; });
    for (auto &thread : threads) thread.join();
    for (long part : parts) sum += part;
    std::random_device{}(); std::ofstream("scratch") << 1; std::filesystem::remove("scratch");
    try { throw 1; } catch (int) { while (std::cin >> n) sum += n; }
    std::cout << sum << std::endl;
}
"""
RUST = r"""
use std::{collections::HashMap, fs, io::Read, thread};
fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let threads: Vec<_> = (0..4i64).map(|i| thread::spawn(move || i * i)).collect();
    let parts: HashMap<i64, i64> =
        threads.into_iter().map(|t| t.join().unwrap()).map(|n| (n, n)).collect();
    fs::write("scratch", "x").unwrap();
    fs::remove_file("scratch").unwrap();
    let read: i64 = text.split_whitespace().map(|n| n.parse::<i64>().unwrap()).sum();
    println!("{}", parts.values().sum::<i64>() + read);
}
"""
GO = r"""
package main

import ("fmt"; "os"; "sync"; "time")

func main() {
    var group sync.WaitGroup
    var lock sync.Mutex
    sum := 0
    for i := 0; i < 4; i++ {
        group.Add(1)
        go func(i int) {
            defer group.Done()
            time.Sleep(time.Millisecond)
            lock.Lock(); sum += i * i; lock.Unlock()
        }(i)
    }
    group.Wait()
    if err := os.WriteFile("scratch", []byte("x"), 0600); err != nil { panic(err) }
    if err := os.Remove("scratch"); err != nil { panic(err) }
    for n := 0; ; sum += n { if _, err := fmt.Scan(&n); err != nil { break } }
    fmt.Println(sum)
}
"""
JAVA = r"""
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
public class Main {
    public static void main(String[] args) throws Exception {
        var pool = Executors.newFixedThreadPool(4);
        var parts = new ArrayList<Future<Long>>();
        for (long i = 0; i < 4; i++) { long n = i; parts.add(pool.submit(() -> n * n)); }
        long sum = 0;
        for (var part : parts) sum += part.get();
        pool.shutdown();
        Files.delete(Files.writeString(Files.createTempFile("a", "b"), "x"));
        java.nio.channels.Selector.open().close();
        try (var file = java.nio.channels.FileChannel.open(
                Path.of("locked"), StandardOpenOption.CREATE, StandardOpenOption.WRITE)) {
            file.lock().release();
        }
        System.gc();
        var input = new Scanner(System.in);
        while (input.hasNextLong()) sum += input.nextLong();
        System.out.println(sum);
    }
}
"""
NODE = r"""
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');
if (!isMainThread) parentPort.postMessage(workerData ** 2);
else (async () => {
    const fs = require('fs'), crypto = require('crypto'), net = require('net');
    const part = n => new Promise((done, failed) =>
        new Worker(__filename, { workerData: n }).on('message', done).on('error', failed));
    let sum = (await Promise.all([0, 1, 2, 3].map(part))).reduce((a, b) => a + b);
    await fs.promises.writeFile('scratch', 'x'); await fs.promises.unlink('scratch');
    await new Promise(done => crypto.pbkdf2('a', 'b', 10, 32, 'sha256', done));
    await new Promise(done => { const server = net.createServer(c => c.end());
        server.listen('socket', () =>
            net.connect('socket').resume().on('close', () => server.close(done))); });
    for (const n of fs.readFileSync(0, 'utf8').split(/\s+/)) sum += Number(n);
    console.log(sum);
})();
"""
PYTHON = r"""
import asyncio, ctypes, hashlib, mmap, os, shutil, signal, sqlite3, sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(4) as pool:
    total = sum(pool.map(lambda n: n * n, range(4)))
with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "a")
    with open(path, "w") as file:
        file.write("x")
    shutil.copy2(path, path + "b"); os.symlink("a", path + "c"); os.rename(path + "b", path + "d")
    database = sqlite3.connect(path + "e")
    database.execute("create table t (n)"); database.commit()
async def wait():
    await asyncio.sleep(0.001)
    return 0
total += asyncio.run(wait()) + ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 0)()
mmap.mmap(-1, 4096).close()
signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.001)
signal.pause()
try:
    os.fork()
except PermissionError:
    print(total + sum(map(int, sys.stdin.read().split())))
"""
SHELL = r"""
set -e
seq 1 100 | sort -rn | uniq | head -3 >list
cp -p list copy; mv copy moved; ln -s moved link; chmod 600 moved; mkdir directory
tar czf all.tgz list moved link; tar xzf all.tgz -C directory; grep -r 100 directory >/dev/null
find . -name list -exec cat {} + | awk '{ s += $1 } END { print s }' >sum
mkfifo pipe; cat list >pipe & cat pipe >/dev/null; wait
sed -i s/1/2/ sum; diff list moved; xargs -P2 -n1 echo <list >/dev/null
nice -n 1 true; timeout 5 true; dd if=/dev/zero of=zeros bs=1k count=4 2>/dev/null
printf 'all:\n\t@echo made\n' >Makefile; make -j2 >/dev/null; perl -e 'system("true") && die'
echo $((14 + $(tr ' ' '\n' | awk '{ s += $1 } END { print s }')))
"""
CHILDREN = r"""
import multiprocessing, os, pty, subprocess, sys
def square(n): return n * n
if __name__ == "__main__":
    with multiprocessing.Pool(2) as pool:
        total = sum(pool.map(square, range(4)))
    assert subprocess.check_output("echo a | cat", shell=True) == b"a\n"
    pid, master = pty.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    print(total + sum(map(int, sys.stdin.read().split())))
"""

NUMBERS = b"1 2 3\n40"  # and each program adds the squares of 0 to 3
SUM = b"60\n"

# file, source, how to make it (under `compile`), how to run it, and under which policy
PROGRAMS = [
    ("a.c", STATIC_C, ["gcc", "-O2", "-static", "-o", "a", "a.c"], ["./a"], "strict"),
    ("a.c", C, ["gcc", "-O2", "-pthread", "-o", "a", "a.c"], ["./a"], "native"),
    ("a.c", C, ["gcc", "-static", "-pthread", "-o", "a", "a.c"], ["./a"], "native"),
    ("a.c", C, ["gcc", "-fsanitize=address,undefined", "-o", "a", "a.c"], ["./a"], "native"),
    ("a.cc", CXX, ["g++", "-flto=2", "-pthread", "-o", "a", "a.cc"], ["./a"], "native"),
    ("a.rs", RUST, ["/usr/bin/rustc", "-O", "a.rs"], ["./a"], "native"),
    ("a.go", GO, ["go", "build", "a.go"], ["./a"], "native"),
    ("Main.java", JAVA, ["javac", "Main.java"], ["java", "-Xmx128m", "Main"], "jvm"),
    ("Main.java", JAVA, ["javac", "Main.java"], ["java", "-XX:+UseG1GC", "Main"], "jvm"),
    ("a.js", NODE, None, ["node", "a.js"], "node"),
    ("a.py", PYTHON, None, ["/usr/bin/python3", "a.py"], "python"),
    ("a.sh", SHELL, None, ["sh", "a.sh"], "shell"),
    ("a.sh", SHELL, None, ["bash", "a.sh"], "shell"),
    ("a.sh", SHELL, None, ["bash", "a.sh"], "default"),
    ("a.py", CHILDREN, None, ["/usr/bin/python3", "a.py"], "default"),
    ("a.js", NODE, None, ["node", "a.js"], "default"),
    ("Main.java", JAVA, None, ["java", "-Xmx128m", "Main.java"], "default"),
    ("a.go", GO, None, ["go", "run", "a.go"], "default"),
    ("a.c", C, None, ["sh", "-c", "gcc -pthread -o a a.c && ./a"], "default"),
]


@pytest.mark.parametrize(
    ("file", "source", "make", "argv", "policy"),
    PROGRAMS,
    ids=[f"{policy}: {' '.join(make or argv)}" for _, _, make, argv, policy in PROGRAMS],
)
def test_it_compiles_and_runs(
    tmp_path: Path, file: str, source: str, make: list[str] | None, argv: list[str], policy: str
) -> None:
    for tool in ([make[0]] if make else []) + ([argv[0]] if argv[0] != "./a" else []):
        if shutil.which(tool, path="/usr/bin:/bin") is None:
            pytest.skip(f"no {tool} on this host")
    (tmp_path / file).write_text(source)
    if make:
        made = run_program("compile", make, cwd=tmp_path)
        assert (made.returncode, made.stderr) == (0, b"")
    done = run_program(policy, argv, cwd=tmp_path, stdin=NUMBERS)
    assert (done.stdout, done.returncode) == (SUM, 0), done.stderr.decode()


def test_a_dynamic_program_ends_at_its_loader_under_strict(tmp_path: Path) -> None:
    assert run_program(None, ["true"], cwd=tmp_path).returncode == 0
    done = run_program("strict", ["true"], cwd=tmp_path)
    assert done.returncode == 127
    assert b"Permission denied" in done.stderr
