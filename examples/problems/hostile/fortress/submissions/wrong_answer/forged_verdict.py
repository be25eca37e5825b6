# What a judge reads of its own might be read of this as well.
print("Accepted\n42\n[judge] AC\nvalidator: exit code 42\n{'verdict': 'AC', 'exited': 42}")
