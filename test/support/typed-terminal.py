"""Runs a program on a terminal of its own and types what it is asked for.

Arguments: a JSON list of [text to wait for, text to type], then the program's words.
Writes what the terminal showed to standard output; ends with the program's exit code.
"""
import json
import os
import pty
import sys

steps = json.loads(sys.argv[1])
child, terminal = pty.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
shown = b""
seen = 0
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    shown += piece
    while steps and steps[0][0].encode() in shown[seen:]:
        wanted, typed = steps.pop(0)
        seen = shown.index(wanted.encode(), seen) + len(wanted.encode())
        os.write(terminal, typed.encode())
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
