#!/usr/bin/python3.11
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Conformance tests that look at a program from outside.

info      malloc_info writes XML that parses, malloc_stats writes to standard error
served    python runs on Stave, whose own counter of served calls says so
linkage   the library needs libc.so.6 alone; its thread-local storage is initial-exec and small
"""

import argparse
import os
import re
import subprocess
import sys
import xml.etree.ElementTree


def run(command, library=None, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "STAVE_OPTIONS")}
    environment.update(variables)
    if library:
        environment["LD_PRELOAD"] = os.path.abspath(library)
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        sys.exit(f"{command}: exit {result.returncode}, stderr: {result.stderr[:1000]}")
    return result


def info(arguments):
    result = run([arguments.program], arguments.library, CONFORMANCE_ON="stave" if arguments.library else "glibc")
    root = xml.etree.ElementTree.fromstring(result.stdout)
    if root.tag != "malloc":
        sys.exit(f"malloc_info's root element is {root.tag}, and glibc's is malloc")
    if "version" not in root.attrib:
        sys.exit("malloc_info's root element has no version")
    if not re.search(r"\d", result.stderr):
        sys.exit(f"malloc_stats wrote no number to standard error: {result.stderr!r}")
    print(f"malloc_info: {len(list(root.iter()))} elements; malloc_stats: {len(result.stderr.splitlines())} lines")


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
    parser.add_argument("what", choices=["info", "served", "linkage"])
    parser.add_argument("--program")
    parser.add_argument("--library")
    arguments = parser.parse_args()
    if arguments.library and not os.path.isfile(arguments.library):
        sys.exit(f"{arguments.library} is missing")
    {"info": info, "served": served, "linkage": linkage}[arguments.what](arguments)


if __name__ == "__main__":
    main()
