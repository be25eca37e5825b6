import subprocess

print(
    subprocess.run(["/bin/sh", "-c", "exec 3<>/dev/tcp/127.0.0.1/80; cat <&3"], check=True).stdout
)
