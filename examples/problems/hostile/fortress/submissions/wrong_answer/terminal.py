# Rewrites the screen of whoever looks at the messages.
print("\x1b[2J\x1b[1;1H\x1b[32mAC\x1b[0m\x1b]0;accepted\x07\r\x08\x08\u202eCA")
