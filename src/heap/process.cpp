// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/process.hpp"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "base/mutant.hpp"
#include "os/entropy.hpp"
#include "os/kernel.hpp"
#include "os/log.hpp"
#include "os/report.hpp"
#include "policy/settings.hpp"

namespace stave {
namespace {

// The thread's heap was taken back at its end.
[[gnu::tls_model("initial-exec")]] constinit __thread bool t_exited = false;

std::atomic<bool> g_started{false};
Lock g_start_lock;
pthread_key_t g_exit_key;
std::atomic<bool> g_exit_key_made{false};

ThreadHeap* unattached() { return const_cast<ThreadHeap*>(&g_no_heap); }
bool is_attached(const ThreadHeap* heap) { return heap != unattached(); }

void say(void*, const char* line) { notice(line); }

Seed fresh_seed(const Options& options) {
  if (options.profile == Profile::fuzz && options.seed != 0) return seed_from_number(options.seed);
  unsigned char entropy[32];
  const bool got = read_entropy(entropy, sizeof entropy);
  if (!STAVE_MUTANT(entropy_not_checked) && !got) {
    report_and_abort(
        {.fault = Fault::no_entropy, .rule = "neither getrandom nor the kernel's start-up bytes are to be had"});
  }
  return seed_from_entropy(entropy);
}

/// Where all is sampled, and the process has a limit to its address space, an eighth of that.
std::size_t most_sample_units(const Options& options) {
  struct rlimit64 limit {};
  if (options.sample_interval != 1 || kernel::call(SYS_prlimit64, 0, RLIMIT_AS, 0, kernel::as_word(&limit)) != 0) {
    return SIZE_MAX;
  }
  return limit.rlim_cur == RLIM64_INFINITY ? SIZE_MAX : limit.rlim_cur / 8 / kUnit;
}

void start() {
  const SignalsBlocked blocked(true);
  if (!g_start_lock.acquire()) {
    report_and_abort({.fault = Fault::reentered, .rule = "an allocation was asked for while the allocator starts"});
  }
  if (!g_started.load(std::memory_order_relaxed)) {
    remember_program();
    Constants& constants = g_process.constants;
    constants.options = options_of_process();
    constants.page = page_size();
    if (!STAVE_MUTANT(page_size_not_checked) && !is_page_size(constants.page)) {
      report_and_abort({.fault = Fault::os_refused, .rule = "the page size is none of 4, 16 and 64 KiB"});
    }
    constants.derive();
    Random& random = g_process.random;
    random.start(fresh_seed(constants.options), 0);
    constants.draw_keys(random);
    // Refused at worst: then they stay writable, and the seals and guard words hold what they can.
    (void)kernel::call(SYS_mprotect, kernel::as_word(&constants),
                       static_cast<long>(align_up(sizeof constants, kLargestPage)), PROT_READ);
    g_process.arena.start(constants, random.take_seed());
    g_process.large.start(constants, g_process.arena);
    g_process.samples.start(constants, g_process.arena, random.take64(), most_sample_units(constants.options));
    if (constants.options.report_json != 0) report_json_too();
    if (constants.options.help != 0) describe_options(say, nullptr);
    if (constants.options.verbose != 0) notice("started, profile ", profile_name(constants.options.profile));
    if (constants.options.handle_sigsegv != 0) handle_sigsegv();
    g_started.store(true, std::memory_order_release);
  }
  g_start_lock.release();
}

void thread_ends(void* heap) {
  // What the thread still allocates, in destructors that come later, is served one call at a time.
  {
    const SignalsBlocked blocked(true);
    t_heap = unattached();
    t_exited = true;
  }
  g_process.orphan_heap(*static_cast<ThreadHeap*>(heap));
}

// fork: the child must find what the arena's lock guards whole. Signals stay blocked in between, so that no handler of
// this thread runs while it holds the lock.
std::uint64_t g_mask_before_fork;

void before_fork() {
  if (!process_is_started()) start();
  const std::uint64_t all = ~std::uint64_t{0};
  std::uint64_t mask = 0;
  (void)kernel::call(SYS_rt_sigprocmask, 0 /* SIG_BLOCK */, kernel::as_word(&all), kernel::as_word(&mask), 8);
  if (!g_process.arena.lock.acquire()) {
    report_and_abort({.fault = Fault::reentered, .rule = "fork inside a critical section"});
  }
  g_process.arena.lock.hold_for_fork();
  g_mask_before_fork = mask;
}

void unblock_signals() {
  const std::uint64_t mask = g_mask_before_fork;
  (void)kernel::call(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, kernel::as_word(&mask), 0, 8);
}

void after_fork_in_parent() {
  const std::uint64_t mask = g_mask_before_fork;
  g_process.arena.lock.release();
  (void)kernel::call(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, kernel::as_word(&mask), 0, 8);
}

void after_fork_in_child() {
  const Options& options = g_process.constants.options;
  if (options.profile != Profile::fuzz || options.seed == 0) {
    g_process.random.start(fresh_seed(options), 1);
    g_process.arena.reseed(g_process.random.take_seed());
  }
  g_process.fork_child(is_attached(t_heap) ? t_heap : nullptr);
  unblock_signals();
}

[[gnu::constructor(101)]] void construct() {
  if (!process_is_started()) start();
  // Made here, and not at the first allocation, since both may allocate. An early key has a slot in the thread's
  // descriptor, which setspecific does not allocate.
  if (pthread_key_create(&g_exit_key, thread_ends) == 0) {
    g_exit_key_made.store(true, std::memory_order_release);
    if (is_attached(t_heap)) (void)pthread_setspecific(g_exit_key, t_heap);
  }
  (void)pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void print_statistics() {
  const ArenaLocked<ProcessStorage> locked(g_process.arena, g_process.constants);
  const Stats stats = g_process.stats();
  const struct {
    const char* name;
    std::uint64_t value;
  } rows[] = {{"calls_served", stats.calls_served},
              {"live_allocations", stats.live_allocations},
              {"live_bytes", stats.live_bytes},
              {"held_slots", stats.held_slots},
              {"chunks", stats.chunks},
              {"vacant_chunks", stats.vacant_chunks},
              {"large_blocks", stats.large_blocks},
              {"samples", stats.samples},
              {"heaps", stats.heaps},
              {"mapped_bytes", stats.mapped_bytes},
              {"guards_installed", stats.guards_installed},
              {"guards_skipped", stats.guards_skipped}};
  char storage[1024];
  TextBuffer out(storage, sizeof storage);
  out.text("stave: statistics of ");
  append_process(out);
  out.text("\n");
  for (const auto& row : rows) out.text("stave: ").text(row.name).text(" ").decimal(row.value).text("\n");
  log(out.view());
}

[[gnu::destructor(101)]] void destruct() {
  if (process_is_started() && g_process.constants.options.stats != 0) print_statistics();
}

}  // namespace

constinit Allocator<ProcessStorage> g_process;
constinit __thread ThreadHeap* t_heap = const_cast<ThreadHeap*>(&g_no_heap);

void forget_thread_heap() { t_heap = unattached(); }

bool process_is_started() { return g_started.load(std::memory_order_acquire); }

ThreadHeap* process_heap_slow() {
  if (!process_is_started()) start();
  if (is_attached(t_heap)) return g_process.nested_heap(*t_heap);
  if (t_exited) return g_process.adopt_heap();
  // A handler that came between the two lines below would attach the thread a second time.
  const SignalsBlocked blocked(true);
  if (is_attached(t_heap)) return g_process.nested_heap(*t_heap);
  ThreadHeap* const heap = g_process.adopt_heap();
  if (heap == nullptr) return nullptr;
  t_heap = heap;
  if (g_exit_key_made.load(std::memory_order_acquire)) (void)pthread_setspecific(g_exit_key, heap);
  return heap;
}

void process_heap_done(ThreadHeap* heap) {
  if (t_exited) g_process.orphan_heap(*heap);
}

}  // namespace stave
