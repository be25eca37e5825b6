"""What every submission is given: the state, and how one number changes it."""


class Mixer:
    def __init__(self):
        self.result = 17

    def add(self, number):
        self.result = (self.result * 31 + number) % 1000003
