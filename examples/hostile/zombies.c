/* Never waits for its children. Right verdict: processes (a zombie still counts). */
#include <unistd.h>

int main(void) {
    for (;;) {
        pid_t pid = fork();
        if (pid < 0)
            return 1;
        if (pid == 0)
            _exit(0);
    }
}
