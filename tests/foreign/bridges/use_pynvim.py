"""pynvim's session layer, which Neovim's plugins in Python use. Its calls block."""

import sys

from lines import calls, tell
from pynvim.msgpack_rpc import socket_session


class Refusal(Exception):
    pass


session = socket_session(sys.argv[1])
session.error_wrapper = Refusal  # by itself it takes an error for Neovim's pair, and tells half
for number, method, params in calls():
    try:
        tell(number, None, session.request(method, params))
    except Refusal as refusal:
        tell(number, refusal.args[0], None)
session.close()
