#!/bin/sh
# Reads whatever may hold a secret of the host. Right verdict: exited with 1, and nothing is read.

found=no
for path in \
    /etc/shadow /etc/gshadow /etc/machine-id /etc/ssh/* /etc/ssl/private/* \
    /root/.bash_history /root/.ssh/* /home/*/.ssh/* /var/log/* /run/secrets/* \
    /proc/1/root/etc/shadow /proc/1/environ /proc/1/cwd/* /proc/1/fd/* \
    /proc/kcore /proc/kmsg /dev/mem /dev/kmsg /sys/kernel/notes
do
    # Masked files open and are empty.
    if head -c 1 "$path" 2>/dev/null | grep -q ''; then
        echo "read: $path"
        found=yes
    fi
done
[ $found = yes ]
