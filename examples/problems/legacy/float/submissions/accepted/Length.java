import java.util.Locale;
import java.util.Scanner;

public class Length {
    public static void main(String[] args) {
        Scanner in = new Scanner(System.in).useLocale(Locale.ROOT);
        for (int count = in.nextInt(); count > 0; count--) {
            System.out.println(Math.hypot(in.nextDouble(), in.nextDouble()));
        }
    }
}
