// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// surroundings <which>: a program at the limits of what it may have. There malloc must go on, or say ENOMEM and go on
// when there is memory again; what was allocated must stay as it was.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t most = 1 << 20;  // blocks at a time
static unsigned char** blocks;
static size_t* sizes;
static size_t count;

static void fail(const char* what) {
  fprintf(stderr, "FAILED: %s (errno %d)\n", what, errno);
  _exit(1);
}

static void prepare(void) {
  // Not from malloc: what is tested must not need it.
  const size_t bytes = most * sizeof *blocks;
  blocks = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  sizes = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (blocks == MAP_FAILED || sizes == MAP_FAILED) fail("mmap of the test's own tables");
}

static size_t some_size(size_t n) {
  if (n % 997 == 0) return 300000 + n % 200000;
  if (n % 101 == 0) return 5000 + n % 30000;
  return 1 + n * 7919 % 700;
}

// Allocates until there is no more, or so many bytes are had. Returns how many bytes were had.
static size_t allocate_up_to(size_t most_bytes) {
  const size_t before = count;
  size_t bytes = 0;
  while (count != most && bytes < most_bytes) {
    const size_t size = some_size(count);
    errno = 0;
    unsigned char* const block = malloc(size);
    if (block == NULL) {
      if (errno != ENOMEM) fail("malloc returned NULL and did not say ENOMEM");
      break;
    }
    block[0] = block[size - 1] = (unsigned char)count;
    blocks[count] = block;
    sizes[count++] = size;
    bytes += size;
  }
  printf("%zu blocks, %zu KiB\n", count - before, bytes >> 10);
  return bytes;
}

static void free_all_but(size_t nth) {
  size_t kept = 0;
  for (size_t i = 0; i != count; ++i) {
    const unsigned char first = blocks[i][0];
    if (blocks[i][sizes[i] - 1] != first) fail("the content of a block changed");
    if (nth != 0 && i % nth == 0) {
      blocks[kept] = blocks[i];
      sizes[kept++] = sizes[i];
    } else {
      errno = 77;
      free(blocks[i]);
      if (errno != 77) fail("free changed errno");
    }
  }
  count = kept;
}

// What every surrounding must allow: to use memory, so many bytes at least, to be refused in order, to give it back and
// to use it again.
static void work(size_t enough, size_t most_bytes) {
  if (allocate_up_to(most_bytes) < enough) fail("too little could be allocated");
  free_all_but(10);
  (void)malloc_trim(0);
  if (allocate_up_to(most_bytes / 2) < enough / 2) fail("too little could be allocated again");
  free_all_but(0);
  (void)malloc_trim(0);
  if (allocate_up_to(enough / 2) < enough / 2) fail("too little could be allocated a third time");
  void* const grown = realloc(NULL, 100);
  if (grown == NULL) fail("realloc after memory was freed");
  free(grown);
  free_all_but(0);
}

static void limit(int resource, rlim_t bytes) {
  const struct rlimit both = {bytes, bytes};
  if (setrlimit(resource, &both) != 0) fail("setrlimit");
}

static size_t kib_of(const char* field) {
  char line[256];
  size_t kib = 0;
  FILE* const status = fopen("/proc/self/status", "r");
  if (status == NULL) fail("/proc/self/status");
  while (fgets(line, sizeof line, status) != NULL) {
    if (strncmp(line, field, strlen(field)) == 0) kib = strtoul(line + strlen(field) + 1, NULL, 10);
  }
  fclose(status);
  return kib;
}

// Lines of /proc/self/maps.
static size_t mappings(void) {
  size_t lines = 0;
  FILE* const maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) fail("/proc/self/maps");
  for (int character; (character = getc(maps)) != EOF;) lines += character == '\n';
  fclose(maps);
  return lines;
}

// A filter of system calls: what it does with those of a list, and with all others. `plain`: with advice other than
// MADV_DONTNEED as with the others.
static void filter(const int* calls, size_t number, unsigned with_these, unsigned with_others, bool plain) {
  struct sock_filter program[64];
  unsigned short n = 0;
  if (plain) {
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, nr));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3);
    program[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, args[2]));
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MADV_DONTNEED, 1, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, with_others);
  }
  program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned)offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i != number; ++i) {
    program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, with_these);
  }
  program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, with_others);
  const struct sock_fprog whole = {n, program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &whole) != 0) {
    fail("seccomp");
  }
}

