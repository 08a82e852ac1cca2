// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A Stave instance and the C library's malloc side by side: each request goes to both, and their answers are compared.
#pragma once

#include <dlfcn.h>
#include <malloc.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "fuzz/expect.hpp"
#include "props/contents.hpp"
#include "props/heap_concept.hpp"
#include "props/ops.hpp"
#include "props/run_program.hpp"
#include "props/stave_heap.hpp"

namespace stave::fuzz {

/// The C library's own functions, also where a sanitizer's stand before them.
struct Libc {
  // The names are the C library's, and macros of none of these functions are in the way.
  decltype(&::malloc) malloc = find<decltype(&::malloc)>("malloc");
  decltype(&::calloc) calloc = find<decltype(&::calloc)>("calloc");
  decltype(&::realloc) realloc = find<decltype(&::realloc)>("realloc");
  decltype(&::memalign) memalign = find<decltype(&::memalign)>("memalign");
  decltype(&::posix_memalign) posix_memalign = find<decltype(&::posix_memalign)>("posix_memalign");
  decltype(&::free) free = find<decltype(&::free)>("free");
  decltype(&::malloc_usable_size) usable_size = find<decltype(&::malloc_usable_size)>("malloc_usable_size");

 private:
  template <class Function>
  static Function find(const char* name) {
    static void* const library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    void* const found = library != nullptr ? dlsym(library, name) : nullptr;
    if (found == nullptr) broken("the C library has no %s", name);
    return reinterpret_cast<Function>(found);
  }
};

/// Which block of the C library's stands for which allocation of the instance.
class Twins {
 public:
  void add(const void* ours, void* theirs) {
    expect(count_ != kMost, "the harness has room for a twin");
    std::size_t at = place_of(ours);
    entries_[at] = {ours, theirs};
    ++count_;
  }
  [[nodiscard]] void* find(const void* ours) const { return entries_[place_of(ours)].theirs; }
  void remove(const void* ours) {
    std::size_t hole = place_of(ours);
    expect(entries_[hole].ours != nullptr, "what is freed has a twin");
    // Those behind it that would not be found over the hole move into it.
    for (std::size_t at = next(hole); entries_[at].ours != nullptr; at = next(at)) {
      if (((at - home_of(entries_[at].ours)) & kMask) < ((at - hole) & kMask)) continue;
      entries_[hole] = entries_[at];
      hole = at;
    }
    entries_[hole] = {};
    --count_;
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  static constexpr std::size_t kMost = props::kSlots + props::kPiles * props::kPileCapacity + 1;
  static constexpr std::size_t kEntries = std::bit_ceil(2 * kMost);
  static constexpr std::size_t kMask = kEntries - 1;
  struct Entry {
    const void* ours = nullptr;
    void* theirs = nullptr;
  };

  [[nodiscard]] static std::size_t home_of(const void* ours) {
    return (reinterpret_cast<std::uintptr_t>(ours) * 0x9E37'79B9'7F4A'7C15U) >> 40U & kMask;
  }
  [[nodiscard]] static std::size_t next(std::size_t at) { return (at + 1) & kMask; }
  /// Where it is, or would be put.
  [[nodiscard]] std::size_t place_of(const void* ours) const {
    std::size_t at = home_of(ours);
    while (entries_[at].ours != nullptr && entries_[at].ours != ours) at = next(at);
    return at;
  }

  Entry entries_[kEntries] = {};
  std::size_t count_ = 0;
};

/// A heap for props::Runner, which judges the instance. Beyond that, of each request:
///   C1  both serve it, or both refuse it
///   C2  both refuse it with the same errno
///   C3  what the C library serves is aligned, suffices and, of calloc, is zero: the same words hold for both
///   C4  after realloc both have the same contents
///   C5  free leaves errno alone, in both
///
/// Where they may differ, all of it:
///   D1  The instance refuses what is more than an eighth of its region, by size, alignment or all that is live, and
///       anything in a region that is tight: the C library has the machine's address space.
///   D2  The instance refuses a request in which a call to the kernel failed on purpose: the C library's calls do not.
///   D3  An alignment below that of a pointer is one for the instance, as for memalign; posix_memalign refuses it. The
///   C
///       library's memalign is asked then; not in general, since it takes what is no power of two for the next one.
///   D4  Usable sizes differ; each is at least what was asked for.
///   D5  Logical threads, fork and trim are the instance's alone.
/// The C library may refuse nothing that an instance of 256 MiB serves: with twice that for alignment no machine is
/// too small.
class PairHeap {
 public:
  static constexpr bool kPoisons = true;

  explicit PairHeap(const props::HeapSetup& setup) : stave_(setup), tight_(is_tight(setup)) {}

  void reset(const props::HeapSetup& setup) {
    expect(twins_.count() == 0, "what a program allocated it frees");
    tight_ = is_tight(setup);
    stave_.reset(setup);
  }

  [[nodiscard]] void* allocate(unsigned thread, std::size_t size) {
    begin();
    const Answer ours = ask([&] { return stave_.allocate(thread, size); });
    const Answer theirs = ask([&] { return libc_.malloc(size); });
    return settle("malloc", ours, theirs, size, 1);
  }
  [[nodiscard]] void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
    begin();
    const Answer ours = ask([&] { return stave_.allocate_zeroed(thread, count, size); });
    const Answer theirs = ask([&] { return libc_.calloc(count, size); });
    std::size_t product = 0;
    if (__builtin_mul_overflow(count, size, &product)) product = SIZE_MAX;
    if (ours.pointer != nullptr && theirs.pointer != nullptr &&
        props::find_nonzero(static_cast<const char*>(theirs.pointer), product) != props::kNoMismatch) {
      differ("C3 calloc is zero", theirs.pointer);
    }
    return settle("calloc", ours, theirs, product, 1);
  }
  [[nodiscard]] void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) {
    begin();
    const Answer ours = ask([&] { return stave_.allocate_aligned(thread, alignment, size); });
    const Answer theirs = ask([&]() -> void* {
      if (props::is_power_of_two(alignment) && alignment < sizeof(void*)) return libc_.memalign(alignment, size);  // D3
      void* result = nullptr;
      if (const int error = libc_.posix_memalign(&result, alignment, size); error != 0) errno = error;
      return result;
    });
    return settle("memalign", ours, theirs, size, alignment);
  }
  [[nodiscard]] void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    if (pointer == nullptr) {
      begin();
      const Answer ours = ask([&] { return stave_.reallocate(thread, nullptr, size); });
      return settle("realloc", ours, ask([&] { return libc_.realloc(nullptr, size); }), size, 1);
    }
    void* const twin = twins_.find(pointer);
    const std::size_t kept = std::min({stave_.usable_size(thread, pointer), libc_.usable_size(twin), size});
    copy_pieces(static_cast<const char*>(pointer), static_cast<char*>(twin), kept);
    begin();
    const Answer ours = ask([&] { return stave_.reallocate(thread, pointer, size); });
    const Answer theirs = ask([&] { return libc_.realloc(twin, size); });
    if (size == 0 || ours.pointer != nullptr) twins_.remove(pointer);
    if (size == 0) {
      if (ours.pointer != nullptr || theirs.pointer != nullptr || ours.error != theirs.error) {
        differ("C1, C2 realloc to nothing frees", pointer);
      }
    } else if (ours.pointer == nullptr && theirs.pointer != nullptr) {
      // The instance's allocation stays as it was; its twin is another one from now on.
      if (!may_refuse(size, 1)) differ("C1 realloc is served by libc alone", pointer);
      twins_.remove(pointer);
      twins_.add(pointer, theirs.pointer);
    } else if (ours.pointer == nullptr) {
      if (ours.error != theirs.error) differ("C2 realloc is refused with another errno", pointer);
    } else {
      if (theirs.pointer != nullptr && !same_pieces(ours.pointer, theirs.pointer, kept)) {
        differ("C4 realloc keeps contents", ours.pointer);
      }
      return settle("realloc", ours, theirs, size, 1);
    }
    errno = ours.error;
    return ours.pointer;
  }
  void deallocate(unsigned thread, void* pointer) {
    const int before = errno;
    stave_.deallocate(thread, pointer);
    const int after = errno;
    void* const twin = pointer != nullptr ? twins_.find(pointer) : nullptr;
    if (pointer != nullptr) twins_.remove(pointer);
    errno = before;
    libc_.free(twin);
    if (errno != after) differ("C5 free leaves errno alone", pointer);
  }
  [[nodiscard]] std::size_t usable_size(unsigned thread, const void* pointer) {
    if (pointer == nullptr && libc_.usable_size(nullptr) != 0) differ("C3 nothing has no usable size", nullptr);
    return stave_.usable_size(thread, pointer);
  }

