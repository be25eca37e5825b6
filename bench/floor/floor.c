/* The floor: the least that the kernel asks for a job with all our walls; the yardstick of CPU.
 *
 *   echo 100 4 | floor [-c|-C DIRECTORY [-e FILE=VALUE]...]... FILTER INIT_FILTER [COMMAND...]
 *
 * For each line "JOBS LOOPS" that it reads, runs COMMAND (/usr/bin/true) JOBS times, each in a
 * sandbox of its own, LOOPS of them at a time, and answers "done". As an ordinary user. Ends with
 * 1, and says at what, when a step of any job fails.
 *
 * It does, once: a user and a mount namespace, and the template in it: overlays of the host's /usr
 * (and of /lib and the like where they are no links), a /dev of bound devices.
 * For each job: a cgroup for the payload in each delegated directory (-c: of version 1, entered by
 * writing `tasks`; -C: of version 2, where the payload is born), with its limits written (-e);
 * clone3 of user, mount, pid, network, ipc and uts namespaces; a map of one id; a time and a cgroup
 * namespace; hostname; a copy of the template's root; one scratch tmpfs shown in three places;
 * /proc; devpts; pivot_root; a pid 1 that reaps, with one capability, no_new_privs and a filter of
 * its own; the payload, with no capability in any set, no_new_privs, Landlock, rlimits and its
 * filter (loaded with a listener, as ours is); exec; wait; rmdir.
 *
 * It does not: verify a wall, plan or compile anything, park sandboxes, pass streams, time, measure
 * or watch a job (its memory events neither), give each a host uid of its own, bring inputs, collect
 * artifacts, say more of a failure than its call, or outlive one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INSIDE_ID 1000
#define MOST_PLACES 8
#define MOST_EDITS 16
#define QUIET (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define COUNT(array) (sizeof(array) / sizeof *(array))
/* Every call goes through this: the floor is a job whose every step worked. */
#define MUST(call) must((long)(call), #call)

struct place { /* a cgroup hierarchy */
    int base_fd;
    bool is_born_into;
    const char *edits[MOST_EDITS];
    int edit_count;
    int entry_fd; /* while a job is made */
};

static struct place places[MOST_PLACES];
static int place_count;
static struct sock_fprog payload_filter, init_filter;
static char **command = (char *[]){"/usr/bin/true", NULL};

static long must(long value, const char *call) {
    if (value < 0) {
        fprintf(stderr, "floor: %s: %s\n", call, strerror(errno));
        _exit(1);
    }
    return value;
}

static void write_file(int directory_fd, const char *path, const char *text) {
    int fd = must(openat(directory_fd, path, O_WRONLY | O_CLOEXEC), path);
    must(write(fd, text, strlen(text)), path);
    close(fd);
}

static struct sock_fprog read_filter(const char *path) {
    static struct sock_filter lines[2][BPF_MAXINSNS];
    static int used;
    int fd = MUST(open(path, O_RDONLY | O_CLOEXEC));
    ssize_t size = MUST(read(fd, lines[used], sizeof lines[used]));
    close(fd);
    return (struct sock_fprog){size / sizeof(struct sock_filter), lines[used++]};
}

/* --- The template: once ------------------------------------------------------------------- */

static void map_ids(pid_t pid, int inside, int outside, int gid_outside) {
    char path[64], line[64];
    snprintf(line, sizeof line, "%d %d 1", inside, outside);
    snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
    write_file(AT_FDCWD, path, line);
    snprintf(line, sizeof line, "%d %d 1", inside, gid_outside);
    snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
    write_file(AT_FDCWD, path, line);
}

