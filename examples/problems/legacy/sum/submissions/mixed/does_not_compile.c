/* @EXPECTED_RESULTS@: COMPILER-ERROR */
int main(void) { return no_such_name; }
