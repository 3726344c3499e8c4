"""Runs a program, names the steps in which it changes files, and shows what a kill at one leaves.

    crash-tracer.py --root DIR --log FILE [--from TEXT] [--copies DIR] [--copy STEP]... [--kill STEP]
        -- PROGRAM ARGUMENT...

A step is a system call that changes files below the root, in any thread and any child process. Each
is a line of JSON in the log, in the order in which they begin. Its name says what it does, the same
in each run: what differs from run to run is `*`, and equal ones are numbered. No name have calls
that only make durable, since a kill before one leaves what a kill before the next step leaves; and,
since how many there are depends on the network, writes that go on where the last write to their file
ended, until a MiB is full, and appends to a file after the first. With --from names begin at the first step whose path has TEXT in it.

With --kill the named step, the last in the log, is not made: all is killed by SIGKILL before it.
With --copy the root is copied before the named step, to a folder of --copies: 0 for the first that
was named, and so on; before a write also to 0.torn, with the first half of the write made. The
program stands still meanwhile, so that the copy is what a kill would leave. Exits as the program
does, with 137 when it was killed.

strace cannot do this: it counts per thread (`when=` of its --inject), and a program with a thread
pool makes its steps on any thread.
"""

import argparse
import ctypes
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.syscall.restype = ctypes.c_long

PTRACE_TRACEME, PTRACE_CONT, PTRACE_SETOPTIONS, PTRACE_GET_SYSCALL_INFO = 0, 7, 0x4200, 0x420E
# FORK, VFORK, CLONE, EXEC, SECCOMP, EXITKILL
OPTIONS = 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x100000
EVENT_SECCOMP = signal.SIGTRAP | 7 << 8
WAIT_ALL = 0x40000000
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_TRACE, SECCOMP_ALLOW = 0x7FF00000, 0x7FFF0000
AT_FDCWD = -100

# Name, number on x86_64 and on aarch64, and which arguments name a file: `p` a path, `a` a folder's
# descriptor and a path, `f` a descriptor, `s` a socket's address.
CALLS = [
    ("write", 1, 64, "0f"),
    ("open", 2, None, "0p"),
    ("ioctl", 16, 29, "0f"),
    ("pwrite64", 18, 68, "0f"),
    ("writev", 20, 66, "0f"),
    ("sendfile", 40, 71, "0f"),
    ("bind", 49, 200, "1s"),
    ("fsync", 74, 82, "0f"),
    ("fdatasync", 75, 83, "0f"),
    ("truncate", 76, 45, "0p"),
    ("ftruncate", 77, 46, "0f"),
    ("rename", 82, None, "0p1p"),
    ("mkdir", 83, None, "0p"),
    ("rmdir", 84, None, "0p"),
    ("creat", 85, None, "0p"),
    ("link", 86, None, "0p1p"),
    ("unlink", 87, None, "0p"),
    ("symlink", 88, None, "1p"),
    ("chmod", 90, None, "0p"),
    ("fchmod", 91, 52, "0f"),
    ("openat", 257, 56, "0a"),
    ("mkdirat", 258, 34, "0a"),
    ("unlinkat", 263, 35, "0a"),
    ("renameat", 264, 38, "0a2a"),
    ("linkat", 265, 37, "0a2a"),
    ("symlinkat", 266, 36, "1a"),
    ("fchmodat", 268, 53, "0a"),
    ("utimensat", 280, 88, "0a"),
    ("fallocate", 285, 47, "0f"),
    ("pwritev", 296, 70, "0f"),
    ("syncfs", 306, 267, "0f"),
    ("renameat2", 316, 276, "0a2a"),
    ("copy_file_range", 326, 285, "2f"),
    ("openat2", 437, 437, "0a"),
    ("fchmodat2", 452, 452, "0a"),
]
COLUMN = {"x86_64": 1, "aarch64": 2}[os.uname().machine]
BY_NUMBER = {call[COLUMN]: call for call in CALLS if call[COLUMN] is not None}
CLONES = (0x40049409, 0x4020940D)
WRITES = ("write", "pwrite64")
SYNCS = ("fsync", "fdatasync", "syncfs")
MEBI = 1 << 20


def ptrace(request, pid, address=0, data=0):
    if LIBC.ptrace(request, pid, address, data) < 0:
        raise ProcessLookupError(ctypes.get_errno())