  void exit_thread(unsigned thread) { stave_.exit_thread(thread); }
  void fork_child(unsigned survivor) { stave_.fork_child(survivor); }
  bool trim(unsigned thread) { return stave_.trim(thread); }
  [[nodiscard]] props::HeapCounts counts() const { return stave_.counts(); }
  [[nodiscard]] std::uint64_t parts_in_use() const { return stave_.parts_in_use(); }
  [[nodiscard]] props::Violation verify() const { return stave_.verify(); }
  [[nodiscard]] char* region() const { return stave_.region(); }
  [[nodiscard]] std::size_t region_bytes() const { return stave_.region_bytes(); }
  [[nodiscard]] props::Escape& escape() { return stave_.escape(); }
  [[nodiscard]] props::Failures& failures() { return stave_.failures(); }

 private:
  [[nodiscard]] static bool is_tight(const props::HeapSetup& setup) {
    return setup.region_bytes < props::region_bytes_for(props::Header());
  }

  struct Answer {
    void* pointer;
    int error;
  };

  template <class Request>
  [[nodiscard]] static Answer ask(Request&& request) {
    errno = 0;
    void* const pointer = request();
    return {pointer, errno};
  }

  /// Leaves as a fault does: the runner says at which operation.
  [[noreturn]] void differ(const char* how, const void* where) {
    stave_.escape().leave("differs-from-libc", how, where);
  }