static void overlay(const char *name) {
    char options[256], layer[64], lower[64], target[64];
    snprintf(layer, sizeof layer, "layer/%s", name);
    snprintf(lower, sizeof lower, "/%s", name);
    snprintf(target, sizeof target, "root/%s", name);
    snprintf(options, sizeof options, "lowerdir=%s:%s", layer, *name ? lower : "nothing");
    MUST(mount("rootfs", target, "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options));
}

static void make_devices(void) {
    static const char *devices[] = {"full", "null", "random", "tty", "urandom", "zero"};
    MUST(mount("dev", "root/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=64k"));
    MUST(mkdir("root/dev/pts", 0755));
    MUST(mkdir("root/dev/shm", 0755));
    for (size_t i = 0; i < COUNT(devices); i++) {
        char source[32], target[32];
        snprintf(source, sizeof source, "/dev/%s", devices[i]);
        snprintf(target, sizeof target, "root/dev/%s", devices[i]);
        close(MUST(open(target, O_CREAT | O_WRONLY, 0666)));
        MUST(mount(source, target, NULL, MS_BIND, NULL));
    }
    struct mount_attr quiet = {
        .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC};
    MUST(mount_setattr(AT_FDCWD, "root/dev", AT_RECURSIVE, &quiet, sizeof quiet));
}

static void build_template(void) {
    static const char *made[] = {"layer", "nothing", "proc", "root", "layer/dev", "layer/proc",
                                 "layer/tmp", "layer/work", "layer/etc"};
    static const char *merged[] = {"usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32"};
    const char *overlaid[COUNT(merged)];
    size_t count = 0;
    int uid = getuid(), gid = getgid();
    MUST(unshare(CLONE_NEWUSER | CLONE_NEWNS));
    write_file(AT_FDCWD, "/proc/self/setgroups", "deny");
    map_ids(getpid(), 0, uid, gid);
    MUST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    MUST(mount("template", "/tmp", "tmpfs", MS_NOSUID, "mode=0755"));
    MUST(chdir("/tmp"));
    for (size_t i = 0; i < COUNT(made); i++)
        MUST(mkdir(made[i], 0755));
    for (size_t i = 0; i < COUNT(merged); i++) {
        char host[16], layer[32], link[64] = "";
        snprintf(host, sizeof host, "/%s", merged[i]);
        snprintf(layer, sizeof layer, "layer/%s", merged[i]);
        if (readlink(host, link, sizeof link - 1) > 0)
            MUST(symlink(link, layer));
        else if (access(host, F_OK) == 0) {
            MUST(mkdir(layer, 0755));
            overlaid[count++] = merged[i];
        }
    }
    int cache_fd = open("/etc/ld.so.cache", O_RDONLY); /* or the payload's loader searches */
    if (cache_fd >= 0) {
        int copy_fd = MUST(open("layer/etc/ld.so.cache", O_CREAT | O_WRONLY, 0644));
        while (MUST(sendfile(copy_fd, cache_fd, NULL, 1 << 20)) > 0)
            ;
        close(copy_fd);
        close(cache_fd);
    }
    overlay("");
    for (size_t i = 0; i < count; i++)
        overlay(overlaid[i]);
    make_devices();
    /* A new proc may be mounted only where a whole one is seen: proc(5). */
    MUST(mount("/proc", "proc", NULL, MS_BIND | MS_REC, NULL));
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(chdir("/"));
}

/* --- The cgroups of one job --------------------------------------------------------------- */

static void make_cgroups(const char *name) {
    for (struct place *place = places; place < places + place_count; place++) {
        MUST(mkdirat(place->base_fd, name, 0755));
        int job_fd = MUST(openat(place->base_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        for (int i = 0; i < place->edit_count; i++) {
            const char *edit = place->edits[i], *equals = strchr(edit, '=');
            char file[128];
            snprintf(file, sizeof file, "%.*s", (int)(equals - edit), edit);
            write_file(job_fd, file, equals + 1);
        }
        place->entry_fd = job_fd;
        if (!place->is_born_into) { /* `tasks` spares a lone thread what cgroup.procs waits for */
            place->entry_fd = MUST(openat(job_fd, "tasks", O_WRONLY | O_CLOEXEC));
            close(job_fd);
        }
    }
}

static void enter_cgroups(void) {
    for (struct place *place = places; place < places + place_count; place++)
        if (!place->is_born_into)
            MUST(write(place->entry_fd, "0", 1));
}

static pid_t fork_into_cgroup(void) {
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    for (struct place *place = places; place < places + place_count; place++)
        if (place->is_born_into) {
            arguments.flags = CLONE_INTO_CGROUP;
            arguments.cgroup = place->entry_fd;
        }
    return MUST(syscall(SYS_clone3, &arguments, sizeof arguments));
}

static void remove_cgroups(const char *name) {
    for (struct place *place = places; place < places + place_count; place++) {
        close(place->entry_fd);
        MUST(unlinkat(place->base_fd, name, AT_REMOVEDIR));
    }
}

/* --- In the sandbox: the view ------------------------------------------------------------- */

static void shift_clocks(void) {
    struct timespec monotonic, boot;
    char offsets[128];
    if (access("/proc/self/ns/time", F_OK))
        return; /* a kernel without it, and then ours has none either */
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    snprintf(offsets, sizeof offsets, "monotonic -%ld 0\nboottime -%ld 0\n", (long)monotonic.tv_sec,
             (long)boot.tv_sec);
    MUST(unshare(CLONE_NEWTIME));
    write_file(AT_FDCWD, "/proc/self/timens_offsets", offsets);
}

static void attach(int tree_fd, const char *target) {
    MUST(move_mount(tree_fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH));
    close(tree_fd);
}

static void mount_scratch(void) {
    static const struct { const char *part, *target; int mode; } shown[] = {
        {"tmp/0", "tmp", 01777}, {"tmp/1", "dev/shm", 01777}, {"tmp/2", "work", 0755}};
    struct mount_attr data = {.attr_set = MOUNT_ATTR_NOEXEC};
    int trees[COUNT(shown)];
    MUST(mount("scratch", "tmp", "tmpfs", MS_NOSUID | MS_NODEV,
               "mode=0755,size=67108864,nr_inodes=4100"));
    for (size_t i = 0; i < COUNT(shown); i++) {
        MUST(mkdir(shown[i].part, 0755));
        MUST(chmod(shown[i].part, shown[i].mode));
        trees[i] = MUST(open_tree(AT_FDCWD, shown[i].part, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    }
    MUST(umount2("tmp", MNT_DETACH));
    MUST(mount_setattr(trees[1], "", AT_EMPTY_PATH, &data, sizeof data));
    for (size_t i = 0; i < COUNT(shown); i++)
        attach(trees[i], shown[i].target);
}

static void build_view(void) {
    unsigned copy = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE;
    MUST(sethostname("sandbox", 7));
    attach(MUST(open_tree(AT_FDCWD, "/root", copy)), "/root");
    MUST(chdir("/root"));
    mount_scratch();
    MUST(mount("proc", "proc", "proc", QUIET, "subset=pid"));
    MUST(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
               "newinstance,ptmxmode=0666,mode=0620"));
    MUST(syscall(SYS_pivot_root, ".", "."));
    MUST(umount2(".", MNT_DETACH));
    MUST(chdir("/"));
}

/* --- In the sandbox: the locks ------------------------------------------------------------ */

static void become_job(void) {
    MUST(setresgid(INSIDE_ID, INSIDE_ID, INSIDE_ID));
    MUST(setresuid(INSIDE_ID, INSIDE_ID, INSIDE_ID));
}

static void keep_capabilities(unsigned kept) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{kept, kept, 0}, {0, 0, 0}};
    MUST(syscall(SYS_capset, &header, data));
}

static void drop_capabilities(void) {
    for (int number = 0; prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0; number++)
        ;
    MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    /* No uid, not even 0, means capabilities again: capabilities(7). */
    int bits = SECURE_ALL_LOCKS | (SECURE_ALL_BITS & ~SECBIT_KEEP_CAPS);
    MUST(prctl(PR_SET_SECUREBITS, bits, 0, 0, 0));
    keep_capabilities(0);
}

static void restrict_paths(void) {
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 0)
        return; /* a kernel without it, and then ours has no such wall either */
    __u64 all = (1 << 13) - 1, refer = 1 << 13, truncate = 1 << 14, ioctl_dev = 1 << 15;
    all |= (abi >= 2 ? refer : 0) | (abi >= 3 ? truncate : 0) | (abi >= 5 ? ioctl_dev : 0);
    __u64 read = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |
                 LANDLOCK_ACCESS_FS_READ_DIR;
    __u64 change = (read | LANDLOCK_ACCESS_FS_WRITE_FILE | truncate) & all;
    __u64 any = all & ~(LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | ioctl_dev);
    struct { const char *path; __u64 access; } rules[] = {
        {"/", read},    {"/proc", change}, {"/dev", change | (ioctl_dev & all)},
        {"/work", any}, {"/tmp", any},     {"/dev/shm", any}};
    /* struct landlock_ruleset_attr of ABI 6; older headers know less of it. */
    __u64 handled[3] = {all, 3, 3};
    size_t size = abi >= 6 ? 24 : abi >= 4 ? 16 : 8;
    int ruleset_fd = MUST(syscall(SYS_landlock_create_ruleset, handled, size, 0));
    for (size_t i = 0; i < COUNT(rules); i++) {
        int path_fd = MUST(open(rules[i].path, O_PATH | O_CLOEXEC));
        struct landlock_path_beneath_attr rule = {rules[i].access, path_fd};
        MUST(syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0));
        close(path_fd);
    }
    MUST(syscall(SYS_landlock_restrict_self, ruleset_fd, 0));
    close(ruleset_fd);
}

static void limit_resources(void) {
    static const struct { int number; struct rlimit limit; } limits[] = {
        {RLIMIT_CORE, {1, 1}},     {RLIMIT_NOFILE, {256, 256}},
        {RLIMIT_NICE, {0, 0}},     {RLIMIT_MEMLOCK, {8 << 20, 8 << 20}},
        {RLIMIT_RTPRIO, {0, 0}},   {RLIMIT_STACK, {8 << 20, RLIM_INFINITY}},
        {RLIMIT_CPU, {61, 62}}};
    for (size_t i = 0; i < COUNT(limits); i++)
        MUST(setrlimit(limits[i].number, &limits[i].limit));
}

/* --- The processes of one job ------------------------------------------------------------- */

static void run_payload(void) {
    enter_cgroups();
    MUST(unshare(CLONE_NEWCGROUP)); /* its root is where we stand now */
    become_job();
    drop_capabilities();
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    MUST(setsid());
    MUST(chdir("/work"));
    MUST(dup2(MUST(open("/dev/null", O_RDONLY)), 0)); /* ours are for the orders */
    MUST(close_range(3, ~0U, 0));
    restrict_paths();
    limit_resources();
    MUST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
                 &payload_filter));
    char *environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work", "TMPDIR=/tmp",
                           "LANG=C.UTF-8", NULL};
    execve(command[0], command, environment);
    _exit(127);
}

