/** What every submission is given: the state, and how one number changes it. */
class Mixer {
    private long state = 17;

    void add(long number) {
        state = (state * 31 + number) % 1000003;
    }

    long result() {
        return state;
    }
}
