/* Makes a user namespace, to be root in it. Right verdict: violation, which names the call. */
#define _GNU_SOURCE
#include <sched.h>

int main(void) {
    return unshare(CLONE_NEWUSER) != 0;
}
