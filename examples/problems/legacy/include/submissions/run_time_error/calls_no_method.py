from mixer import Mixer

print(Mixer().take(input()))
