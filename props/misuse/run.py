#!/usr/bin/python3.11
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Runs one misuse program, also as its control twin (misuse.hpp), and judges how each of them ended.

In the profiles that promise to stop it, the misuse must end by SIGABRT with exactly the expected fault id on the first line
of standard error, naming the address that the program announced; FAULT guard means SIGSEGV at the announced access, or
where the profile handles that signal, the fault that the program's name says. In the others it must end as --elsewhere says. The control must exit 0 and say nothing, in every profile. Everything else is a
failure with a text of its own: a death by the wrong check, a crash that is not the expected one, a program that does not
start or does not run on Stave, a time-out.

Ends that are no fault's: "unnoticed", the misuse did its harm and the program went on; "missed", the program guessed
what Stave would do, guessed wrong, and so did no harm; "crash", anything else.
"""

import argparse
import itertools
import json
import os
import re
import resource
import signal
import subprocess
import sys

FIRST_LINE = re.compile(
    r"^stave: (?P<id>[a-z-]+): (?P<address>0x[0-9a-f]+) \((?P<detail>[^()]*)\) "
    r"pid (?P<pid>\d+) (?P<path>\S+) see SECURITY\.md#(?P<anchor>[a-z-]+)$")
# `samples` is fuzz with every allocation a guarded sample; in the others none is.
PROFILES = ("light", "default", "strict", "fuzz", "samples")
MODES = {"advice": "", "mprotect": ":guard_advice=0"}
MARKER = re.compile(r"^touching (?P<address>0x[0-9a-f]+) pid (?P<pid>\d+)$", re.M)

# The faults whose report names the pointer that the caller passed. A metadata fault names the damaged word instead.
NAMES_THE_POINTER = {"foreign-pointer", "interior-pointer", "misaligned-pointer", "double-free", "freed-pointer",
                     "never-allocated", "overflow", "underflow", "write-after-free", "family-mismatch", "size-mismatch",
                     "alignment-mismatch", "out-of-bounds-copy", "use-after-free"}

# Profiles with handle_sigsegv, and what a program whose fault is `guard` then dies of, by its name.
HANDLES = {"strict", "fuzz", "samples"}
GUARDS = {"zero_size_freed": "use-after-free", "zero_size": "overflow", "guard_overflow": "overflow",
          "guard_underflow": "underflow", "guard_behind_header": "underflow", "guard_emptied": "use-after-free",
          "guard_freed": "use-after-free", "read_after_free": "use-after-free", "write_after_free": "use-after-free"}

NO_MEMORY, NOT_SERVED = 98, 99


class Failure(Exception):
    pass


def signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def excerpt(text, limit=600):
    text = text.strip()
    return text if len(text) <= limit else text[:limit] + " [...]"


def run(command, environment, timeout):
    """Runs a program in a session of its own, so that a time-out ends its children too. -> (code, stdout, stderr)"""
    try:
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        raise Failure(f"does not start: {error}")
    try:
        out, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        raise Failure(f"did not end within {timeout} s; stdout: {excerpt(out.decode(errors='replace'))!r}, "
                      f"stderr: {excerpt(err.decode(errors='replace'))!r}")
    err = re.sub(r"^qemu: uncaught target signal .*\n", "", err.decode(errors="replace"), flags=re.M)
    return child.returncode, out.decode(errors="replace"), err


def check_started(code, out, err):
    """Ends that say nothing about the allocator, whichever twin it was."""
    if "ld.so: object" in err or "error while loading shared libraries" in err:
        raise Failure(f"the loader refused the library: {excerpt(err)}")
    if code == NOT_SERVED:
        raise Failure("Stave does not serve this process (no stave_verify in it)")
    if code == NO_MEMORY:
        raise Failure("an allocation before the misuse failed")
    if code in (126, 127):
        raise Failure(f"could not be executed: exit {code}, stderr: {excerpt(err)!r}")


def judge_control(code, out, err):
    check_started(code, out, err)
    if code < 0:
        raise Failure(f"died by {signal_name(-code)}, and must exit 0; stderr: {excerpt(err)!r}")
    if code != 0:
        raise Failure(f"exited {code}, and must exit 0; stderr: {excerpt(err)!r}")
    if MARKER.search(out):
        raise Failure("announced a misuse, and is the twin without one")
    if "survived\n" not in out:
        raise Failure("did not reach its end")
    if err:
        raise Failure(f"wrote to stderr: {excerpt(err)!r}")


def outcome_of(code, out, err):
    """How the misuse ended, in one word: a fault id, guard, unnoticed, missed or crash."""
    check_started(code, out, err)
    if not MARKER.search(out):
        how = signal_name(-code) if code < 0 else f"exit {code}"
        raise Failure(f"ended before its misuse, by {how}; stderr: {excerpt(err)!r}")
    match = FIRST_LINE.match(err.split("\n", 1)[0])
    if match and code == -signal.SIGABRT:
        return match["id"]
    if err:
        return "crash"
    if code == 0 and out.endswith(("survived\n", "missed\n")):
        return "unnoticed" if out.endswith("survived\n") else "missed"
    return "guard" if code == -signal.SIGSEGV and "survived\n" not in out else "crash"


def judge_misuse(code, out, err, fault, program):
    outcome = outcome_of(code, out, err)
    if fault in ("unnoticed", "missed") or outcome == "missed":
        if outcome != fault:
            raise Failure(f"ended as {outcome}, and must end as {fault}; stderr: {excerpt(err)!r}")
        return
    marker = MARKER.search(out)
    first = err.split("\n", 1)[0]
    if "survived\n" in out:
        raise Failure(f"survived its misuse and ended by {signal_name(-code) if code < 0 else f'exit {code}'}"
                      f"; stderr: {excerpt(err)!r}")
    if fault == "guard":
        if code != -signal.SIGSEGV:
            raise Failure(f"ended by {signal_name(-code) if code < 0 else f'exit {code}'}, and must fault at the access; "
                          f"stderr: {excerpt(err)!r}")
        if err:
            raise Failure(f"faulted, but wrote to stderr before: {excerpt(err)!r}")
        return
    if code >= 0:
        raise Failure(f"exited {code} without a fault; stderr: {excerpt(err)!r}")
    match = FIRST_LINE.match(first)
    if not match:
        raise Failure(f"died by {signal_name(-code)}, but its first line is not a fault report: {excerpt(err)!r}")
    if match["id"] != fault:
        raise Failure(f"died as {match['id']}, and must die as {fault}: {first}")
    if match["anchor"] != fault:
        raise Failure(f"names SECURITY.md#{match['anchor']} for {fault}: {first}")
    if code != -signal.SIGABRT:
        raise Failure(f"reported {fault}, but ended by {signal_name(-code)} instead of SIGABRT")
    if match["pid"] != marker["pid"]:
        raise Failure(f"reported pid {match['pid']}, and is {marker['pid']}: {first}")
    if match["path"] != os.path.realpath(program):
        raise Failure(f"reported {match['path']}, and is {os.path.realpath(program)}: {first}")
    if fault in NAMES_THE_POINTER and int(match["address"], 16) != int(marker["address"], 16):
        raise Failure(f"reported {match['address']}, and the misuse was at {marker['address']}: {first}")


def judge_elsewhere(code, out, err, expected):
    """In a profile that does not promise to stop the misuse."""
    outcome = outcome_of(code, out, err)
    if expected not in ("any", outcome):
        raise Failure(f"ended as {outcome}, and is said to end as {expected} where nothing is promised; stderr: {excerpt(err)!r}")


def expected_end(end, profile, program):
    if end != "guard" or profile not in HANDLES:
        return end
    name = os.path.basename(program).removeprefix("misuse_")
    return next((named for prefix, named in GUARDS.items() if name.startswith(prefix)), end)


def declared_faults(source):
    """What the first line names: several where one source makes programs of several ends."""
    with open(source, encoding="utf-8") as file:
        match = re.fullmatch(r"// FAULT: ([a-z-]+(?: [a-z-]+)*)\n", file.readline())
    if not match:
        raise Failure(f"{source} does not begin with '// FAULT: <id>'")
    return match[1].split()


def options_of(profile, guards, *more):
    # Whether a few allocations more are samples would be left to chance.
    sampled = "fuzz" if profile == "samples" else f"{profile}:sample_interval=0"
    return ":".join(filter(None, (f"profile={sampled}{MODES[guards]}", *more)))


def environment_of(options, library, emulator, control=False):
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("LD_PRELOAD", "STAVE_OPTIONS", "MISUSE_CONTROL")}
    environment["STAVE_OPTIONS"] = options
    if control:
        environment["MISUSE_CONTROL"] = "1"
    if library:
        # An emulator must not take it for itself.
        environment["QEMU_SET_ENV" if emulator else "LD_PRELOAD"] = (
            ("LD_PRELOAD=" if emulator else "") + os.path.abspath(library))
    return environment


def parse(words=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fault", required=True, help="the id that must be reported, or guard, missed, unnoticed")
    parser.add_argument("--source", help="the program's source, whose first line must name the same fault")
    parser.add_argument("--program", required=True, help="the program with the misuse; with MISUSE_CONTROL set, without")
    parser.add_argument("--library", help="libstave.so, preloaded; without it the programs contain Stave themselves")
    parser.add_argument("--emulator", default="", help="the command that runs the programs")
    parser.add_argument("--profiles", default="light,default,strict,fuzz",
                        help="those that promise the fault; `samples` is fuzz with every allocation a guarded sample; in the "
                        "others none is")
    parser.add_argument("--elsewhere", default="", help="how it ends in each other profile: <profile>=<end>,... where an end "
                        "is a fault id, guard, missed, unnoticed, or any, which is not looked at")
    parser.add_argument("--guards", default=",".join(MODES), help="how guard pages are laid")
    parser.add_argument("--options", default="", help="more of STAVE_OPTIONS, behind profile and guard mode")
    parser.add_argument("--timeout", type=float, default=20)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--outcomes", action="store_true",
                        help="judge nothing: print a line of JSON for each profile and way to lay guards, with the misuse's end")
    arguments = parser.parse_args(words)
    arguments.promised = arguments.profiles.split(",")
    arguments.elsewhere = dict(part.split("=", 1) for part in arguments.elsewhere.split(",") if part)
    return arguments


def outcomes(arguments, profiles, more=""):
    """Yields (profile, guards, end) of the misuse; `more` are options behind all others."""
    for profile, guards in itertools.product(profiles, arguments.guards.split(",")):
        options = options_of(profile, guards, arguments.options, more)
        environment = environment_of(options, arguments.library, arguments.emulator)
        end = run([*arguments.emulator.split(), os.path.abspath(arguments.program)], environment, arguments.timeout)
        yield profile, guards, outcome_of(*end)


def limit_children():
    """No core files, and no runaway."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
    resource.setrlimit(resource.RLIMIT_DATA, (4 << 30, 4 << 30))


