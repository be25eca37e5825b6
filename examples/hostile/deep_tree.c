/* Makes directories in directories until one is refused: a path far longer than PATH_MAX.
   Right verdict: disk, by inodes. */
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    while (mkdir("a-directory-with-a-rather-long-name", 0700) == 0)
        if (chdir("a-directory-with-a-rather-long-name") != 0)
            break;
    return 1;
}
