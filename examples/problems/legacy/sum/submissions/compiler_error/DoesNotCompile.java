public class DoesNotCompile {
    public static void main(String[] args) {
        int sum = "no number";
    }
}