def main():
    arguments = parse()
    limit_children()
    name = os.path.basename(arguments.program)
    if arguments.outcomes:
        for profile, guards, end in outcomes(arguments, (*arguments.promised, *arguments.elsewhere)):
            print(json.dumps({"program": name, "profile": profile, "guards": guards, "outcome": end}))
        return 0

    emulator = arguments.emulator.split()
    failures = []
    runs = 0
    try:
        if arguments.source and arguments.fault not in (declared := declared_faults(arguments.source)):
            raise Failure(f"{arguments.source} declares {' '.join(declared)}, the build {arguments.fault}")
        for path in filter(None, (arguments.program, arguments.library)):
            if not os.path.isfile(path):
                raise Failure(f"{path} is missing")
    except Failure as failure:
        failures.append(str(failure))
    else:
        for profile, guards in itertools.product((*arguments.promised, *arguments.elsewhere), arguments.guards.split(",")):
            options = options_of(profile, guards, arguments.options)
            fault = expected_end(arguments.fault, profile, arguments.program)
            if profile in arguments.promised:
                def judge(*end, expected=fault):
                    judge_misuse(*end, expected, arguments.program)
            else:
                def judge(*end, expected=expected_end(arguments.elsewhere[profile], profile, arguments.program)):
                    judge_elsewhere(*end, expected)
            for judge_twin, what in ((judge_control, "control"), (judge, "misuse")):
                runs += 1
                environment = environment_of(options, arguments.library, emulator, what == "control")
                try:
                    end = run([*emulator, os.path.abspath(arguments.program)], environment, arguments.timeout)
                    judge_twin(*end)
                    if arguments.verbose:
                        print(f"{what} [{options}] as expected: {end[2].splitlines()[:1]}")
                except Failure as failure:
                    failures.append(f"{what} [{options}] {failure}")
    for failure in failures:
        print(f"FAILED {name}: {failure}")
    if not failures:
        print(f"{name}: {arguments.fault} in {', '.join(arguments.promised)}: {runs // 2} configurations")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