// Calls that a sandbox may refuse once a program runs; brk and mmap stay, or there is no memory at all.
static void refuse_calls(int with) {
  static const int refused[] = {SYS_mprotect,  SYS_madvise, SYS_mremap,    SYS_munmap,
                                SYS_getrandom, SYS_prctl,   SYS_membarrier};
  filter(refused, sizeof refused / sizeof *refused, SECCOMP_RET_ERRNO | (unsigned)with, SECCOMP_RET_ALLOW, false);
}

// Whoever makes another call is killed. README, "In a sandbox", has the same list; `plain`: with guard_advice=0.
// (glibc is not asked: its free may open a file.)
static void kill_other_calls(bool plain) {
  static const int allowed[] = {SYS_mmap,  SYS_munmap,         SYS_mprotect, SYS_madvise,    SYS_mremap,
                                SYS_futex, SYS_rt_sigprocmask, SYS_write,    SYS_exit_group, SYS_exit};
  filter(allowed, sizeof allowed / sizeof *allowed, SECCOMP_RET_ALLOW, SECCOMP_RET_KILL_PROCESS, plain);
}

// Another thread that allocates, so that locks are waited for.
static volatile bool started;
static volatile bool stop;

static void* churn(void* own) {
  unsigned char** const kept = own;
  started = true;
  for (size_t n = 0; !stop; ++n) {
    free(kept[n % 64]);
    kept[n % 64] = malloc(some_size(n) * 3);
    if (n % 5 == 0) kept[n % 64] = realloc(kept[n % 64], some_size(n + 101));
  }
  for (size_t n = 0; n != 64; ++n) free(kept[n]);
  return NULL;
}

static bool write_file(const char* directory, const char* name, const char* text) {
  char path[256];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  const int file = open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written = write(file, text, strlen(text)) == (ssize_t)strlen(text);
  close(file);
  return written;
}

static int status_of(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child) fail("waitpid");
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

// 40 MiB of one size after another.
static void use_sizes(void) {
  static const size_t each[] = {100, 250, 700, 3000, 20000, 300000, 5000000};
  for (size_t i = 0; i != sizeof each / sizeof *each; ++i) {
    for (size_t bytes = 0; bytes < (40 << 20); bytes += each[i]) {
      blocks[count] = malloc(each[i]);
      if (blocks[count] == NULL) fail("malloc");
      memset(blocks[count], 1, each[i]);
      sizes[count++] = each[i];
    }
    free_all_but(0);
  }
}

// In a control group that may use 64 MiB the kernel kills whoever wants more: what was freed must be given back.
static int use_sizes_in_cgroup(void) {
  static const char* const kinds[][2] = {{"/sys/fs/cgroup", "memory.max"},
                                         {"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}};
  char group[256];
  for (size_t kind = 0; kind != 2; ++kind) {
    snprintf(group, sizeof group, "%s/stave-test-%d", kinds[kind][0], (int)getpid());
    if (mkdir(group, 0755) != 0) continue;
    int code = 77;
    if (write_file(group, kinds[kind][1], "67108864")) {
      const pid_t child = fork();
      if (child == 0) {
        alarm(60);
        if (!write_file(group, "cgroup.procs", "0")) _exit(77);
        use_sizes();
        exit(0);
      }
      code = status_of(child);
    }
    rmdir(group);
    if (code != 77) return code;
  }
  return 77;  // no control group can be made here
}

// Without overcommit every writable page counts, touched or not. The setting is the whole machine's: only for a moment.
static int work_without_overcommit(void) {
  static const char where[] = "/proc/sys/vm";
  char before[16] = "";
  const int file = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
  if (file < 0 || read(file, before, sizeof before - 1) < 1) return 77;
  close(file);
  if (!write_file(where, "overcommit_memory", "2")) return 77;
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);
    work(40 << 20, 64 << 20);
    exit(0);
  }
  const int code = status_of(child);
  if (!write_file(where, "overcommit_memory", before)) fail("vm.overcommit_memory is not what it was");
  return code;
}

