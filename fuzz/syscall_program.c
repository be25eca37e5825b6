/* Makes random and half-valid system calls until its time is over: what a syscall fuzz job runs.

   syscall_program SEED MILLISECONDS PROCESSES THREADS CALLS NAMES

   CALLS: "NUMBER KINDS [!]," for each system call that it may make: a letter says what an argument
   is (below), "!" that it is made seldom. NAMES: of the host, separated by ",": a process, paths and
   sockets, and the number of a port. Each pair of
   a call and its errno (0: it worked) is told once, as a line "@NUMBER ERRNO" on stdout, and the
   number of all calls as lines "#COUNT". Without threads (0) it is one process that asks the
   clock, as the tightest policy demands; without processes (0) there is one. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

enum { CALLS = 1024, ERRNOS = 160, THREADS = 16, ARENA = 1 << 20, SCRATCH = 1 << 14 };

struct call {
    long number;
    char kinds[8];
    int seldom;
};

struct shared {
    unsigned char seen[CALLS][ERRNOS];
    unsigned long count;
};

static struct call calls[CALLS];
static int call_count, name_count, port;
static char *names[64];
static struct shared *shared;
static char *arena;                         /* what mappings are made over */
static char (*pool)[SCRATCH];               /* what pointers point to, of each thread */
static volatile unsigned long progress[THREADS + 1];
static struct timespec until;
static char **own_argv;

static uint64_t next(uint64_t *state) /* splitmix64 */
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static int is_over(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec > until.tv_nsec);
}

static void tell(char sign, unsigned long first, long second)
{
    char line[48];
    int size = second < 0 ? snprintf(line, sizeof line, "\n%c%lu\n", sign, first)
                          : snprintf(line, sizeof line, "\n%c%lu %ld\n", sign, first, second);
    syscall(SYS_write, 1, line, size);
}

static const long edges[] = {
    0, 1, -1, 2, 3, 7, 8, 63, 64, 127, 128, 255, 256, 511, 4095, 4096, 4097, 65535, 65536,
    0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, (long)0x8000000000000000,
    0x7ffffffff000, 0x800000000000, (long)0xffff800000000000, (long)0xffffffff81000000, -4095, -100,
};
static const long requests[] = {
    0x5401, 0x802c542a, 0x402c542b, 0x402c542c, 0x402c542d, 0x5413, 0x541b, 0x5421, 0x5451, 0x5450,
    0x5452, 0x5402, 0x5403, 0x5404, 0x5409, 0x540b, 0x540a, 0x540f, 0x5410, 0x5429, 0x5414, 0x540e,
    0x5422, 0x5411, 0x80045430, 0x40045431, 0x5441, 0x540c, 0x540d, 0x541d, 0x5423, 0x5424, 0x8912,
    0x8933, 0x40049409, 0x4020940d, 0x80086601, 0x40086602, 0xb701, 0xb702, 0xb703, 0x5460, 0x1261,
    0x6601, 0x6602, 0xc0045878, 0xae00, 0x40082406, 0xc0502100, 0xc0182101, 0x4b3a, 0x5600,
};
static const int options[] = {
    1, 2, 3, 4, 7, 8, 13, 14, 15, 16, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33,
    34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 50, 51, 52, 53, 54, 55, 56, 57, 58,
    59, 60, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 0x53564d41, 0x59616d61,
    0x41555856, 0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x1021, 0x1022, 0x1023, 0x5001,
};

/* A place in this thread's scratch, filled with what kernel structures are made of. */
static char *scratch(uint64_t *state, int thread)
{
    char *place = pool[thread] + next(state) % (SCRATCH - 2048) / 8 * 8;
    uint64_t *words = (uint64_t *)place;
    for (int at = 0; at < 32; at++)
        switch (next(state) % 6) {
        case 0: words[at] = 0; break;
        case 1: words[at] = next(state) % 64; break;
        case 2: words[at] = (uintptr_t)(pool[thread] + next(state) % (SCRATCH - 512)); break;
        case 3: words[at] = (next(state) % 16) << 32 | next(state) % 16; break;
        case 4: words[at] = edges[next(state) % (sizeof edges / sizeof *edges)]; break;
        default: words[at] = next(state);
        }
    return place;
}

