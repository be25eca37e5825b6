#!/bin/busybox sh
# The guest's pid 1, EXCHANGE/init: run by user-mode Linux itself, or by QEMU's initramfs. First
# stage: the root file system, then this file once more inside it: user, cgroups, the command, the
# end. With systemd, that is pid 1 in between, and runs the last stage as a service.
# EXCHANGE is the one host directory that is written: settings and command in, status out.
# shellcheck shell=busybox disable=SC1091,SC2016,SC2154
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

fail() {
    echo "guest: $*" # pid 1's stdout is the console, which ./guest shows when no status comes
    /bin/busybox poweroff -f
}

# The whole of the host's files, read-only, under a layer in the guest's memory.
build_root() {
    if [ "$KERNEL" = uml ]; then
        /bin/busybox mount -t proc proc /proc
        /bin/busybox insmod \
            "/usr/lib/uml/modules/$(/bin/busybox uname -r)/kernel/fs/overlayfs/overlay.ko"
    fi
    /bin/busybox mount -t tmpfs -o size=90% tmpfs /mnt || fail "no throw-away layer"
    /bin/busybox mkdir /mnt/lower /mnt/upper /mnt/work /mnt/root
    case $KERNEL in
    uml) /bin/busybox mount -t hostfs -o ro,/ none /mnt/lower ;;
    *) # nobody changes the host's files under us, so what was read may be kept
        options=trans=virtio,version=9p2000.L,msize=262144,access=any,cache=loose
        /bin/busybox mount -t 9p -o ro,$options root /mnt/lower
        ;;
    esac || fail "no host files"
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
    for number in 0:stdin 1:stdout 2:stderr; do
        /bin/busybox ln -s "/proc/self/fd/${number%:*}" "dev/${number#*:}"
    done
    # systemd mounts what its version or the kernel's arguments ask for.
    [ "$SYSTEMD" ] || /bin/busybox mount -t cgroup2 -o nsdelegate cgroup2 sys/fs/cgroup ||
        fail "no cgroup2"
    /bin/busybox mkdir run/exchange
    case $KERNEL in
    uml) /bin/busybox mount -t hostfs -o "${0%/*}" none run/exchange ;;
    *) /bin/busybox mount --bind "${0%/*}" run/exchange ;;
    esac || fail "no exchange"
    /bin/busybox mount --move . /
    exec /bin/busybox chroot . /bin/busybox sh /run/exchange/init inside
}

make_user() {
    grep -q "^$NAME:" /etc/passwd ||
        echo "$NAME:x:$USER_ID:$GROUP_ID::$HOME_DIRECTORY:/bin/sh" >>/etc/passwd
    grep -q "^[^:]*:[^:]*:$GROUP_ID:" /etc/group || echo "$NAME:x:$GROUP_ID:" >>/etc/group
    # The host's is not to be read, and PAM asks for it before a user's manager starts.
    rm -f /etc/shadow
    sed 's/:.*/:*:1::::::/' /etc/passwd >/etc/shadow
    if [ "$USER_ID" != 0 ]; then
        echo "$NAME:100000:65536" | tee /etc/subuid >/etc/subgid
    fi
    mkdir -p "$HOME_DIRECTORY" "/run/user/$USER_ID"
    chown "$USER_ID:$GROUP_ID" "$HOME_DIRECTORY" "/run/user/$USER_ID"
    chmod 700 "/run/user/$USER_ID"
}

# As a distribution has them: modules on demand, and two devices that udev opens to everybody.
make_devices() {
    [ "$KERNEL" = uml ] && modules=/usr/lib/uml/modules || modules=$KERNEL/lib/modules
    mkdir -p /lib/modules
    ln -sfn "$modules/$(uname -r)" "/lib/modules/$(uname -r)"
    [ -e /sbin/modprobe ] || ln -s /bin/busybox /sbin/modprobe
    for module in fuse tun; do
        /sbin/modprobe $module 2>/dev/null
    done
    for device in fuse net/tun; do
        [ ! -e /dev/$device ] || chmod 666 /dev/$device
    done
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

# The host's systemd with D-Bus and the user's manager, and none of the host's own services.
become_systemd() {
    units=/etc/systemd/system
    rm -rf $units/*.wants /lib/systemd/system/*.target.wants /.dockerenv
    # It is logind's to make; there is none.
    printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n' \
        >$units/user-runtime-dir@.service
    mkdir -p $units/user@.service.d
    printf '[Service]\nEnvironment=XDG_RUNTIME_DIR=/run/user/%%i\n' \
        >$units/user@.service.d/guest.conf
    user=
    [ "$USER_ID" = 0 ] || user=user@$USER_ID.service
    cat >$units/guest.service <<UNIT
[Unit]
DefaultDependencies=no
Wants=dbus.service $user
After=dbus.service $user
[Service]
ExecStart=/bin/busybox sh /run/exchange/init command
UNIT
    exec /lib/systemd/systemd --unit=guest.service
}

# The host's setpriv: busybox has no --reuid.
run_as_user() {
    exec setsid /usr/bin/setpriv --reuid="$USER_ID" --regid="$GROUP_ID" --init-groups "$@"
}

# Without systemd: in the leaf. With it: in a unit of the user's manager, or of the system's for
# root, to which nothing is delegated beyond what the manager has.
start_command() {
    if [ ! "$SYSTEMD" ]; then
        echo 0 >"/sys/fs/cgroup/$leaf/cgroup.procs"
        run_as_user /run/exchange/command
    elif [ "$USER_ID" = 0 ]; then
        exec systemd-run --pipe --wait --quiet --collect /run/exchange/command
    fi
    export XDG_RUNTIME_DIR="/run/user/$USER_ID"
    run_as_user systemd-run --user --pipe --wait --quiet --collect /run/exchange/command
}

# The command writes to pipes, as it would on the host; two devices are the way to ./guest.
run_command() {
    mkfifo -m 666 /run/stdout /run/stderr
    if [ "$KERNEL" = uml ]; then
        device=/dev/tty
        stty -F /dev/tty1 raw -echo
        stty -F /dev/tty2 raw -echo
    else
        device=$(echo /dev/vport*p1)
        device=${device%1}
    fi
    cat /run/stdout >"${device}1" &
    stdout=$!
    cat /run/stderr >"${device}2" &
    stderr=$!
    (start_command </dev/null >/run/stdout 2>/run/stderr) &
    wait $!
    status=$?
    echo 1 >/sys/fs/cgroup/user.slice/cgroup.kill # what is left would hold the pipes open
    wait $stdout $stderr
    echo $status >/run/exchange/status
    /bin/busybox poweroff -f
}

. "${0%/*}/settings"
case $1 in
"") build_root ;;
command) run_command ;;
esac
/bin/ip link set lo up
case $DIRECTORY in
/tmp/*) ;; # what the command needs is in there
*) mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /tmp ;;
esac
make_user
make_devices
[ ! "$SYSTEMD" ] || become_systemd
make_cgroups
run_command
