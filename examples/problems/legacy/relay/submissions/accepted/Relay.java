import java.util.Scanner;

public class Relay {
    public static void main(String[] args) {
        Scanner in = new Scanner(System.in);
        boolean encodes = in.next().equals("encode");
        StringBuilder text = new StringBuilder(in.next()), made = new StringBuilder();
        if (encodes) {
            for (int i = 0; i < text.length(); i++) {
                String bits = Integer.toBinaryString(32 + text.charAt(i) - 'a');
                made.append(bits.substring(1));
            }
        } else {
            text.reverse();
            for (int i = 0; i < text.length(); i += 5) {
                made.append((char) ('a' + Integer.parseInt(text.substring(i, i + 5), 2)));
            }
        }
        System.out.println(made);
    }
}