static const char *path(uint64_t *state, int thread)
{
    static const char *const usual[] = {
        "a", "b", "c", "d/e", "d", ".", "..", "/", "/tmp", "/tmp/a", "/work/b", "/dev/null",
        "/dev/zero", "/dev/full", "/dev/tty", "/dev/ptmx", "/dev/pts/0", "/dev/shm/a", "/proc",
        "/proc/self/fd/0", "/proc/self/fd/3", "/proc/self/mem", "/proc/self/exe", "/proc/self/cwd",
        "/proc/self/root", "/proc/self/ns/net", "/proc/self/ns/user", "/proc/self/uid_map",
        "/proc/self/setgroups", "/proc/self/oom_score_adj", "/proc/self/attr/current",
        "/proc/self/task", "/proc/self/comm", "/proc/self/timens_offsets", "/proc/1/mem",
        "/proc/1/root", "/proc/1/fd/3", "/proc/1/ns/mnt", "/proc/1/oom_score_adj", "/proc/keys",
        "/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches",
        "/proc/sysrq-trigger", "/proc/kcore", "/proc/kmsg", "/sys", "/sys/fs/cgroup", "/etc/passwd",
        "/usr/bin", "/usr/bin/true", "/bin/sh", "", "/nowhere", "../../../../etc/shadow",
        "\xff\xfe\x80", "pipe", "link",
    };
    uint64_t which = next(state) % 16;
    if (which < 3 && name_count)
        return names[next(state) % name_count];
    if (which == 3) { /* a name of no end */
        char *place = pool[thread] + next(state) % 64;
        memset(place, 'n', 8192);
        place[next(state) % 8192] = '/';
        place[8192] = 0;
        return place;
    }
    return usual[next(state) % (sizeof usual / sizeof *usual)];
}

static __thread long socket_size; /* of the address made last */
static volatile int sockets[8];   /* those made last */

static long address_of_socket(uint64_t *state, int thread)
{
    char *place = scratch(state, thread);
    if (next(state) % 3 == 0) {
        struct sockaddr_in *in = (void *)place;
        in->sin_family = next(state) % 4 ? AF_INET : next(state) % 48;
        in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        in->sin_port = htons(next(state) % 4 ? (unsigned)port : next(state));
        socket_size = sizeof *in;
    } else {
        struct sockaddr_un *un = (void *)place;
        un->sun_family = AF_UNIX;
        int is_abstract = next(state) % 2;
        un->sun_path[0] = 0;
        snprintf(un->sun_path + is_abstract, sizeof un->sun_path - is_abstract, "%s",
                 path(state, THREADS));
        socket_size = offsetof(struct sockaddr_un, sun_path) + is_abstract +
                      strlen(un->sun_path + is_abstract);
    }
    return (long)place;
}

