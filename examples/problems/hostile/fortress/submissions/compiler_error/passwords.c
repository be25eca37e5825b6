/* The compiler's messages would print the file's first line. */
#include "/etc/shadow"

int main(void) { return 0; }
