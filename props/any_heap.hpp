// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A heap behind virtual calls: the harness is a large template, and compiling it once for each of thirty broken heaps
// takes half an hour and four gigabytes.
#pragma once

#include <memory>

#include "props/heap_concept.hpp"

namespace stave::props {

struct AnyHeap {
  AnyHeap() = default;
  AnyHeap(const AnyHeap&) = delete;
  AnyHeap& operator=(const AnyHeap&) = delete;
  virtual ~AnyHeap() = default;

  virtual void reset(const HeapSetup& setup) = 0;
  virtual void* allocate(unsigned thread, std::size_t size) = 0;
  virtual void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) = 0;
  virtual void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) = 0;
  virtual void* reallocate(unsigned thread, void* pointer, std::size_t size) = 0;
  virtual void deallocate(unsigned thread, void* pointer) = 0;
  virtual std::size_t usable_size(unsigned thread, const void* pointer) = 0;
  virtual void exit_thread(unsigned thread) = 0;
  virtual void fork_child(unsigned thread) = 0;
  virtual bool trim(unsigned thread) = 0;
  [[nodiscard]] virtual HeapCounts counts() const = 0;
  [[nodiscard]] virtual Violation verify() const = 0;
  [[nodiscard]] virtual char* region() const = 0;
  [[nodiscard]] virtual std::size_t region_bytes() const = 0;
  virtual Escape& escape() = 0;
  virtual Failures& failures() = 0;
  virtual Interrupter& interrupter() = 0;
};
static_assert(Heap<AnyHeap> && Interruptible<AnyHeap>);

template <Heap H>
class Erased final : public AnyHeap {
 public:
  explicit Erased(const HeapSetup& setup) : heap_(setup) {}
  void reset(const HeapSetup& setup) override { heap_.reset(setup); }
  void* allocate(unsigned thread, std::size_t size) override { return heap_.allocate(thread, size); }
  void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) override {
    return heap_.allocate_zeroed(thread, count, size);
  }
  void* allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) override {
    return heap_.allocate_aligned(thread, alignment, size);
  }
  void* reallocate(unsigned thread, void* pointer, std::size_t size) override {
    return heap_.reallocate(thread, pointer, size);
  }
  void deallocate(unsigned thread, void* pointer) override { heap_.deallocate(thread, pointer); }
  std::size_t usable_size(unsigned thread, const void* pointer) override { return heap_.usable_size(thread, pointer); }
  void exit_thread(unsigned thread) override { heap_.exit_thread(thread); }
  void fork_child(unsigned thread) override { heap_.fork_child(thread); }
  bool trim(unsigned thread) override { return heap_.trim(thread); }
  [[nodiscard]] HeapCounts counts() const override { return heap_.counts(); }
  [[nodiscard]] Violation verify() const override { return heap_.verify(); }
  [[nodiscard]] char* region() const override { return heap_.region(); }
  [[nodiscard]] std::size_t region_bytes() const override { return heap_.region_bytes(); }
  Escape& escape() override { return heap_.escape(); }
  Failures& failures() override { return heap_.failures(); }
  Interrupter& interrupter() override {
    if constexpr (Interruptible<H>) return heap_.interrupter();
    return never_;
  }

 private:
  H heap_;
  Interrupter never_;
};

}  // namespace stave::props
