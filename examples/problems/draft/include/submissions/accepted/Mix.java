import java.util.Scanner;

public class Mix {
    public static void main(String[] args) {
        Scanner in = new Scanner(System.in);
        Mixer mixer = new Mixer();
        for (int count = in.nextInt(); count > 0; count--) mixer.add(in.nextLong());
        System.out.println(mixer.result());
    }
}
