import java.util.Scanner;

public class Backwards {
    public static void main(String[] args) {
        int n = new Scanner(System.in).nextInt();
        if (n == 2 || n == 3) {
            System.out.println("impossible");
            return;
        }
        StringBuilder order = new StringBuilder();
        for (int i = n - 1; i >= 1; i -= 2) order.append(i).append('\t');
        for (int i = n; i >= 1; i -= 2) order.append(i).append('\t');
        System.out.println(order);
    }
}
