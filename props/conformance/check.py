#!/usr/bin/python3.11
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Conformance tests that look at a program from outside.

info                  what malloc_info, malloc_stats and mallinfo2 tell of a heap of some shape: the format here, the numbers in info.cpp
served                python runs on Stave, whose own counter of served calls says so
log                   what Stave says goes to descriptor 2, to a file or to another descriptor; reports of faults to both
configuration         /etc/stave.conf counts below STAVE_OPTIONS, and a bad one not at all
foreign_pointer_warn  a stranger's pointer that is freed a thousand times is reported once
many_threads          a thousand threads that have a little of twenty sizes cost no more than three times what glibc takes
own_malloc            a program that has a malloc of its own is told so once, if it asked
core                  what a program of 50 MiB dumps is not larger than what is resident of it, and 16 MiB (77: not dumped into a file here)
footprint             a small program on Stave needs at most 256 KiB of memory of its own more than without, and 640 KiB
                      with the pages of the library, which all programs share
privileged            a set-user-ID program ignores STAVE_OPTIONS, which the same program otherwise heeds (77: not root)
report_json           a report is a line of JSON as well, where that is asked for
checked_memory        a memory function that leaves an allocation is seen where that is checked, and the library does not call its own
linkage               the library needs libc.so.6 alone; its thread-local storage is initial-exec and small
"""

import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def run(command, library=None, end=0, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "STAVE_OPTIONS")}
    environment.update(variables)
    if library:
        environment["LD_PRELOAD"] = os.path.abspath(library)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != end:
        sys.exit(f"{command}: exit {result.returncode}, stderr: {result.stderr[:1000]}")
    return result


def info(arguments):
    result = run([arguments.program, arguments.shape], arguments.library, CONFORMANCE_ON="stave" if arguments.library else "glibc")
    root = xml.etree.ElementTree.fromstring(result.stdout)
    if root.tag != "malloc" or root.get("version") != "1":
        sys.exit(f"malloc_info's root element is {root.tag} {root.attrib}, and glibc's is malloc, version 1")
    # What programs that know glibc's look for.
    for tag, types, attributes in (("total", {"fast", "rest", "mmap"}, ("count", "size")),
                                   ("system", {"current"}, ("size",)), ("aspace", {"total"}, ("size",))):
        missing = types - {element.get("type") for element in root.findall(tag) if all(element.get(a, "").isdigit() for a in attributes)}
        if missing:
            sys.exit(f"malloc_info has no <{tag} type={missing} ...> with {attributes}: {result.stdout}")
    for line in ("system bytes", "in use bytes"):
        if not re.search(rf"^{line} +=\s+\d+$", result.stderr, re.M):
            sys.exit(f"malloc_stats wrote no {line} to standard error: {result.stderr!r}")
    print(result.stderr)


def served(arguments):
    # What python allocates by itself depends on what is installed: here are 20,000 blocks that are too large for its own
    # allocator, and with PYTHONMALLOC=malloc as many small ones.
    script = ("print('libstave' in open('/proc/self/maps').read()); print('hello'); "
              "large = [bytes(1000) for _ in range(20000)]; small = [[i] for i in range(20000)]")
    for least, variables in ((20000, {}), (40000, {"PYTHONMALLOC": "malloc"})):
        result = run(["/usr/bin/python3.11", "-c", script], arguments.library, STAVE_OPTIONS="stats=1", **variables)
        if result.stdout != "True\nhello\n":
            sys.exit(f"libstave.so is not in the maps of python: {result.stdout!r}")
        match = re.search(r"^stave: calls_served (\d+)$", result.stderr, re.M)
        if not match:
            sys.exit(f"no line 'stave: calls_served N' on standard error: {result.stderr!r}")
        if int(match[1]) <= least:
            sys.exit(f"{match[1]} calls were served, and must be more than {least} {variables}")
        print(f"calls served: {match[1]} (at least {least} expected) {variables}")


def expect(what, found, *parts):
    """`found` must be these parts, in this order, and each may stand for any text that its pattern matches."""
    if not re.fullmatch("".join(parts), found):
        sys.exit(f"{what}: {found!r} is not {''.join(parts)!r}")


STATISTICS = r"stave: statistics of pid \d+ \S+\n(stave: [a-z_]+ \d+\n){12}"
REPORT = (r"stave: foreign-pointer: 0x8 .*\nstave:   check: .*\nstave:   likely cause: .*\n"
          r"stave:   STAVE_OPTIONS=foreign_pointer=warn leaves this check out\n")
FREE_8 = ["/usr/bin/python3.11", "-c", "import ctypes; ctypes.CDLL(None).free(ctypes.c_void_p(8))"]


def log(arguments):
    library = arguments.library
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "log")

        def logged():
            with open(path, encoding="utf-8") as file:
                return file.read()

        expect("stderr", run(["/bin/true"], library, STAVE_OPTIONS="stats=1").stderr, STATISTICS)
        for _ in range(2):
            expect("stderr", run(["/bin/true"], library, STAVE_OPTIONS=f"stats=1:log_file={path}:x=1").stderr, "")
        expect("log", logged(), "(", "stave: STAVE_OPTIONS: unknown option 'x'.*\n", STATISTICS, "){2}")
        os.truncate(path, 0)
        expect("stderr", run(FREE_8, library, end=-signal.SIGABRT, STAVE_OPTIONS=f"log_file={path}").stderr, REPORT)
        expect("log", logged(), REPORT)
        # With descriptor 2 closed the report is in the log all the same, and descriptors as low as 2 are the program's.
        os.truncate(path, 0)
        run(["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *FREE_8], library, end=-signal.SIGABRT, STAVE_OPTIONS=f"log_file={path}")
        expect("log", logged(), REPORT)
        os.truncate(path, 0)
        shell = ["/bin/sh", "-c", f"exec /bin/true 7>>'{path}'"]
        expect("stderr", run(["/usr/bin/env", f"LD_PRELOAD={library}", "STAVE_OPTIONS=stats=1:log_fd=7", *shell]).stderr,
               "stave: log_fd: cannot use descriptor 7, errno 9\n", STATISTICS.replace("true", "sh"), "|",
               "stave: log_fd: cannot use descriptor 7, errno 9\n")
        expect("log", logged(), STATISTICS)
        expect("stderr", run(["/bin/true"], library, STAVE_OPTIONS="log_file=/proc/none").stderr,
               "stave: log_file: cannot open '/proc/none', errno 2\n")
    print("descriptor 2, a file, a descriptor")


def configuration(arguments):
    """In a mount namespace whose /etc holds stave.conf alone."""
    namespace = ["unshare", "--mount", "--propagation", "private"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    prepare = "mount -t tmpfs none /etc"
    if subprocess.run([*namespace, "/bin/sh", "-c", prepare], capture_output=True, check=False).returncode != 0:
        print("no mount namespace can be made here")
        sys.exit(77)

    def said(make_file, options="", program="/bin/true"):
        script = f"{prepare} && {make_file} && LD_PRELOAD='{arguments.library}' STAVE_OPTIONS='{options}' exec {program}"
        result = run([*namespace, "/bin/sh", "-c", script])
        return result.stdout + result.stderr

    started = "stave: started, profile {}\n"
    write = "printf '%b' '{}' >/etc/stave.conf".format
    expect("without a file", said("true", "verbose=1"), started.format("default"))
    expect("a file", said(write("# all\\nprofile=strict\\nverbose=1\\n")), started.format("strict"))
    expect("both", said(write("profile=strict\\nstats=1\\n"), "verbose=1"), started.format("strict"), STATISTICS)
    expect("the variable wins", said(write("profile=strict\\nverbose=1\\n"), "profile=light:verbose=1"), started.format("light"))
    bad = "stave: /etc/stave.conf: {}; the file is not used\n"
    expect("a bad file", said(write("verbose=1\\nprofile=x\\ny\\n")), bad.format("unknown profile 'x' .*"))
    expect("a bad file", said(write("profile=light\\nx=1\\n"), "verbose=1"), bad.format("unknown option 'x' .*"), started.format("default"))
    expect("a directory", said("mkdir /etc/stave.conf"), bad.format("not a plain file"))
    expect("a log", said(write("log_file=/etc/log\\nx\\n")), bad.format("no value given to option 'x' .*"))
    expect("a log", said(write("log_file=/etc/a:b\\nverbose=1\\n"), program="/bin/cat /etc/a:b"),
           started.format("default"))
    print("without a file, with one, with both, with bad ones")


def foreign_pointer_warn(arguments):
    stderr = run([arguments.program, arguments.plugin, "warn"], arguments.library,
                 STAVE_OPTIONS="keep_deepbind=1:foreign_pointer=warn").stderr
    expect("stderr", stderr, REPORT.replace("0x8", "0x[0-9a-f]+"), "stave:   nothing is done with it, .*\n")
    print("reported once")


def many_threads(arguments):
    for count in ("1", "5", "12"):
        def kib(library):
            return [int(number) for number in run([arguments.program, "1000", count], library).stdout.split()]
        glibc, stave = kib(None), kib(arguments.library)
        print(f"{count} of each size: glibc {glibc[0]} KiB, Stave {stave[0]}; when they have ended {glibc[1]} and {stave[1]}")
        if stave[0] > 3 * glibc[0]:
            sys.exit("more than three times as much")
        if stave[1] > stave[0] / 2 + 4096 and stave[1] > 3 * glibc[1]:
            sys.exit("hardly anything is given back")


def own_malloc(arguments):
    for options, said in (("", ""), ("verbose=1", r"stave: started, .*\n" + "".join(
            rf"stave: {name} of this program is not Stave's, .* it comes from {re.escape(arguments.program)}\n"
            for name in ("malloc", "free")))):
        result = run([arguments.program], arguments.library, STAVE_OPTIONS=options)
        expect("stdout", result.stdout, "mine\n")
        expect("stderr", result.stderr, said)
    print("said when asked")


def core(arguments):
    with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
        pattern = file.read().strip()
    if pattern.startswith("|") or "/" in pattern:
        print(f"not run: core dumps go to {pattern}")
        sys.exit(77)
    environment = dict(os.environ, LD_PRELOAD=os.path.abspath(arguments.library))
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    with tempfile.TemporaryDirectory() as folder:
        result = subprocess.run([arguments.program, "core"], env=environment, cwd=folder, stdout=subprocess.PIPE, text=True, timeout=120,
                                check=False, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, unlimited))
        dumps = list(pathlib.Path(folder).iterdir())
        if result.returncode != -signal.SIGABRT or len(dumps) != 1:
            sys.exit(f"exit {result.returncode}, dumped {dumps}")
        resident, size = int(result.stdout), dumps[0].stat()
    print(f"resident {resident >> 20} MiB, dumped {size.st_size >> 20} MiB, of which {size.st_blocks * 512 >> 20} take room on the disk")
    if size.st_size > resident + (24 << 20):
        sys.exit("the dump is too large")


def footprint(arguments):
    def peak_kib(preload):
        with tempfile.NamedTemporaryFile(mode="r") as result:
            run([arguments.measure, result.name, preload, "60", "/bin/true"])
            return int(result.read().split()[3])

    # The kernel counts in batches of pages, for each processor: on one, the least of many is what is needed.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    without, on = (min(peak_kib(preload) for _ in range(40)) for preload in ("-", os.path.abspath(arguments.library)))
    print(f"/bin/true: {without} KiB without, {on} KiB on Stave")
    if on > without + 640:
        sys.exit(f"{on - without} KiB more")

    def anonymous_kib(library):
        rollup = run(["cat", "/proc/self/smaps_rollup"], library=library).stdout
        return int(re.search(r"^Anonymous:\s+(\d+) kB", rollup, re.M)[1])

    without, on = (min(anonymous_kib(library) for _ in range(10)) for library in (None, arguments.library))
    print(f"/bin/cat, anonymous memory: {without} KiB without, {on} KiB on Stave")
    if on > without + 256:
        sys.exit(f"{on - without} KiB more of its own")


def privileged(arguments):
    if os.geteuid() != 0:
        print("not run: needs root")
        sys.exit(77)
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        program = pathlib.Path(folder, "program")
        shutil.copy(arguments.program, program)
        for mode, heeded in ((0o755, True), (0o4755, False)):
            program.chmod(mode)
            result = subprocess.run([program, "told"], env={"STAVE_OPTIONS": "help=1:verbose=1:stats=1:nonsense=1:log_file=hostile"}, cwd=folder, user=nobody,
                                    group=nobody, extra_groups=[], capture_output=True, text=True, timeout=60, check=True)
            lines = [line for line in result.stderr.splitlines() if line.startswith("stave: ")]
            print(f"mode {mode:o}: {len(lines)} lines of Stave's")
            if bool(lines) != heeded:
                sys.exit(f"mode {mode:o}: {result.stderr[:1000]!r}")
        if os.listdir(folder) != ["program"]:
            sys.exit(f"something was written: {os.listdir(folder)}")


def report_json(arguments):
    """Each report is a line of JSON as well, which says the same."""
    for options, fault in (("profile=strict", "out-of-bounds-copy"), ("profile=fuzz", "out-of-bounds-copy")):
        result = run([arguments.program, "beyond"], arguments.library, end=-signal.SIGABRT, STAVE_OPTIONS=f"{options}:report_json=1")
        lines = [line for line in result.stderr.splitlines() if line.startswith("{")]
        if len(lines) != 1:
            sys.exit(f"{options}: {len(lines)} lines of JSON in {result.stderr!r}")
        report = json.loads(lines[0])
        first = result.stderr.splitlines()[0]
        if report["stave"] != "report 1" or report["fault"] != fault or not first.startswith(f"stave: {fault}: {report['address']} ") or \
                f" pid {report['pid']} {report['program']} " not in first or report["option"] != "checked_memory=0":
            sys.exit(f"{options}: {report} is not what {first!r} says")
    print("read as JSON, and compared with the text")


def checked_memory(arguments):
    """A read beyond an allocation ends the program where the option is on, and the library has what is needed."""
    report = (r"stave: out-of-bounds-copy: 0x[0-9a-f]+ \(chunk .*, state live\) .*\nstave:   check: .*\n"
              r"stave:   memcpy would read \d+ bytes there, 1 beyond the end of the allocation of \d+ bytes at 0x[0-9a-f]+\n"
              r"stave:   likely cause: .*\nstave:   STAVE_OPTIONS=checked_memory=0 leaves this check out\n")
    for options, seen in (("profile=light", False), ("profile=default", False), ("profile=strict", True), ("profile=fuzz:sample_interval=0", True),
                          ("profile=strict:checked_memory=0", False), ("profile=default:checked_memory=1", True)):
        result = run([arguments.program, "beyond"], arguments.library, end=-signal.SIGABRT if seen else 0, STAVE_OPTIONS=options)
        expect(options, result.stderr, report if seen else "")
        expect(options, result.stdout, "" if seen else "survived\n")
    result = run([arguments.static, "beyond"], STAVE_OPTIONS="profile=strict")
    expect("statically", result.stdout + result.stderr, "survived\n")
    with open(ROOT / "src/api/memory.def", encoding="utf-8") as file:
        names = set(re.findall(r"^STAVE_MEMORY\((\w+),", file.read(), re.M))
    defined = {line.split()[-1] for line in run(["nm", "--defined-only", arguments.archive]).stdout.splitlines() if " T " in line}
    if len(names) < 40 or "malloc" not in defined or names & defined:
        sys.exit(f"the archive defines {sorted(names & defined)}")
    calls = run(["objdump", "-d", "--no-show-raw-insn", arguments.library]).stdout
    own = set(re.findall(r"(?:call|jmp|b|bl)\s.*<(\w+)>$", calls, re.M)) & names
    relocated = set(re.findall(r" (\w+)(?:@\S+)? \+ 0$", run(["readelf", "-rW", arguments.library]).stdout, re.M))
    if own | (relocated & names) or "memchr" not in relocated:
        sys.exit(f"the library itself calls what it checks: {sorted(own | relocated & names)}")
    print("seen by libstave.so where it is on, and not by the archive; the library's own calls go to libc")


def linkage(arguments):
    dynamic = run(["readelf", "-dW", arguments.library]).stdout
    needed = re.findall(r"\(NEEDED\)\s+Shared library: \[(.*)\]", dynamic)
    if needed != ["libc.so.6"]:
        sys.exit(f"needs {needed}, and must need libc.so.6 alone")
    segments = run(["readelf", "-lW", arguments.library]).stdout
    match = re.search(r"^\s+TLS\s+\S+\s+\S+\s+\S+\s+\S+\s+(0x[0-9a-f]+)", segments, re.M)
    size = int(match[1], 16) if match else 0
    if size > 128:
        sys.exit(f"{size} bytes of thread-local storage, and at most 128 are allowed")
    relocations = run(["readelf", "-rW", arguments.library]).stdout
    dynamic_model = re.findall(r"R_X86_64_(?:DTPMOD64|DTPOFF64|TLSDESC)|R_AARCH64_(?:TLS_DTPMOD|TLS_DTPREL|TLSDESC)", relocations)
    if dynamic_model or "__tls_get_addr" in run(["readelf", "--dyn-syms", "-W", arguments.library]).stdout:
        sys.exit(f"thread-local storage is not initial-exec: {dynamic_model}")
    print(f"needs libc.so.6 alone; {size} bytes of thread-local storage, initial-exec")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    checks = {check.__name__: check for check in (info, served, log, configuration, foreign_pointer_warn, own_malloc, many_threads,
                                                core, footprint, privileged, checked_memory, report_json, linkage)}
    parser.add_argument("what", choices=checks)
    parser.add_argument("--program")
    parser.add_argument("--plugin")
    parser.add_argument("--shape", help="of the heap, for info")
    parser.add_argument("--measure", help="props/bench/measure.c, for footprint")
    parser.add_argument("--static", help="the program with the archive inside, for checked_memory")
    parser.add_argument("--archive", help="libstave.a")
    parser.add_argument("--library")
    arguments = parser.parse_args()
    if arguments.library and not os.path.isfile(arguments.library):
        sys.exit(f"{arguments.library} is missing")
    checks[arguments.what](arguments)


if __name__ == "__main__":
    main()