static long argument(char kind, uint64_t *state, int thread)
{
    uint64_t chance = next(state) % 100;
    if (chance < 6)
        return edges[next(state) % (sizeof edges / sizeof *edges)];
    if (chance < 8)
        return next(state);
    long value, *words;
    switch (kind) {
    case 'f': /* a descriptor; seldom the one that tells */
        value = next(state) % 40;
        return value == 1 && next(state) % 50 ? 3 : value;
    case 'n': return next(state) % 4 ? sockets[next(state) % 8] : (long)(next(state) % 40);
    case 'd': return next(state) % 2 ? AT_FDCWD : (long)(next(state) % 40);
    case 'p': return (long)path(state, thread);
    case 'b': return (long)scratch(state, thread);
    case 'a': return (long)(arena + next(state) % (ARENA / 4096) * 4096);
    case 'l': return (1 + next(state) % 8) * 4096;
    case 's': return next(state) % 2 ? next(state) % 256 : next(state) % 8192;
    case 'o': /* flags: one, two or some bits */
        value = 1L << next(state) % 24;
        return next(state) % 3 ? value : next(state) % 2 ? value | 1L << next(state) % 32 : 0;
    case 'O': return next(state) % 4 | (next(state) % 3 ? O_CREAT : 0) | 1L << next(state) % 24;
    case 'm': return next(state) % 4 ? 0700 : next(state) % 0200000;
    case 'i': return next(state) % 16;
    case 'j': return next(state) % 400 ? (long)(next(state) % 8) : -1; /* milliseconds */
    case 'g': /* a signal; seldom one that nobody outlives */
        value = next(state) % 65;
        return (value == SIGKILL || value == SIGSTOP) && next(state) % 40 ? SIGURG : value;
    case 'w': /* a process */
        switch (next(state) % 8) {
        case 0: return 1;
        case 1: return -(long)(next(state) % 8);
        case 2: return getpid();
        case 3: return 0;
        case 4: return atol(names[0]); /* one of the host */
        default: return next(state) % 64;
        }
    case 'u': return next(state) % 3 ? getuid() : next(state) % 70000;
    case 't': /* a time, mostly a short one */
        words = (long *)scratch(state, thread);
        words[0] = next(state) % 50 ? 0 : next(state) % 4;
        words[1] = next(state) % 3000000;
        words[2] = 0, words[3] = next(state) % 3000000;
        return (long)words;
    case 'v': { /* buffers */
        struct iovec *iov = (void *)scratch(state, thread);
        for (int at = 0; at < 8; at++) {
            iov[at].iov_base = pool[thread] + next(state) % (SCRATCH - 1024);
            iov[at].iov_len = next(state) % 600;
        }
        return (long)iov;
    }
    case 'h': { /* a message, perhaps with descriptors */
        struct msghdr *message = (void *)scratch(state, thread);
        memset(message, 0, sizeof *message);
        message->msg_iov = (void *)argument('v', state, thread);
        message->msg_iovlen = next(state) % 8;
        message->msg_control = scratch(state, thread);
        message->msg_controllen = next(state) % 64;
        struct cmsghdr *control = message->msg_control;
        if (next(state) % 2) {
            *control = (struct cmsghdr){CMSG_LEN(8), SOL_SOCKET, 1 + next(state) % 3};
            ((int *)CMSG_DATA(control))[0] = next(state) % 24;
            ((int *)CMSG_DATA(control))[1] = next(state) % 24;
            message->msg_controllen = CMSG_SPACE(8);
        }
        return (long)message;
    }
    case 'k': return address_of_socket(state, thread);
    case 'K': return socket_size;
    case 'F': return next(state) % 4 ? AF_UNIX : next(state) % 46;
    case 'S': return (1 + next(state) % 5) | (next(state) % 2 ? SOCK_NONBLOCK : 0);
    case 'q': return requests[next(state) % (sizeof requests / sizeof *requests)];
    case 'R': return next(state) % 2 ? 0x5412 : 0x541c; /* TIOCSTI, TIOCLINUX */
    case 'Q': return options[next(state) % (sizeof options / sizeof *options)];
    case 'c': return next(state) % 2 ? next(state) % 40 : 1024 + next(state) % 20;
    case 'y': return 8; /* sizeof sigset_t, to the kernel */
    case 'z': return 0;
    case 'V': return (long)own_argv;
    case 'C': return next(state) % 3 ? 17 : next(state) % 2 ? 0x50f00 : 1L << next(state) % 33;
    case 'T': return next(state) % 12;
    default: return next(state);
    }
}

