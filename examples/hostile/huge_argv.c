/* Executes itself with twice the arguments until they are refused: exec copies them into kernel
   memory first. Right verdict: exited with 1 (E2BIG). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **arguments) {
    static char argument[65536];
    char **doubled = calloc(2 * count + 1, sizeof *doubled);
    memset(argument, 'x', sizeof argument - 1);
    for (int i = 0; i < 2 * count; i++)
        doubled[i] = i < count ? arguments[i] : argument;
    execv("/proc/self/exe", doubled);
    perror("execv");
    return 1;
}
