#!/bin/busybox sh
# The guest's pid 1, started by ./guest as EXCHANGE/init. First stage: the root file system, then
# this file once more inside it: user, cgroups, the command, the end.
# EXCHANGE is the one host directory that is written: settings and command in, status out.
# shellcheck shell=busybox disable=SC1091,SC2016,SC2154
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

fail() {
    echo "guest: $*" # pid 1's stdout is the console, which ./guest shows when no status comes
    /bin/busybox poweroff -f
}

# The whole of the host's files, read-only, under a layer in the guest's memory.
build_root() {
    /bin/busybox mount -t proc proc /proc
    /bin/busybox insmod "/usr/lib/uml/modules/$(/bin/busybox uname -r)/kernel/fs/overlayfs/overlay.ko"
    /bin/busybox mount -t tmpfs -o size=90% tmpfs /mnt || fail "no throw-away layer"
    /bin/busybox mkdir /mnt/lower /mnt/upper /mnt/work /mnt/root
    /bin/busybox mount -t hostfs -o ro,/ none /mnt/lower || fail "no host files"
    /bin/busybox mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work \
        root /mnt/root || fail "no overlay"
    cd /mnt/root || fail "no root"
    /bin/busybox mount -t proc proc proc
    /bin/busybox mount -t sysfs sys sys
    /bin/busybox mount -t devtmpfs dev dev
    /bin/busybox mkdir -p dev/pts dev/shm
    /bin/busybox mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
    /bin/busybox mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs dev/shm
    /bin/busybox mount -t tmpfs -o nosuid,nodev,mode=755 tmpfs run
    /bin/busybox ln -sf pts/ptmx dev/ptmx
    /bin/busybox ln -s /proc/self/fd dev/fd
    /bin/busybox mount -t cgroup2 -o nsdelegate cgroup2 sys/fs/cgroup || fail "no cgroup2"
    /bin/busybox mkdir run/exchange
    /bin/busybox mount -t hostfs -o "${0%/*}" none run/exchange || fail "no exchange"
    /bin/busybox mount --move . /
    exec /bin/busybox chroot . /bin/busybox sh /run/exchange/init inside
}

make_user() {
    grep -q "^$NAME:" /etc/passwd ||
        echo "$NAME:x:$USER_ID:$GROUP_ID::$HOME_DIRECTORY:/bin/sh" >>/etc/passwd
    grep -q "^[^:]*:[^:]*:$GROUP_ID:" /etc/group || echo "$NAME:x:$GROUP_ID:" >>/etc/group
    if [ "$USER_ID" != 0 ]; then
        echo "$NAME:100000:65536" | tee /etc/subuid >/etc/subgid
    fi
    mkdir -p "$HOME_DIRECTORY" "/run/user/$USER_ID"
    chown "$USER_ID:$GROUP_ID" "$HOME_DIRECTORY" "/run/user/$USER_ID"
    chmod 700 "/run/user/$USER_ID"
}

# As systemd makes them: every controller enabled down to the leaf, and from user@UID.service down
# the directories and the kernel's list of files belong to the user (cgroups(7), "Delegation").
make_cgroups() {
    cd /sys/fs/cgroup || fail "no cgroup2"
    service=user.slice/user-$USER_ID.slice/user@$USER_ID.service
    leaf=$service/app.slice/guest.scope
    mkdir -p "$leaf"
    for directory in . user.slice "${service%/*}" "$service" "$service/app.slice"; do
        sed 's/[^ ]*/+&/g' cgroup.controllers >"$directory/cgroup.subtree_control"
    done
    [ "$DELEGATE" ] || return
    for directory in "$service" "$service/app.slice" "$leaf"; do
        chown "$USER_ID:$GROUP_ID" "$directory"
        while read -r file; do
            [ ! -e "$directory/$file" ] || chown "$USER_ID:$GROUP_ID" "$directory/$file"
        done </sys/kernel/cgroup/delegate
    done
}

# The command writes to pipes, as it would on the host; tty1 and tty2 are the way to ./guest.
run_command() {
    mkfifo /run/stdout /run/stderr
    stty -F /dev/tty1 raw -echo
    stty -F /dev/tty2 raw -echo
    cat /run/stdout >/dev/tty1 &
    stdout=$!
    cat /run/stderr >/dev/tty2 &
    stderr=$!
    (
        echo 0 >"/sys/fs/cgroup/$leaf/cgroup.procs"
        # The host's setpriv: busybox has no --reuid.
        exec setsid /usr/bin/setpriv --reuid="$USER_ID" --regid="$GROUP_ID" --init-groups \
            /run/exchange/command </dev/null >/run/stdout 2>/run/stderr
    ) &
    wait $!
    status=$?
    echo 1 >/sys/fs/cgroup/user.slice/cgroup.kill # what is left would hold the pipes open
    wait $stdout $stderr
    echo $status >/run/exchange/status
}

[ "$1" = inside ] || build_root
. /run/exchange/settings
/bin/ip link set lo up
case $DIRECTORY in
/tmp/*) ;; # what the command needs is in there
*) mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /tmp ;;
esac
make_user
make_cgroups
run_command
/bin/busybox poweroff -f