/* Calls after which two may run on this stack: the child has to end without it. */
static long call_and_end_child(const long *arguments, long number)
{
#if defined __x86_64__
    register long r10 __asm__("r10") = arguments[3];
    register long r8 __asm__("r8") = arguments[4];
    long result;
    __asm__ volatile("syscall\n test %%rax, %%rax\n jnz 1f\n mov %5, %%eax\n xor %%edi, %%edi\n"
                     "syscall\n hlt\n1:"
                     : "=a"(result)
                     : "0"(number), "D"(arguments[0]), "S"(arguments[1]), "d"(arguments[2]),
                       "i"(SYS_exit), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
#else
    register long x8 __asm__("x8") = number;
    register long result __asm__("x0") = arguments[0];
    register long x1 __asm__("x1") = arguments[1], x2 __asm__("x2") = arguments[2];
    register long x3 __asm__("x3") = arguments[3], x4 __asm__("x4") = arguments[4];
    __asm__ volatile("svc #0\n cbnz x0, 1f\n mov x8, %6\n svc #0\n brk #1\n1:"
                     : "+r"(result), "+r"(x8)
                     : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "i"(SYS_exit)
                     : "memory");
#endif
    if (result < 0 && result >= -4095) {
        errno = -result;
        return -1;
    }
    return result;
}

static int ends(long number)
{
    return number == SYS_exit || number == SYS_exit_group || number == SYS_rt_sigreturn;
}

static void told(long number, unsigned code)
{
    unsigned which = number & (CALLS - 1);
    if (code < ERRNOS && !shared->seen[which][code]) {
        shared->seen[which][code] = 1;
        tell('@', number, code);
    }
}

static void one(uint64_t *state, int thread, int *is_child)
{
    struct call *call = &calls[next(state) % call_count];
    if (call->seldom && next(state) % 512)
        return;
    long a[6];
    for (int at = 0; at < 6; at++)
        a[at] = call->kinds[at] ? argument(call->kinds[at], state, thread) : (long)next(state);
    if (next(state) % 40 == 0)
        a[next(state) % 6] |= (long)(next(state) << 32); /* what the kernel may not look at */
    progress[thread]++;
    __atomic_fetch_add(&shared->count, 1, __ATOMIC_RELAXED);
    if (call->kinds[0] == 'V' || call->kinds[1] == 'V' || ends(call->number))
        told(call->number, 0); /* it may not return */
    errno = 0;
    long result;
    if (call->kinds[0] == 'C')
        result = call_and_end_child(a, call->number);
#ifdef __x86_64__
    else if (call->kinds[0] == 'I')
        __asm__ volatile("int $0x80" : "=a"(result) : "0"(call->number) : "memory");
#endif
    else
        result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
    unsigned code = result == -1 ? errno : 0;
    told(call->number, code);
    if (call->kinds[0] == 'F' && result >= 0)
        sockets[next(state) % 8] = result;
#ifdef SYS_fork
    if (call->number == SYS_fork && result == 0) {
        if (*is_child)
            syscall(SYS_exit_group, 0); /* not a tree without end */
        *is_child = 1;
    }
#endif
    if (*is_child && ++*is_child > 64)
        syscall(SYS_exit_group, 0);
}

static __thread void *again[5]; /* where the calls of this thread go on after a fault */

static void nothing(int signal) { (void)signal; }

static void go_on(int signal, siginfo_t *info, void *context)
{
    (void)context;
    if (info->si_code <= 0)
        return; /* sent by one of ours */
    if (!again[0])
        _exit(128 + signal);
    __builtin_longjmp(again, 1);
}

/* Outlive what the calls send, as far as they let us. */
static void take_signals(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    static const uint64_t ignored[4] = {(uintptr_t)SIG_IGN}; /* struct sigaction of the kernel */
    struct sigaction action = {.sa_sigaction = go_on, .sa_flags = SA_NODEFER | SA_SIGINFO};
    uint64_t handled = 1ul << (SIGCHLD - 1) | 1ul << (SIGURG - 1);
    for (unsigned at = 0; at < sizeof faults / sizeof *faults; at++) {
        sigaction(faults[at], &action, NULL); /* never ignored meanwhile: the kernel would kill */
        handled |= 1ul << (faults[at] - 1);
    }
    for (int number = 1; number < 65; number++)
        if (!(handled >> (number - 1) & 1))
            syscall(SYS_rt_sigaction, number, ignored, NULL, 8);
    action.sa_handler = nothing;
    action.sa_flags = 0; /* it interrupts */
    sigaction(SIGURG, &action, NULL);
    uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, 8);
}

