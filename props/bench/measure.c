// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// measure <result file> <preload or -> <seconds> <command...>: runs a command and writes one line,
//   <exit code, or minus the signal> <wall seconds> <processor seconds> <peak memory in KiB>
//
// The peak is that of the largest process. What the command leaves running, as servers that a script started, is ended,
// and counted as well: orphans are given to this process.
//
// The kernel lets a child inherit the peak of the process that started it, across exec: measured from an interpreter,
// every small program would look as large as that. This one is smaller than anything it measures.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t child;

static void on_alarm(int signal_number) {
  (void)signal_number;
  kill(-child, SIGKILL);
}

static void end_orphans(void) {
  do {
    FILE* const children = fopen("/proc/thread-self/children", "r");
    if (children == NULL) return;
    for (pid_t orphan; fscanf(children, "%d", &orphan) == 1;) kill(orphan, SIGKILL);
    fclose(children);
  } while (wait(NULL) > 0);
}

static double seconds_of(struct timeval time) { return (double)time.tv_sec + (double)time.tv_usec * 1e-6; }

int main(int argc, char** argv) {
  if (argc < 5) {
    fputs("usage: measure <result file> <preload or -> <seconds> <command...>\n", stderr);
    return 2;
  }
  struct timespec from;
  struct timespec to;
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  clock_gettime(CLOCK_MONOTONIC, &from);
  child = fork();
  if (child < 0) return 3;
  if (child == 0) {
    setpgid(0, 0);
    if (strcmp(argv[2], "-") != 0) setenv("LD_PRELOAD", argv[2], 1);
    execvp(argv[4], argv + 4);
    _exit(127);
  }
  setpgid(child, child);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_alarm;
  action.sa_flags = SA_RESTART;
  sigaction(SIGALRM, &action, NULL);
  alarm((unsigned)atoi(argv[3]));
  int status = 0;
  if (waitpid(child, &status, 0) != child) return 3;
  clock_gettime(CLOCK_MONOTONIC, &to);
  end_orphans();
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  FILE* const result = fopen(argv[1], "w");
  if (result == NULL) return 3;
  const int code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  const double wall = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
  fprintf(result, "%d %.6f %.6f %ld\n", code, wall, seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime),
          usage.ru_maxrss);
  return fclose(result) == 0 ? 0 : 3;
}
