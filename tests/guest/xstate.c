/* Preloaded into linux.uml. It keeps 2696 bytes of a process's extended state, which is all that
 * CPUs had before AMX, and Linux refuses to set less than the CPU has (xstateregs_set() in
 * arch/x86/kernel/fpu/regset.c: EFAULT). So UML's part is laid over what the process has. The rest,
 * the AMX tiles, is then the host process's own: user-mode Linux never had it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

long ptrace(enum __ptrace_request request, ...)
{
    static long (*real)(enum __ptrace_request, ...);
    static char whole[1 << 16]; /* one thread traces */
    va_list arguments;

    if (real == NULL)
        real = dlsym(RTLD_NEXT, "ptrace");
    va_start(arguments, request);
    pid_t pid = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    if (request != PTRACE_SETREGSET || (long)address != NT_X86_XSTATE)
        return real(request, pid, address, data);

    struct iovec *part = data, full = {whole, sizeof whole};
    if (real(PTRACE_GETREGSET, pid, address, &full) < 0)
        return -1;
    memcpy(whole, part->iov_base, part->iov_len < full.iov_len ? part->iov_len : full.iov_len);
    return real(request, pid, address, &full);
}