/* Make calls: for ever, or in one process that has to look at the clock itself. */
static void calls_until(uint64_t *state, int thread, int looks)
{
    static volatile int is_child;
    if (__builtin_setjmp(again))
        next(state); /* not the same once more */
    for (;;) {
        if (progress[thread] % 64 == 0) {
            take_signals();
            if (looks && is_over())
                return;
            if (looks && progress[thread] % 1024 == 0)
                tell('#', shared->count, -1);
        }
        int child = is_child;
        one(state, thread, &child);
        is_child = child;
    }
}

static void *thread_main(void *argument)
{
    uint64_t state = *(uint64_t *)argument;
    int thread = state % 16; /* the low bits number it */
    calls_until(&state, thread, 0);
    return NULL;
}

/* One process: its threads make calls, and it sees to it that none of them waits for ever. */
static void worker(uint64_t seed, int threads)
{
    static uint64_t seeds[THREADS];
    static pthread_t ids[THREADS];
    unsigned long before[THREADS] = {0};
    take_signals();
    for (int at = 0; at < threads; at++) {
        seeds[at] = (seed + at) * 16 + at;
        if (pthread_create(&ids[at], NULL, thread_main, &seeds[at]))
            break;
    }
    while (!is_over()) {
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
        for (int at = 0; at < threads; at++) {
            if (progress[at] == before[at] && ids[at])
                pthread_kill(ids[at], SIGURG);
            before[at] = progress[at];
        }
    }
}

static void read_calls(char *text)
{
    for (char *entry = strtok(text, ","); entry && call_count < CALLS; entry = strtok(NULL, ",")) {
        char mark = 0;
        struct call *call = &calls[call_count];
        if (sscanf(entry, "%ld %7[A-Za-z] %c", &call->number, call->kinds, &mark) >= 2) {
            call->seldom = mark == '!';
            call_count++;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 7)
        return 2;
    own_argv = argv;
    uint64_t seed = strtoull(argv[1], NULL, 10);
    long milliseconds = atol(argv[2]);
    int processes = atoi(argv[3]), threads = atoi(argv[4]);
    static char text[1 << 16]; /* what is executed again has its arguments whole */
    snprintf(text, sizeof text, "%s", argv[5]);
    read_calls(text);
    static char hosts[1 << 12];
    snprintf(hosts, sizeof hosts, "%s", argv[6]);
    for (char *name = strtok(hosts, ","); name && name_count < 64; name = strtok(NULL, ","))
        names[name_count++] = name, port = atoi(name);
    if (!call_count || !name_count || threads > THREADS)
        return 2;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    /* Far from all else, so that a length too large reaches nothing of ours. */
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    arena = mmap((void *)0x10000000000, ARENA, PROT_READ | PROT_WRITE, flags, -1, 0);
    pool = mmap((void *)0x20000000000, (THREADS + 1) * SCRATCH, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (shared == MAP_FAILED || arena == MAP_FAILED || pool == MAP_FAILED)
        return 3;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000)
        until.tv_nsec -= 1000000000, until.tv_sec++;

    if (!threads) {
        uint64_t state = seed;
        calls_until(&state, 0, 1);
        tell('#', shared->count, -1);
        return 0;
    }
    if (!processes) {
        pid_t self = getpid();
        worker(seed, threads);
        if (getpid() == self)
            tell('#', shared->count, -1);
        _exit(0);
    }
    take_signals();
    int living = 0;
    for (uint64_t born = 0; !is_over(); ) {
        while (living < processes) {
            pid_t child = fork();
            if (child == 0) {
                worker(seed * 64 + born, threads);
                _exit(0);
            }
            if (child < 0)
                break;
            living++, born++;
        }
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
        while (waitpid(-1, NULL, WNOHANG) > 0)
            living -= living > 0;
        tell('#', shared->count, -1);
    }
    return 0;
}
