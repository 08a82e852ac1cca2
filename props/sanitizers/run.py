#!/usr/bin/python3.11
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Compiles programs that have heaps of Stave for a tool, and runs each of them, and its twin, under it.

The tool must end a program, and its report must have what the program says; a twin must end with 0 and say nothing.
(Under valgrind, which is slow to start, all twins are one process.) Exits 77 where compiler or tool are not there.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
COMPILE = ["-std=c++20", "-O1", "-g", "-fno-omit-frame-pointer", "-fno-builtin", "-pthread", "-Wall", "-Wextra", "-Werror",
           f"-I{ROOT}/src", f"-I{ROOT}"]
TOOLS = {"address": ["-fsanitize=address"], "memory": ["-fsanitize=memory", "-fsanitize-memory-track-origins"],
         "thread": ["-fsanitize=thread"], "leak": ["-fsanitize=leak"], "valgrind": []}
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"]
# Without symbols a report takes a tenth of the time.
OPTIONS = {f"{letter}SAN_OPTIONS": "symbolize=0:exitcode=99" for letter in "AMTL"}


def judge(name, wrong, caught):
    said = wrong.stdout + wrong.stderr
    if wrong.returncode == 0 or not re.search(caught, said):
        yield f"{name} ended with {wrong.returncode}, and not with {caught!r}:\n{said[-3000:]}"


def judge_twin(name, right):
    said = right.stdout + right.stderr
    if right.returncode != 0 or said:
        yield f"the twin of {name} ended with {right.returncode}:\n{said[-3000:]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", required=True, help="libstave-sanitizers.a")
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--tool", required=True, choices=TOOLS)
    parser.add_argument("--profiles", default="light,default,strict,fuzz")
    parser.add_argument("--only", default="", help="a regular expression of names")
    parser.add_argument("--build", required=True, type=pathlib.Path, help="where the binary goes")
    parser.add_argument("source", type=pathlib.Path)
    arguments = parser.parse_args()
    valgrind = VALGRIND if arguments.tool == "valgrind" else []
    for command in (arguments.compiler, *valgrind[:1]):
        if not shutil.which(command):
            print(f"{command} is not here")
            return 77
    arguments.build.mkdir(parents=True, exist_ok=True)
    binary = arguments.build / f"{arguments.source.stem}-{arguments.tool}-{arguments.compiler}"
    subprocess.run([arguments.compiler, *COMPILE, *TOOLS[arguments.tool], arguments.source, arguments.archive, "-o", binary], check=True)

    environment = {name: value for name, value in os.environ.items() if name not in OPTIONS and name != "STAVE_OPTIONS"} | OPTIONS

    def run(*command):
        return subprocess.run([*command], env=environment, capture_output=True, text=True, errors="replace", timeout=120, check=False)

    cases = [line.split("\t") for line in run(binary, "--list").stdout.splitlines()]
    cases = [(name, caught) for name, caught in cases if re.search(arguments.only, name)]
    problems = []
    for profile in arguments.profiles.split(","):
        for name, caught in cases:
            problems += judge(f"{name}, profile {profile},", run(*valgrind, binary, name, "wrong", profile), caught)
        for name in ["all"] if valgrind else [name for name, _ in cases]:
            problems += judge_twin(f"{name}, profile {profile},", run(*valgrind, binary, name, "right", profile))
    for problem in problems:
        print(problem)
    print(f"{arguments.source.stem} under {arguments.tool}, {arguments.compiler}: {len(cases)} programs and their twins, "
          f"profiles {arguments.profiles}, {len(problems)} problems")
    return 1 if problems or not cases else 0


sys.exit(main())
