from mixer import Mixer

input()
mixer = Mixer()
for number in input().split():
    mixer.add(int(number))
print(mixer.result)
