// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Deliberately broken heaps, each with one defect built into a sound one. The harness must find every one of them, or
// it finds nothing.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "props/heap_concept.hpp"

namespace stave::props::broken {

/// Serves every aligned request as if 16 had been asked for.
template <Heap Base>
struct IgnoresAlignment : Base {
  using Base::Base;
  void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) {
    return (alignment & (alignment - 1)) == 0 && alignment != 0 ? Base::allocate(thread, size)
                                                                : Base::allocate_aligned(thread, alignment, size);
  }
};

/// Every sixth allocation is the address of the one before it, as long as that one is large enough.
template <Heap Base>
struct HandsOutTwice : Base {
  using Base::Base;
  void reset(const HeapSetup& setup) {
    Base::reset(setup);
    last_ = nullptr;
    count_ = 0;
  }
  void* allocate(unsigned thread, std::size_t size) {
    if (last_ != nullptr && ++count_ % 6 == 0 && Base::usable_size(thread, last_) >= size) return last_;
    return last_ = Base::allocate(thread, size);
  }
  void deallocate(unsigned thread, void* pointer) {
    if (pointer == last_) last_ = nullptr;
    Base::deallocate(thread, pointer);
  }

 private:
  void* last_ = nullptr;
  unsigned count_ = 0;
};

/// Says that more may be written than was set aside, so that neighbours overlap.
template <Heap Base>
struct PromisesTooMuch : Base {
  using Base::Base;
  std::size_t usable_size(unsigned thread, const void* pointer) {
    const std::size_t usable = Base::usable_size(thread, pointer);
    return usable > 256 ? usable + 64 : usable;
  }
};

/// calloc relies on memory being fresh.
template <Heap Base>
struct DoesNotZero : Base {
  using Base::Base;
  void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
    std::size_t product = 0;
    if (__builtin_mul_overflow(count, size, &product)) return Base::allocate_zeroed(thread, count, size);
    return Base::allocate(thread, product);
  }
};

/// calloc zeroes all but the last byte of what was asked for.
template <Heap Base>
struct ZeroesAlmost : Base {
  using Base::Base;
  void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
    void* const result = Base::allocate_zeroed(thread, count, size);
    if (result != nullptr && count * size > 1024) static_cast<char*>(result)[count * size - 1] = 1;
    return result;
  }
};

/// Frees of sizes between 100 and 200 bytes get lost.
template <Heap Base>
struct ForgetsFree : Base {
  using Base::Base;
  void deallocate(unsigned thread, void* pointer) {
    const std::size_t usable = Base::usable_size(thread, pointer);
    if (usable > 100 && usable < 200) return;
    Base::deallocate(thread, pointer);
  }
};

/// Writes into a neighbour's memory, as an allocator does that keeps links in freed memory and frees the wrong one.
template <Heap Base>
struct Clobbers : Base {
  using Base::Base;
  void* allocate(unsigned thread, std::size_t size) {
    void* const result = Base::allocate(thread, size);
    if (result != nullptr && size >= 64) last_ = result;
    return result;
  }
  void deallocate(unsigned thread, void* pointer) {
    if (pointer == last_) last_ = nullptr;
    if (last_ != nullptr && pointer != nullptr) std::memset(static_cast<char*>(last_) + 40, 0, 8);
    Base::deallocate(thread, pointer);
  }
  void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    if (pointer == last_) last_ = nullptr;
    return Base::reallocate(thread, pointer, size);
  }
  void reset(const HeapSetup& setup) {
    Base::reset(setup);
    last_ = nullptr;
  }

 private:
  void* last_ = nullptr;
};

/// Growth copies sixteen bytes too few.
template <Heap Base>
struct CopiesTooLittle : Base {
  using Base::Base;
  void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    if (pointer == nullptr || size == 0) return Base::reallocate(thread, pointer, size);
    const std::size_t usable = Base::usable_size(thread, pointer);
    void* const moved = Base::allocate(thread, size);
    if (moved == nullptr) return nullptr;
    const std::size_t kept = std::min(usable, size);
    std::memcpy(moved, pointer, kept < 128 ? kept : kept - 16);
    Base::deallocate(thread, pointer);
    return moved;
  }
};

/// A realloc that cannot be served frees all the same.
template <Heap Base>
struct LosesOnFailure : Base {
  using Base::Base;
  void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    void* const result = Base::reallocate(thread, pointer, size);
    if (result == nullptr && pointer != nullptr && size != 0) {
      Base::deallocate(thread, pointer);
      errno = ENOMEM;
    }
    return result;
  }
};

