/** As work.c. */
public class Work {
    static void integer(long count) {
        int x = 1;
        for (long i = 0; i < count; i++) {
            x = x * 1664525 + 1013904223;
            x ^= x >>> 13;
        }
        System.out.println(Integer.toUnsignedString(x));
    }

    static void memory(int size, long count) {
        int[] next = new int[size];
        for (int i = 0; i < size; i++) next[i] = (i * 1664525 + 1013904223) & (size - 1);
        int at = 0;
        for (long i = 0; i < count; i++) at = next[at];
        System.out.println(at);
    }

    static void floating(long count) {
        double sum = 0;
        for (long i = 0; i < count; i++) sum = sum * 0.999 + 1.0 / (i + 0.5);
        System.out.println(String.format(java.util.Locale.ROOT, "%.6f", sum * 1000));
    }

    public static void main(String[] words) {
        if (words.length == 0) return;
        switch (words[0]) {
            case "integer": integer(Long.parseLong(words[1])); break;
            case "memory": memory(Integer.parseInt(words[1]), Long.parseLong(words[2])); break;
            case "float": floating(Long.parseLong(words[1])); break;
        }
    }
}