static void run_init(int mapped_fd) {
    char byte;
    if (read(mapped_fd, &byte, 1) != 1)
        _exit(1);
    shift_clocks();
    build_view();
    pid_t payload = fork_into_cgroup();
    if (payload == 0)
        run_payload();
    MUST(close_range(3, ~0U, 0));
    become_job();
    MUST(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
    keep_capabilities(1 << CAP_SYS_ADMIN);
    MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &init_filter));
    int status, result = 1;
    for (pid_t dead; (dead = wait(&status)) > 0;)
        if (dead == payload)
            result = status != 0;
    _exit(result); /* takes all else in here along */
}

static void run_job(const char *name) {
    int mapped[2], status;
    struct clone_args arguments = {
        .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
                 CLONE_NEWUTS,
        .exit_signal = SIGCHLD};
    make_cgroups(name);
    MUST(pipe2(mapped, O_CLOEXEC));
    pid_t init = MUST(syscall(SYS_clone3, &arguments, sizeof arguments));
    if (init == 0) {
        close(mapped[1]);
        run_init(mapped[0]);
    }
    map_ids(init, INSIDE_ID, 0, 0);
    MUST(write(mapped[1], "1", 1));
    close(mapped[0]);
    close(mapped[1]);
    MUST(waitpid(init, &status, 0));
    remove_cgroups(name);
    if (status != 0) {
        fprintf(stderr, "floor: %s failed: wait status %d\n", name, status);
        _exit(1);
    }
}