/// The second free of an address is taken for granted when another thread does it.
template <Heap Base>
struct AcceptsRemoteDoubleFree : Base {
  using Base::Base;
  void deallocate(unsigned thread, void* pointer) {
    if (pointer != nullptr && pointer == last_freed_ && thread != last_thread_) return;
    last_freed_ = pointer;
    last_thread_ = thread;
    Base::deallocate(thread, pointer);
  }
  void* allocate(unsigned thread, std::size_t size) {
    last_freed_ = nullptr;
    return Base::allocate(thread, size);
  }
  void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
    last_freed_ = nullptr;
    return Base::allocate_zeroed(thread, count, size);
  }
  void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) {
    last_freed_ = nullptr;
    return Base::allocate_aligned(thread, alignment, size);
  }
  void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    last_freed_ = nullptr;
    return Base::reallocate(thread, pointer, size);
  }
  void reset(const HeapSetup& setup) {
    Base::reset(setup);
    last_freed_ = nullptr;
  }

 private:
  void* last_freed_ = nullptr;
  unsigned last_thread_ = 0;
};

/// count * size is computed without looking.
template <Heap Base>
struct MultipliesBlindly : Base {
  using Base::Base;
  void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
    return Base::allocate_zeroed(thread, 1, count * size);
  }
};

/// What a thread allocated dies with it.
template <Heap Base>
struct ForgetsOrphans : Base {
  using Base::Base;
  void* allocate(unsigned thread, std::size_t size) {
    void* const result = Base::allocate(thread, size);
    if (result != nullptr) {
      last_ = result;
      owner_ = thread;
    }
    return result;
  }
  void deallocate(unsigned thread, void* pointer) {
    if (pointer == last_) last_ = nullptr;
    Base::deallocate(thread, pointer);
  }
  void exit_thread(unsigned thread) {
    if (last_ != nullptr && owner_ == thread) deallocate(thread, last_);
  }
  void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    if (pointer == last_) last_ = nullptr;
    return Base::reallocate(thread, pointer, size);
  }
  void reset(const HeapSetup& setup) {
    Base::reset(setup);
    last_ = nullptr;
  }

 private:
  void* last_ = nullptr;
  unsigned owner_ = 0;
};

/// Free leaves its mark in errno.
template <Heap Base>
struct SpoilsErrno : Base {
  using Base::Base;
  void deallocate(unsigned thread, void* pointer) {
    Base::deallocate(thread, pointer);
    if (pointer != nullptr) errno = 0;
  }
};

/// Refuses a third of the requests over 1000 bytes for no reason.
template <Heap Base>
struct RefusesForNothing : Base {
  using Base::Base;
  void* allocate(unsigned thread, std::size_t size) {
    if (size > 1000 && size % 3 == 0) {
      errno = ENOMEM;
      return nullptr;
    }
    return Base::allocate(thread, size);
  }
};

// --- Those whose threads race: sound as long as nobody is interrupted ---

/// Two threads that look for memory at once see the same, and both take it.
template <Heap Base>
struct TakesWhatItSaw : Base {
  using Base::Base;
  void* allocate(unsigned thread, std::size_t size) {
    if (seen_ != nullptr && Base::usable_size(thread, seen_) >= size) return seen_;
    void* const mine = seen_ = Base::allocate(thread, size);
    interrupter_.pass("collect-before-clear");
    seen_ = nullptr;
    return mine;
  }
  void reset(const HeapSetup& setup) {
    Base::reset(setup);
    seen_ = nullptr;
  }
  Interrupter& interrupter() { return interrupter_; }

 private:
  Interrupter interrupter_;
  void* seen_ = nullptr;
};

/// A free that finds that another one came first does not try again.
template <Heap Base>
struct LosesRacingFree : Base {
  using Base::Base;
  void deallocate(unsigned thread, void* pointer) {
    const unsigned seen = frees_;
    interrupter_.pass("remote-free-before-mark");
    if (frees_ != seen) return;
    ++frees_;
    Base::deallocate(thread, pointer);
  }
  Interrupter& interrupter() { return interrupter_; }

 private:
  Interrupter interrupter_;
  unsigned frees_ = 0;
};

/// What is freed is handed out before the free is over.
template <Heap Base>
struct FreesEarly : Base {
  using Base::Base;
  void deallocate(unsigned thread, void* pointer) {
    Base::deallocate(thread, pointer);
    interrupter_.pass("remote-free-before-mark");
  }
  Interrupter& interrupter() { return interrupter_; }

 private:
  Interrupter interrupter_;
};

}  // namespace stave::props::broken
