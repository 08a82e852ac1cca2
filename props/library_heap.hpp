// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// malloc and its kin, of libstave.so in this process, as the harness sees a heap. It cannot be reset: a process runs
// one program.
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <ucontext.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "api/stave.h"
#include "props/heap_concept.hpp"
#include "props/ops.hpp"

namespace stave::props {

/// Each logical thread is a thread of the process, and makes a call when it is told to; the harness waits meanwhile. So
/// one thread acts at a time, and nothing depends on the scheduler.
///
/// What the harness itself allocates counts to what was there before.
class LibraryHeap {
 public:
  /// Only one can be made.
  explicit LibraryHeap(const HeapSetup& setup);
  LibraryHeap(const LibraryHeap&) = delete;
  LibraryHeap& operator=(const LibraryHeap&) = delete;

  /// What is allocated now is not the program's.
  void reset(const HeapSetup&);

  [[nodiscard]] void* allocate(unsigned thread, std::size_t size);
  [[nodiscard]] void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size);
  [[nodiscard]] void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size);
  [[nodiscard]] void* reallocate(unsigned thread, void* pointer, std::size_t size);
  void deallocate(unsigned thread, void* pointer);
  [[nodiscard]] std::size_t usable_size(unsigned thread, const void* pointer);
  /// The thread ends. It begins anew with its next call.
  void exit_thread(unsigned thread);
  /// The program goes on in a child of this process, whose end becomes this process's.
  void fork_child(unsigned thread);
  bool trim(unsigned thread);

  [[nodiscard]] HeapCounts counts() const;
  /// As StaveHeap's. Of a child nothing is claimed: what the harness's own heap had free is held there.
  [[nodiscard]] std::uint64_t parts_in_use() const;
  [[nodiscard]] Violation verify() const { return {stave_verify(), nullptr}; }
  [[nodiscard]] char* region() const { return nullptr; }
  [[nodiscard]] std::size_t region_bytes() const { return std::size_t{1} << 48U; }
  [[nodiscard]] Escape& escape() { return escape_; }
  /// None is planned; it counts what the machine refused.
  [[nodiscard]] Failures& failures() { return failures_; }

  /// The id of the fault by which the library is about to end the process, or nullptr.
  [[nodiscard]] const char* fault() const { return fault_[0] != '\0' ? fault_ : nullptr; }
  /// Lets it.
  [[noreturn]] void die();

 private:
  struct Worker {
    pthread_t thread{};
    sem_t work;
    bool is_running = false;
  };

  /// The result of a call by `thread`, with its errno. Leaves by the escape if the library ends the process.
  template <class Call>
  auto on(unsigned thread, Call call) {
    std::invoke_result_t<Call> result{};
    auto keep = [&] { result = call(); };
    hand_over(running(thread), keep);
    return result;
  }
  template <class Call>
  void hand_over(Worker& worker, Call& call) {
    call_ = [](void* context) { (*static_cast<Call*>(context))(); };
    context_ = &call;
    send(worker);
  }
  void send(Worker& worker);
  [[nodiscard]] Worker& running(unsigned thread);
  static void* serve(void* worker);
  static void on_abort(int);
  void go_on_in_child();
  static void* take_over(void*);

  /// What is done here is not the program's.
  template <class Act>
  void aside(Act act);
  [[nodiscard]] static stave_statistics statistics();
  void* settle(void* result, std::size_t size);

  Worker workers_[kMaxThreads];
  void (*call_)(void*) = nullptr;  ///< nullptr: end
  void* context_ = nullptr;
  sem_t done_;
  int error_ = 0;            ///< errno, on its way between the threads
  bool is_calling_ = false;  ///< a worker; the harness waits

  char fault_[32] = {};
  sem_t death_;  ///< the harness has judged it

  ucontext_t harness_;  ///< where a child goes on
  bool is_child_ = false;

  stave_statistics before_{};
  Escape escape_;
  Failures failures_;
};

}  // namespace stave::props
