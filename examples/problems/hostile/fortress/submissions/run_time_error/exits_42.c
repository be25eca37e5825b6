/* The exit code of a validator that accepts. */
int main(void) { return 42; }