  void begin() { injected_ = stave_.failures().injected(); }

  /// D1 and D2.
  [[nodiscard]] bool may_refuse(std::size_t size, std::size_t alignment) {
    if (tight_ || stave_.failures().injected() != injected_) return true;
    const std::size_t enough = stave_.region_bytes() / 8;
    return size > enough || alignment > enough || stave_.counts().live_bytes + size > enough;
  }

  /// Compares the answers to a request of something new.
  void* settle(const char* function, const Answer& ours, const Answer& theirs, std::size_t size,
               std::size_t alignment) {
    static char how[100];
    const auto say = [&](const char* what) {
      std::snprintf(how, sizeof how, what, function);
      differ(how, ours.pointer);
    };
    if (ours.pointer == nullptr && theirs.pointer == nullptr) {
      if (ours.error != theirs.error) say("C2 %s is refused with another errno");
    } else if (ours.pointer == nullptr) {
      if (!props::is_power_of_two(alignment) || !may_refuse(size, alignment)) say("C1 %s is served by libc alone");
      libc_.free(theirs.pointer);
    } else {
      if (theirs.pointer == nullptr) say("C1 %s is served by the instance alone");
      const auto address = reinterpret_cast<std::uintptr_t>(theirs.pointer);
      if (address % alignment != 0 || address % 16 != 0) say("C3 %s of libc is aligned");
      if (libc_.usable_size(theirs.pointer) < size) say("C3 %s of libc suffices");
      twins_.add(ours.pointer, theirs.pointer);
    }
    errno = ours.error;
    return ours.pointer;
  }

  static void copy_pieces(const char* from, char* to, std::size_t size) {
    props::for_each_piece(size, props::Pieces::each_page,
                          [&](std::size_t at, std::size_t length) { std::memcpy(to + at, from + at, length); });
  }
  [[nodiscard]] static bool same_pieces(const void* a, const void* b, std::size_t size) {
    bool same = true;
    props::for_each_piece(size, props::Pieces::each_page, [&](std::size_t at, std::size_t length) {
      const auto* const left = static_cast<const char*>(a) + at;
      same = same && std::memcmp(left, static_cast<const char*>(b) + at, length) == 0;
    });
    return same;
  }

  props::StaveHeap stave_;
  bool tight_;
  Libc libc_;
  Twins twins_;
  std::uint64_t injected_ = 0;
};
static_assert(props::Heap<PairHeap>);

}  // namespace stave::fuzz
