public class Loops {
    static volatile int turn;

    public static void main(String[] args) {
        while (true) turn ^= 1;
    }
}
