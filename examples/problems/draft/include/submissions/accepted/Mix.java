import java.io.File;
import java.io.IOException;
import java.util.Scanner;

public class Mix {
    public static void main(String[] args) throws IOException {
        Scanner mixer = new Scanner(new File("mixer.txt"));
        Scanner in = new Scanner(System.in);
        long state = mixer.nextLong(), factor = mixer.nextLong(), modulus = mixer.nextLong();
        for (int count = in.nextInt(); count > 0; count--) {
            state = (state * factor + in.nextLong()) % modulus;
        }
        System.out.println(state);
    }
}
