import java.io.File;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Scanner;

public class LookUp {
    public static void main(String[] arguments) throws IOException {
        Map<String, String> book = new HashMap<>();
        Scanner lines = new Scanner(new File("book.txt"));
        while (lines.hasNext()) book.put(lines.next(), lines.next());
        for (String word : arguments) System.out.println(book.get(word));
        Scanner in = new Scanner(System.in);
        while (in.hasNext()) System.out.println(book.get(in.next()));
    }
}
