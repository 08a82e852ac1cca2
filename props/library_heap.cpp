// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "props/library_heap.hpp"

#include <malloc.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace stave::props {

static_assert(Heap<LibraryHeap>);

namespace {

/// A program that takes longer is a finding.
constexpr unsigned kSeconds = STAVE_COVERAGE ? 60 : 20;
/// What is asked for beyond it a machine need not have.
constexpr std::size_t kSurelyServed = std::size_t{256} << 20U;

LibraryHeap* g_heap = nullptr;

void wait_for(sem_t& semaphore) {
  while (sem_wait(&semaphore) != 0) {
  }
}

[[noreturn]] void give_up(const char* why) {
  std::perror(why);
  _exit(1);
}

/// Threads of the harness and its workers need hardly any stack.
void start_thread(pthread_t& thread, void* (*body)(void*), void* context) {
  constexpr std::size_t kStack = std::size_t{256} << 10U;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStack);
  if (pthread_create(&thread, &attributes, body, context) != 0) give_up("pthread_create");
  pthread_attr_destroy(&attributes);
}

}  // namespace

LibraryHeap::LibraryHeap(const HeapSetup&) {
  if (g_heap != nullptr) give_up("a process has one malloc");
  g_heap = this;
  sem_init(&done_, 0, 0);
  sem_init(&death_, 0, 0);
  std::signal(SIGABRT, on_abort);
  alarm(kSeconds);
  // On one processor a call costs two switches, and no processor is woken.
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(static_cast<unsigned>(sched_getcpu()), &here);
  static_cast<void>(sched_setaffinity(0, sizeof here, &here));
}

void LibraryHeap::reset(const HeapSetup&) {
  malloc_trim(0);
  before_ = statistics();
}

void* LibraryHeap::allocate(unsigned thread, std::size_t size) {
  return settle(on(thread, [=] { return std::malloc(size); }), size);
}
void* LibraryHeap::allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
  return settle(on(thread, [=] { return std::calloc(count, size); }), count * size);
}
void* LibraryHeap::allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) {
  return settle(on(thread,
                   [=] {
                     if (is_power_of_two(alignment)) return aligned_alloc(alignment, size);
                     void* result = nullptr;
                     errno = posix_memalign(&result, alignment, size);  // which alone refuses it
                     return result;
                   }),
                std::max(alignment, size));
}
void* LibraryHeap::reallocate(unsigned thread, void* pointer, std::size_t size) {
  return settle(on(thread, [=] { return std::realloc(pointer, size); }), size);
}
void LibraryHeap::deallocate(unsigned thread, void* pointer) {
  auto call = [=] { std::free(pointer); };
  hand_over(running(thread), call);
}
std::size_t LibraryHeap::usable_size(unsigned thread, const void* pointer) {
  return on(thread, [=] { return malloc_usable_size(const_cast<void*>(pointer)); });
}
bool LibraryHeap::trim(unsigned thread) {
  return on(thread, [] { return malloc_trim(0) != 0; });
}

void* LibraryHeap::settle(void* result, std::size_t size) {
  if (result != nullptr || size <= kSurelyServed) return result;
  failures_.plan_next(Failures::kAny, 0, 1);
  static_cast<void>(failures_.should_fail(Failures::kAny));
  return nullptr;
}

// --- threads ---

LibraryHeap::Worker& LibraryHeap::running(unsigned thread) {
  Worker& worker = workers_[thread];
  if (worker.is_running) return worker;
  worker.is_running = true;
  sem_init(&worker.work, 0, 0);
  aside([&] {
    start_thread(worker.thread, serve, &worker);
    wait_for(done_);
  });
  return worker;
}

void* LibraryHeap::serve(void* worker) {
  Worker& me = *static_cast<Worker*>(worker);
  LibraryHeap& heap = *g_heap;
  for (sem_post(&heap.done_);; sem_post(&heap.done_)) {
    wait_for(me.work);
    if (heap.call_ == nullptr) return nullptr;
    heap.is_calling_ = true;
    errno = heap.error_;
    heap.call_(heap.context_);
    heap.error_ = errno;
    heap.is_calling_ = false;
  }
}

