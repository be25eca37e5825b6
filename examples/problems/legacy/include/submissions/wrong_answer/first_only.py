from mixer import Mixer

mixer = Mixer()
mixer.add(int(input()))
print(mixer.result)
