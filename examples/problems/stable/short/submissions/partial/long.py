def main() -> None:
    """Read the two numbers, add them, and print what is left of the sum."""
    first, second = (int(word) for word in input().split())
    total = first + second
    print(total % 1000)


if __name__ == "__main__":
    main()