static void add_place(const char *directory, bool is_born_into) {
    if (place_count == MOST_PLACES)
        exit(2);
    int fd = MUST(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    places[place_count++] = (struct place){.base_fd = fd, .is_born_into = is_born_into};
}

static void run_share(int jobs, int loops, int loop) {
    for (int job = loop; job < jobs; job += loops) {
        char name[64];
        snprintf(name, sizeof name, "floor-%d-%d", (int)getpid(), job);
        run_job(name);
    }
}

static int run_jobs(int jobs, int loops) {
    int status, failed = 0;
    for (int loop = 1; loop < loops; loop++)
        if (MUST(fork()) == 0) {
            run_share(jobs, loops, loop);
            _exit(0);
        }
    run_share(jobs, loops, 0);
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed;
}

int main(int argc, char **argv) {
    int option, jobs, loops;
    while ((option = getopt(argc, argv, "+c:C:e:")) != -1) {
        struct place *place = places + place_count - 1;
        if (option == 'c' || option == 'C')
            add_place(optarg, option == 'C');
        else if (option == 'e' && place_count && place->edit_count < MOST_EDITS &&
                 strchr(optarg, '='))
            place->edits[place->edit_count++] = optarg;
        else
            return 2;
    }
    if (argc - optind < 2)
        return 2;
    payload_filter = read_filter(argv[optind]);
    init_filter = read_filter(argv[optind + 1]);
    if (argc - optind > 2)
        command = argv + optind + 2;
    build_template();
    while (scanf("%d %d", &jobs, &loops) == 2) {
        if (run_jobs(jobs, loops))
            return 1;
        puts("done");
        fflush(stdout);
    }
    return 0;
}