void LibraryHeap::send(Worker& worker) {
  error_ = errno;
  sem_post(&worker.work);
  wait_for(done_);
  if (fault() != nullptr) escape_.leave(fault_, "the library's report", nullptr);
  errno = error_;
}

void LibraryHeap::exit_thread(unsigned thread) {
  Worker& worker = workers_[thread];
  if (!worker.is_running) return;
  call_ = nullptr;
  sem_post(&worker.work);
  pthread_join(worker.thread, nullptr);
  worker.is_running = false;
}

/// Of a process's threads a child has the one that forks. The harness's stack is in the child as it was: a new thread
/// takes it over, and the one that forked waits for its next call.
void LibraryHeap::fork_child(unsigned thread) {
  Worker& worker = running(thread);
  call_ = [](void* self) { static_cast<LibraryHeap*>(self)->go_on_in_child(); };
  context_ = this;
  is_child_ = false;
  if (getcontext(&harness_) != 0) give_up("getcontext");
  if (!is_child_) sem_post(&worker.work);
  wait_for(done_);
  for (Worker& other : workers_) other.is_running = &other == &workers_[thread];
  if (fault() != nullptr) escape_.leave(fault_, "the library's report", nullptr);
}

void* LibraryHeap::take_over(void*) {
  setcontext(&g_heap->harness_);
  give_up("setcontext");
}

void LibraryHeap::go_on_in_child() {
  const pid_t child = fork();
  if (child < 0) give_up("fork");
  if (child == 0) {
    alarm(kSeconds);
    is_child_ = true;
    aside([] {
      pthread_t harness;
      start_thread(harness, take_over, nullptr);
    });
    return;
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) give_up("waitpid");
  if (!WIFSIGNALED(status)) _exit(WEXITSTATUS(status));
  std::signal(WTERMSIG(status), SIG_DFL);
  std::raise(WTERMSIG(status));
  _exit(1);
}

// --- the end ---

/// A report ends in abort(). In a worker it waits here, until the harness has judged it.
void LibraryHeap::on_abort(int) {
  LibraryHeap& heap = *g_heap;
  if (!heap.is_calling_) return;
  heap.is_calling_ = false;
  constexpr char kPrefix[] = "stave: ";
  const char* const id = stave_last_report + sizeof kPrefix - 1;
  const bool is_report = std::strncmp(stave_last_report, kPrefix, sizeof kPrefix - 1) == 0;
  std::snprintf(heap.fault_, sizeof heap.fault_, "%.*s", is_report ? static_cast<int>(std::strcspn(id, ":")) : 5,
                is_report ? id : "abort");
  sem_post(&heap.done_);
  wait_for(heap.death_);
}

void LibraryHeap::die() {
  sem_post(&death_);
  for (;;) pause();
}

// --- counts ---

stave_statistics LibraryHeap::statistics() {
  stave_statistics now;
  stave_get_statistics(&now);
  return now;
}

template <class Act>
void LibraryHeap::aside(Act act) {
  const stave_statistics from = statistics();
  act();
  const stave_statistics to = statistics();
  before_.live_allocations += to.live_allocations - from.live_allocations;
  before_.live_bytes += to.live_bytes - from.live_bytes;
  before_.chunks += to.chunks - from.chunks;
  before_.held_slots += to.held_slots - from.held_slots;
  before_.large_blocks += to.large_blocks - from.large_blocks;
}

HeapCounts LibraryHeap::counts() const {
  const stave_statistics now = statistics();
  return {now.live_allocations - before_.live_allocations, now.live_bytes - before_.live_bytes};
}

std::uint64_t LibraryHeap::parts_in_use() const {
  if (is_child_) return 0;
  const auto parts = [](const stave_statistics& each) { return each.chunks + each.large_blocks + each.held_slots; };
  return parts(statistics()) - parts(before_);
}

}  // namespace stave::props
