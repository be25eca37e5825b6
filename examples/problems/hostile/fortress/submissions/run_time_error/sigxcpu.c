/* The signal that says "out of CPU time", and none was used. */
#include <signal.h>

int main(void) { return raise(SIGXCPU); }