def trace_me(command):
    """In the child: stop for the tracer, let only the calls above stop it from then on, run."""
    # Programs start as many threads as there are cores: with one they make their steps in an order
    # that is the same in each run.
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[os.getpid() % len(cores)]})
    ptrace(PTRACE_TRACEME, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    program = filter_program()
    memory = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(memory))
    LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if LIBC.prctl(PR_SET_SECCOMP, 2, ctypes.c_char_p(filter_), 0, 0) != 0:
        os._exit(126)
    os.execvp(command[0], command)


def filter_program():
    """Berkeley packet filter: stop at the calls above, but at `openat` only where it may create."""
    load_number = instruction(0x20, 0)
    program = load_number
    for number, (name, *_) in BY_NUMBER.items():
        matched = instruction(0x06, SECCOMP_TRACE)
        if name == "openat":
            flags = instruction(0x20, 16 + 8 * 2)
            only_reads = instruction(0x06, SECCOMP_ALLOW)
            matched = flags + instruction(0x45, os.O_CREAT | os.O_TRUNC, 1) + only_reads + matched
        program += instruction(0x15, number, 0, len(matched) // 8) + matched
    return program + instruction(0x06, SECCOMP_ALLOW)


def instruction(code, operand, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, operand)


def read_memory(pid, address, size):
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(address)
        return memory.read(size)


def read_text(pid, address):
    """A C string; it may end just before memory that cannot be read."""
    text = b""
    while b"\0" not in text:
        start = address + len(text)
        text += read_memory(pid, start, 4096 - start % 4096)
    return os.fsdecode(text[: text.index(b"\0")])


def path_at(pid, folder, text):
    folder = ctypes.c_int(folder & 0xFFFFFFFF).value
    base = f"/proc/{pid}/cwd" if folder == AT_FDCWD else f"/proc/{pid}/fd/{folder}"
    return os.path.normpath(os.path.join(os.readlink(base), text))


def target(pid, arguments, at, kind):
    if kind == "f":
        return os.readlink(f"/proc/{pid}/fd/{ctypes.c_int(arguments[at] & 0xFFFFFFFF).value}")
    if kind == "p":
        return path_at(pid, AT_FDCWD, read_text(pid, arguments[at]))
    if kind == "a":
        if arguments[at + 1] == 0:
            return target(pid, arguments, at, "f")
        return path_at(pid, arguments[at], read_text(pid, arguments[at + 1]))
    address = read_memory(pid, arguments[at], arguments[at + 1])
    if struct.unpack_from("H", address)[0] != socket.AF_UNIX:
        return ""
    return path_at(pid, AT_FDCWD, os.fsdecode(address[2:].split(b"\0")[0]))


def place(pid, name, arguments):
    """Where in the file a write goes, and whether it can only go to the end."""
    descriptor = arguments[0]
    if name == "pwrite64":
        return arguments[3], False
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as info:
        fields = dict(line.split(":\t", 1) for line in info)
    if int(fields["flags"], 8) & os.O_APPEND:
        return os.stat(f"/proc/{pid}/fd/{descriptor}").st_size, True
    return int(fields["pos"]), False


def changes_nothing(name, paths, arguments):
    """True for calls that only read, and for those that are bound to fail."""
    if name in ("open", "openat"):
        flags = arguments[1] if name == "open" else arguments[2]
        is_there = os.path.lexists(paths[0])
        return flags & os.O_TRUNC == 0 and (flags & os.O_CREAT == 0 or is_there)
    if name == "ioctl":
        return arguments[1] not in CLONES
    if name in ("mkdir", "mkdirat"):
        return os.path.lexists(paths[0]) or not os.path.lexists(os.path.dirname(paths[0]))
    if name in ("unlink", "unlinkat", "rmdir", "chmod", "fchmodat", "rename", "renameat"):
        return not os.path.lexists(paths[0])
    return False


class Tracer:
    def __init__(self, options):
        self.root = os.path.realpath(options.root)
        self.waits_for = options.from_
        self.copies = options.copies
        self.copy_at = {name: number for number, name in enumerate(options.copy)}
        self.kill_at = options.kill
        self.log = open(options.log, "w", encoding="utf-8")
        self.seen = {}
        self.ends = {}
        self.appended = set()

    def step(self, pid):
        """Takes note of the call that `pid` is about to make; False when all ends here."""
        memory = ctypes.create_string_buffer(88)
        ptrace(PTRACE_GET_SYSCALL_INFO, pid, 88, ctypes.addressof(memory))
        number, *arguments = struct.unpack_from("7Q", memory, 24)
        call, _, _, kinds = BY_NUMBER[number]
        paths = [target(pid, arguments, int(at), kind) for at, kind in zip(kinds[::2], kinds[1::2])]
        if not any(map(self.is_inside, paths)) or changes_nothing(call, paths, arguments):
            return True
        line, appends = {"call": call, "path": paths[0]}, False
        if len(paths) > 1:
            line["to"] = paths[1]
        if call in WRITES:
            line["offset"], appends = place(pid, call, arguments)
            line["bytes"] = arguments[2]
        name = self.name(line) if self.counts(line, appends) else None
        if name is not None:
            line["name"] = name
        if name in self.copy_at:
            self.copy(pid, line, arguments)
        ends = name is not None and name == self.kill_at
        if ends:
            line["killed"] = True
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()
        return not ends

    def is_inside(self, path):
        return path == self.root or path.startswith(self.root + "/")

    def counts(self, line, appends):
        path, to, size = line["path"], line.get("to", ""), line.get("bytes")
        if self.waits_for in path or self.waits_for in to:
            self.waits_for = ""
        last_end = self.ends.pop(path, None)
        if size is not None:
            end = self.ends[path] = line["offset"] + size
            goes_on = line["offset"] == last_end and end // MEBI == last_end // MEBI
            if appends and line["offset"] > 0:
                goes_on = path in self.appended
                self.appended.add(path)
            if goes_on:
                return False
        return not self.waits_for and line["call"] not in SYNCS

    def name(self, line):
        paths = [line["path"], line["to"]] if "to" in line else [line["path"]]
        rest = ", not its first bytes" if line.get("offset", 0) > 0 else ""
        name = line["call"] + " " + " -> ".join(map(self.short, paths)) + rest
        self.seen[name] = self.seen.get(name, 0) + 1
        return f"{name} #{self.seen[name]}"

    def short(self, path):
        path = os.path.relpath(path, self.root)
        path = re.sub(r"uploads/.+", "uploads/*", path)
        path = re.sub(r"127\.0\.0\.1:\d+", "*", path)
        return re.sub(r"(?<![0-9a-f])[0-9a-f]{8,32}(?![0-9a-f])", "*", path)

    def copy(self, pid, line, arguments):
        if not os.path.lexists(self.root):
            return
        to = os.path.join(self.copies, str(self.copy_at[line["name"]]))
        subprocess.run(["cp", "-a", self.root, to], check=True)
        half = line.get("bytes", 0) // 2
        if half > 0:
            subprocess.run(["cp", "-a", to, to + ".torn"], check=True)
            torn = os.path.join(to + ".torn", os.path.relpath(line["path"], self.root))
            with open(torn, "r+b") as file:
                file.seek(line["offset"])
                file.write(read_memory(pid, arguments[1], half))


def follow(tracer, leader):
    """Lets the program run to its end, or to the step at which it is killed."""
    known = {leader}
    while True:
        pid, status = os.waitpid(-1, WAIT_ALL)
        if os.WIFEXITED(status) or os.WIFSIGNALED(status):
            if pid == leader:
                return os.waitstatus_to_exitcode(status)
            continue
        stopped = os.WSTOPSIG(status)
        event = status >> 8
        # A new thread or process begins with a SIGSTOP that is the tracer's.
        is_new = pid not in known
        known.add(pid)
        own = is_new and stopped == signal.SIGSTOP or stopped == signal.SIGTRAP
        try:
            if event == EVENT_SECCOMP and not tracer.step(pid):
                os.kill(leader, signal.SIGKILL)
                return wait_until_gone(leader)
            ptrace(PTRACE_CONT, pid, 0, 0 if own else stopped)
        except (ProcessLookupError, FileNotFoundError):
            # Somebody else ended it while it was looked at.
            continue


def wait_until_gone(leader):
    while True:
        pid, status = os.waitpid(-1, WAIT_ALL)
        if pid == leader and os.WIFSIGNALED(status):
            return -signal.SIGKILL
        if os.WIFSTOPPED(status):
            ptrace(PTRACE_CONT, pid)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--from", dest="from_", default="")
    parser.add_argument("--copies")
    parser.add_argument("--copy", action="append", default=[])
    parser.add_argument("--kill")
    parser.add_argument("--log", required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    child = os.fork()
    if child == 0:
        trace_me(options.command)
    os.waitpid(child, 0)
    ptrace(PTRACE_SETOPTIONS, child, 0, OPTIONS)
    ptrace(PTRACE_CONT, child)
    code = follow(Tracer(options), child)
    sys.exit(code if code >= 0 else 128 - code)


main()
