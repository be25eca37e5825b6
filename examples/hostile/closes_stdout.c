/* Closes its streams and lives on: the end of the output is not the end of the job.
   Right verdict: wall_time. */
#include <unistd.h>

int main(void) {
    for (int fd = 0; fd < 3; fd++)
        close(fd);
    pause();
}
