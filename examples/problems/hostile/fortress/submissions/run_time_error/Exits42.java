public class Exits42 {
    public static void main(String[] args) {
        System.out.println("Accepted");
        Runtime.getRuntime().halt(42);
    }
}
