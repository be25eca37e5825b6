/* Attaches to init. Right verdict: violation, which names the call. */
#include <sys/ptrace.h>

int main(void) {
    return ptrace(PTRACE_ATTACH, 1, 0, 0) != 0;
}
