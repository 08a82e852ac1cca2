#!/usr/bin/python3.11
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""The runner must go red for each way in which a program can end wrongly. Shell scripts play the programs."""

import json
import os
import stat
import subprocess
import sys
import tempfile
import unittest

RUNNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run.py")

MARK = "echo touching 0x7f0000001000 pid $$\n"
REPORT = ("echo \"stave: {id}: {address} (chunk 0x7f0000000000, size class 64, slot 17, state held) pid $$ $0 "
          "see SECURITY.md#{id}\" >&2\n")
GOOD_REPORT = REPORT.format(id="double-free", address="0x7f0000001000")
ABORT = "kill -ABRT $$\n"
GOOD = MARK + GOOD_REPORT + ABORT
GOOD_CONTROL = "echo survived\n"


class RunnerTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def script(self, name, body, control=GOOD_CONTROL):
        path = os.path.join(self.folder.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nif [ -n \"$MISUSE_CONTROL\" ]; then\n{control}exit\nfi\n{body}")
        os.chmod(path, stat.S_IRWXU)
        return path

    def judge(self, misuse=GOOD, control=GOOD_CONTROL, fault="double-free", **extra):
        program = extra.pop("program", None) or self.script("program", misuse, control)
        command = [sys.executable, RUNNER, "--fault", fault, "--program", program, "--timeout", "2", "--profiles", "default",
                   "--guards", "advice"]
        for name, value in extra.items():
            command += [f"--{name}"] + ([value] if value else [])
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        return result.returncode, result.stdout

    def assert_red(self, text, **arguments):
        code, out = self.judge(**arguments)
        self.assertEqual(code, 1, out)
        self.assertIn(text, out)

    def test_accepts_the_expected_end(self):
        code, out = self.judge()
        self.assertEqual(code, 0, out)

    def test_accepts_a_fault_at_a_guard(self):
        code, out = self.judge(misuse=MARK + "kill -SEGV $$\n", fault="guard")
        self.assertEqual(code, 0, out)

    def test_a_guard_in_a_profile_that_handles_it(self):
        report = REPORT.format(id="overflow", address="0x7f0000001000")
        program = self.script("misuse_guard_overflow_x", MARK + report + ABORT)
        self.assertEqual(self.judge(program=program, fault="guard", profiles="strict")[0], 0)
        self.assert_red("and must fault at the access", program=program, fault="guard", profiles="default")
        program = self.script("misuse_guard_freed_x", MARK + report + ABORT)
        self.assert_red("died as overflow, and must die as use-after-free", program=program, fault="guard",
                        profiles="samples")
        program = self.script("misuse_guard_freed_y", MARK + "kill -SEGV $$\n")
        self.assert_red("is not a fault report", program=program, fault="guard", profiles="fuzz")

    def test_wrong_id(self):
        self.assert_red("died as freed-pointer, and must die as double-free",
                        misuse=MARK + REPORT.format(id="freed-pointer", address="0x7f0000001000") + ABORT)

    def test_id_that_only_begins_alike(self):
        self.assert_red("died as double-free-again",
                        misuse=MARK + REPORT.format(id="double-free-again", address="0x7f0000001000") + ABORT)

    def test_wrong_address(self):
        self.assert_red("and the misuse was at 0x7f0000001000",
                        misuse=MARK + REPORT.format(id="double-free", address="0x7f0000002000") + ABORT)

    def test_wrong_pid(self):
        self.assert_red("reported pid 1,", misuse=MARK + GOOD_REPORT.replace("$$", "1") + ABORT)

    def test_wrong_program(self):
        self.assert_red("reported /bin/other,", misuse=MARK + GOOD_REPORT.replace("$0", "/bin/other") + ABORT)

    def test_report_that_is_not_the_first_line(self):
        self.assert_red("not a fault report", misuse=MARK + "echo warning >&2\n" + GOOD_REPORT + ABORT)

    def test_report_without_death(self):
        self.assert_red("exited 0 without a fault", misuse=MARK + GOOD_REPORT)

    def test_report_and_another_death(self):
        self.assert_red("instead of SIGABRT", misuse=MARK + GOOD_REPORT + "kill -SEGV $$\n")

    def test_abort_without_report(self):
        self.assert_red("not a fault report", misuse=MARK + "echo 'free(): double free' >&2\n" + ABORT)

    def test_silent_crash(self):
        self.assert_red("died by SIGSEGV", misuse=MARK + "kill -SEGV $$\n")

    def test_survivor(self):
        self.assert_red("survived its misuse", misuse=MARK + "echo survived\n")

    def test_death_after_survival(self):
        self.assert_red("survived its misuse", misuse=MARK + "echo survived\n" + GOOD_REPORT + ABORT)

    def test_crash_before_the_misuse(self):
        self.assert_red("ended before its misuse, by SIGSEGV", misuse="kill -SEGV $$\n")

    def test_right_report_before_the_misuse(self):
        self.assert_red("ended before its misuse", misuse=GOOD_REPORT + ABORT)

    def test_guard_that_is_survived(self):
        self.assert_red("survived its misuse", misuse=MARK + "echo survived\n", fault="guard")

    def test_guard_and_abort(self):
        self.assert_red("must fault at the access", misuse=GOOD, fault="guard")

    def test_guard_after_a_message(self):
        self.assert_red("wrote to stderr before", misuse=MARK + "echo hm >&2; kill -SEGV $$\n", fault="guard")

    def test_hang(self):
        self.assert_red("did not end within", misuse=MARK + "sleep 60\n")

    def test_missing_program(self):
        self.assert_red("is missing", program="/nonexistent/program")

    def test_missing_library(self):
        self.assert_red("is missing", library="/nonexistent/libstave.so")

    def test_library_that_cannot_be_loaded(self):
        broken = os.path.join(self.folder.name, "libbroken.so")
        with open(broken, "wb") as file:
            file.write(b"not a library")
        self.assert_red("the loader refused the library", library=broken)

    def test_program_that_cannot_be_executed(self):
        path = os.path.join(self.folder.name, "data")
        with open(path, "wb") as file:
            file.write(b"data")
        self.assert_red("does not start", program=path)

    def test_not_on_stave(self):
        self.assert_red("Stave does not serve this process", misuse="exit 99\n")

    def test_control_not_on_stave(self):
        self.assert_red("Stave does not serve this process", control="exit 99\n")

    def test_control_that_dies(self):
        self.assert_red("died by SIGABRT, and must exit 0", control=ABORT)

    def test_control_that_fails(self):
        self.assert_red("exited 3, and must exit 0", control="echo survived; exit 3\n")

    def test_control_that_stops_early(self):
        self.assert_red("did not reach its end", control="exit 0\n")

    def test_control_with_the_misuse(self):
        self.assert_red("is the twin without one", control=MARK + "echo survived\n")

    def test_control_that_complains(self):
        self.assert_red("wrote to stderr", control="echo survived; echo unknown option >&2\n")

    def test_source_that_declares_another_fault(self):
        source = os.path.join(self.folder.name, "source.cpp")
        with open(source, "w", encoding="utf-8") as file:
            file.write("// FAULT: guard\n")
        self.assert_red("declares guard", source=source)

    def test_source_that_declares_it_among_others(self):
        source = os.path.join(self.folder.name, "source.cpp")
        with open(source, "w", encoding="utf-8") as file:
            file.write("// FAULT: guard double-free\n")
        self.assertEqual(self.judge(source=source)[0], 0)

    def test_programs_that_nothing_stops(self):
        self.assertEqual(self.judge(misuse=MARK + "echo survived\n", fault="unnoticed")[0], 0)
        self.assert_red("ended as double-free, and must end as unnoticed", fault="unnoticed")
        self.assert_red("ended as missed, and must end as unnoticed", misuse=MARK + "echo missed\n", fault="unnoticed")
        self.assert_red("ended before its misuse", misuse="echo survived\n", fault="unnoticed")

    def test_guesses(self):
        self.assertEqual(self.judge(misuse=MARK + "echo missed\n", fault="missed")[0], 0)
        self.assert_red("ended as unnoticed, and must end as missed", misuse=MARK + "echo survived\n", fault="missed")
        self.assert_red("ended as missed, and must end as double-free", misuse=MARK + "echo missed\n")

    # Where nothing is promised: in this profile the program goes on, in `default` it is stopped.
    UNSTOPPED = "case $STAVE_OPTIONS in profile=light*) echo touching 0x7f0000001000 pid $$; {}; esac\n"

    def test_elsewhere(self):
        def misuse(end):
            return self.UNSTOPPED.format(end) + GOOD
        self.assertEqual(self.judge(misuse=misuse("echo survived; exit 0"), elsewhere="light=unnoticed")[0], 0)
        self.assertEqual(self.judge(misuse=misuse("kill -SEGV $$"), elsewhere="light=guard")[0], 0)
        self.assertEqual(self.judge(misuse=misuse("kill -SEGV $$"), elsewhere="light=any")[0], 0)
        self.assert_red("ended as unnoticed, and is said to end as guard", misuse=misuse("echo survived; exit 0"), elsewhere="light=guard")
        self.assert_red("ended as guard, and is said to end as unnoticed", misuse=misuse("kill -SEGV $$"), elsewhere="light=unnoticed")
        self.assert_red("ended as crash, and is said to end as unnoticed", misuse=misuse("echo survived; exit 3"),
                        elsewhere="light=unnoticed")
        self.assert_red("ended as double-free, and is said to end as unnoticed", elsewhere="light=unnoticed")

    def test_control_elsewhere(self):
        self.assert_red("must exit 0", misuse=self.UNSTOPPED.format("echo survived; exit 0") + GOOD, elsewhere="light=unnoticed",
                        control="case $STAVE_OPTIONS in profile=light*) exit 1; esac; echo survived\n")

    def test_outcomes(self):
        code, out = self.judge(misuse=self.UNSTOPPED.format("echo survived; exit 0") + GOOD, elsewhere="light=unnoticed", outcomes="")
        self.assertEqual(code, 0, out)
        self.assertEqual([json.loads(line) for line in out.splitlines()], [
            {"program": "program", "profile": "default", "guards": "advice", "outcome": "double-free"},
            {"program": "program", "profile": "light", "guards": "advice", "outcome": "unnoticed"}])


if __name__ == "__main__":
    unittest.main()