// This program once more, as "within": after what holds from the start of a program.
static void start_again(char* which, char* kib) {
  execv("/proc/self/exe", (char*[]){which, (char*)"within", kib, NULL});
  fail("execv");
}

// Of an address space of 39 bits, the kernel's first random bytes lie at the end.
static const uintptr_t end_of_39_bits = (uintptr_t)1 << 39;

unsigned long getauxval(unsigned long type) {
  static unsigned long (*next)(unsigned long);
  if (type == AT_RANDOM && getenv("ADDRESSES_OF_39_BITS") != NULL) return end_of_39_bits - 5000;
  if (next == NULL) *(void**)&next = dlsym(RTLD_NEXT, "getauxval");
  return next(type);
}

// Takes all that the kernel has beyond 39 bits, so that it gives only what such a small machine has: whatever was asked
// for.
static void take_high_addresses(void) {
  static struct { uintptr_t start, end; } gaps[4096];
  size_t n = 0;
  uintptr_t from = end_of_39_bits;
  volatile char stack[1 << 20];  // cannot grow afterwards
  for (size_t i = 0; i < sizeof stack; i += 4096) stack[i] = 0;
  FILE* const maps = fopen("/proc/self/maps", "r");
  if (maps == NULL) fail("/proc/self/maps");
  char line[512];
  while (n != 4095 && fgets(line, sizeof line, maps) != NULL) {
    uintptr_t start, end;
    if (sscanf(line, "%zx-%zx", &start, &end) != 2 || end < from || start >> 47 != 0) continue;
    if (start > from) gaps[n].start = from, gaps[n++].end = start;
    from = end;
  }
  fclose(maps);
  gaps[n].start = from, gaps[n++].end = ((uintptr_t)1 << 47) - 4096;
  for (size_t i = 0; i != n; ++i) {
    (void)mmap((void*)gaps[i].start, gaps[i].end - gaps[i].start, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  }
}

// How many of a hundred large blocks lie beside the one before.
static size_t neighbours(void) {
  size_t result = 0;
  uintptr_t before = 0;
  for (size_t i = 0; i != 100; ++i) {
    const uintptr_t block = (uintptr_t)malloc(1 << 20);
    if (block == 0) fail("malloc of a large block");
    if (block >= end_of_39_bits) fail("an address of more than 39 bits");
    result += block - before < (4 << 20) || before - block < (4 << 20);
    before = block;
  }
  return result;
}

int main(int argc, char** argv) {
  const int on_stave = dlsym(RTLD_DEFAULT, "stave_verify") != NULL;
  const char* const which = argc > 1 ? argv[1] : "";
  if (strcmp(which, "address-space") == 0 && argc == 3) {
    limit(RLIMIT_AS, strtoul(argv[2], NULL, 10) << 10);
    start_again(argv[0], argv[2]);
  } else if (strcmp(which, "data") == 0 && argc == 3) {
    limit(RLIMIT_DATA, strtoul(argv[2], NULL, 10) << 10);
    start_again(argv[0], argv[2]);
  } else if (strcmp(which, "no-proc") == 0) {
    const int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", MS_RDONLY, NULL) != 0) {
      return 77;  // not allowed here
    }
    if (access("/proc/self", F_OK) == 0) fail("/proc is still there");
    syscall(SYS_execveat, self, "", (char*[]){argv[0], (char*)"within", (char*)"30000", NULL}, environ, AT_EMPTY_PATH);
    fail("execveat");
  }
  if (strcmp(which, "ten-million") == 0) most = 10000000;
  prepare();
  if (strcmp(which, "within") == 0 && argc == 3) {
    // A third of the address space at least is the program's. (There are libc, the stack, guards, what waits in the
    // hold.)
    work(strtoul(argv[2], NULL, 10) * 1024 * 35 / 100, (size_t)1 << 30);
  } else if (strcmp(which, "address-space-later") == 0) {
    (void)allocate_up_to(20 << 20);
    limit(RLIMIT_AS, (rlim_t)(kib_of("VmSize:") + (64 << 10)) << 10);
    work(30 << 20, (size_t)1 << 30);
  } else if (strcmp(which, "no-address-space") == 0) {
    (void)allocate_up_to(1 << 20);
    limit(RLIMIT_AS, 1);  // nothing can be mapped any more, from one moment to the next
    (void)allocate_up_to((size_t)1 << 30);
    free_all_but(3);
    if (allocate_up_to(100000) < 50000) fail("what was freed cannot be used again");
    free_all_but(0);
  } else if (strcmp(which, "locked") == 0) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) return 77;  // not allowed here
    work(4 << 20, 8 << 20);
  } else if (strcmp(which, "mappings") == 0) {
    // Others have taken all mappings that a process may have.
    char* const area = mmap(NULL, (size_t)1 << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (area == MAP_FAILED) fail("mmap");
    work(10 << 20, 20 << 20);
    for (size_t page = 0; page < ((size_t)1 << 30); page += 8192) {
      if (mprotect(area + page, 4096, PROT_READ) != 0) break;
    }
    (void)allocate_up_to(50 << 20);
    free_all_but(7);
    (void)allocate_up_to(10 << 20);
    free_all_but(0);
  } else if (strcmp(which, "refused") == 0 && argc == 3) {
    // Of what was given back some can only be taken again by calls that are refused then.
    (void)allocate_up_to(20 << 20);
    free_all_but(10);
    (void)malloc_trim(0);
    refuse_calls((int)strtol(argv[2], NULL, 10));
    work(20 << 20, 30 << 20);
  } else if (strcmp(which, "killed") == 0) {
    unsigned char* kept[64] = {NULL};
    pthread_t thread;
    if (pthread_create(&thread, NULL, churn, kept) != 0) fail("pthread_create");
    (void)allocate_up_to(20 << 20);
    free_all_but(10);
    while (!started) usleep(1000);
    kill_other_calls(argc == 3);
    work(20 << 20, 30 << 20);
    stop = true;
    pthread_join(thread, NULL);
  } else if (strcmp(which, "cgroup") == 0) {
    return use_sizes_in_cgroup();
  } else if (strcmp(which, "no-overcommit") == 0) {
    return work_without_overcommit();
  } else if (strcmp(which, "no-files") == 0) {
    // What Stave says at the end must not ask for any.
    static const int deadly[] = {SYS_openat, SYS_readlinkat, SYS_newfstatat};
    work(5 << 20, 10 << 20);
    filter(deadly, sizeof deadly / sizeof *deadly, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW, false);
  } else if (strcmp(which, "ten-million") == 0) {
    // With half of the mappings that a process may have by default.
    for (; count != most; ++count) {
      sizes[count] = 16 + count * 7919 % 200;
      if ((blocks[count] = malloc(sizes[count])) == NULL) fail("malloc");
      blocks[count][0] = blocks[count][sizes[count] - 1] = (unsigned char)count;
    }
    if (mappings() > 32768) fail("too many mappings");
    free_all_but(10);
    if (mappings() > 32768) fail("too many mappings when nine of ten are free");
  } else if (strcmp(which, "high-addresses-taken") == 0) {
    (void)allocate_up_to(1 << 20);
    take_high_addresses();
    work(60 << 20, 100 << 20);
  } else if (strcmp(which, "39-bits") == 0) {
    setenv("ADDRESSES_OF_39_BITS", "1", 1);
    execv("/proc/self/exe", (char*[]){argv[0], (char*)"39-bits-within", NULL});
    fail("execv");
  } else if (strcmp(which, "39-bits-within") == 0) {
    take_high_addresses();
    work(60 << 20, 100 << 20);
    if (on_stave && neighbours() > 10) fail("large blocks lie side by side, and should lie at random places");
  } else if (strcmp(which, "closed") == 0) {
    close(0), close(1), close(2);
    work(5 << 20, 10 << 20);
  } else {
    fputs("usage: surroundings <which> [number]\n", stderr);
    return 2;
  }
  return 0;
}
