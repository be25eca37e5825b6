/* Calls itself without end. Right verdict: signaled by SIGSEGV, a plain crash. */
int main(int count, char **arguments) {
    volatile char frame[4096];
    frame[0] = (char)count;
    return main(count + 1, arguments) + frame[0];
}
