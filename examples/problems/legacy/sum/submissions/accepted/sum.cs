using System;

public class Sum {
    public static void Main() {
        string[] numbers = Console.ReadLine().Split(' ');
        Console.WriteLine(long.Parse(numbers[0]) + long.Parse(numbers[1]));
    }
}
