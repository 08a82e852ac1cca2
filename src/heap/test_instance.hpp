// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// For tests: an allocator on memory of its own, as heap/instance.hpp has, with its insides open.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <optional>
#include <span>
#include <vector>

#include "heap/fast_path.hpp"
#include "heap/instance.hpp"

namespace stave::test {

/// Where a slot lies, found by arithmetic alone.
struct Place {
  Chunk* chunk;
  SlotLine* line;
  std::uint32_t index;
  std::uint32_t line_index;
  std::uint64_t bit;
  SizeClass cls;
};

class TestHeap {
 public:
  static constexpr unsigned kThreads = 8;

  struct Setup {
    std::size_t units = 4096;  // 256 MiB
    std::uint64_t seed = 1;
    Options options = options_of(Profile::standard);
    bool samples = false;  // as the options say; false: none
  };

  TestHeap() : TestHeap(Setup{}) {}
  explicit TestHeap(const Setup& setup)
      : used_((setup.units + 63) / 64), entries_(setup.units), region_bytes_(setup.units * kUnit) {
    own_ = kernel_.map(kOwnBytes, 0);
    region_ = static_cast<char*>(kernel_.map(region_bytes_, 0));
    if (own_ == nullptr || region_ == nullptr) std::abort();
    allocator_ = new (own_) Allocator<InstanceStorage>;
    Constants& constants = allocator_->constants;
    constants.options = setup.options;
    if (!setup.samples) constants.options.sample_interval = 0;
    constants.page = page_size();
    constants.derive();
    constants.on_fault = [](void* context, const FaultRecord& record) {
      static_cast<TestHeap*>(context)->leave(record);
    };
    constants.on_yield = [](void* context, const char* point) {
      auto& self = *static_cast<TestHeap*>(context);
      if (self.on_yield) self.on_yield(point);
    };
    constants.context = this;
    Random& random = allocator_->random;
    random.start(seed_from_number(setup.seed), 0);
    constants.draw_keys(random);
    allocator_->arena.pages.start(
        region_, setup.units, used_.data(), nullptr,
        [](void* context, unsigned char call) {
          auto& self = *static_cast<TestHeap*>(context);
          ++self.calls;
          return self.fails && self.fails(static_cast<SysCall>(call));
        },
        this);
    allocator_->arena.registry.start(address_of(region_), setup.units, entries_.data());
    allocator_->arena.start(constants, random.take_seed());
    allocator_->large.start(constants, allocator_->arena);
    allocator_->samples.start(constants, allocator_->arena, random.take64(), setup.units / 4);
  }
  ~TestHeap() {
    (void)kernel_.unmap(region_, region_bytes_);
    (void)kernel_.unmap(own_, kOwnBytes);
  }
  TestHeap(const TestHeap&) = delete;
  TestHeap& operator=(const TestHeap&) = delete;

  // --- what a program does, by logical thread -----------------------------------------------------------------------

  [[nodiscard]] void* allocate(unsigned thread, Request request) {
    ThreadHeap* const heap = heap_of(thread);
    return heap == nullptr ? nullptr : stave::allocate(*allocator_, *heap, request);
  }
  [[nodiscard]] void* allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
    ThreadHeap* const heap = heap_of(thread);
    return heap == nullptr ? nullptr : allocator_->allocate_zeroed(*heap, count, size);
  }
  [[nodiscard]] void* allocate_aligned(unsigned thread, std::size_t alignment, Request request) {
    ThreadHeap* const heap = heap_of(thread);
    return heap == nullptr ? nullptr : allocator_->allocate_aligned(*heap, alignment, request);
  }
  [[nodiscard]] void* reallocate(unsigned thread, void* pointer, std::size_t size) {
    ThreadHeap* const heap = heap_of(thread);
    return heap == nullptr ? nullptr : allocator_->reallocate(*heap, pointer, size);
  }
  void deallocate(unsigned thread, void* pointer, const Claim& claim = {}) {
    ThreadHeap* const own = threads_[thread];
    stave::deallocate(*allocator_, own != nullptr ? *own : const_cast<ThreadHeap&>(g_no_heap), pointer, claim);
  }
  /// The class that serves a request of this size, canary and all.
  [[nodiscard]] SizeClass class_for(std::size_t size) const { return allocator_->class_for(size, kGrain); }
  /// What usable_size says of it.
  [[nodiscard]] std::size_t usable_for(std::size_t size) const {
    if (allocator_->constants.contents.exact) return size;
    const std::size_t slot = kSlotSizes[class_for(size)];
    return size + allocator_->constants.contents.canary_need <= slot ? slot - kCanaryBytes : slot;
  }
  [[nodiscard]] std::size_t usable_size(const void* pointer) {
    return allocator_->usable_size(pointer, Fault::freed_pointer);
  }
  void exit_thread(unsigned thread) {
    if (ThreadHeap* const heap = threads_[thread]) {
      threads_[thread] = nullptr;
      allocator_->orphan_heap(*heap);
    }
  }
  bool trim(unsigned thread) { return allocator_->trim(threads_[thread]); }
  void fork_child(unsigned survivor) {
    for (unsigned thread = 0; thread != kThreads; ++thread) {
      if (thread != survivor) threads_[thread] = nullptr;
    }
    allocator_->fork_child(threads_[survivor]);
  }

  // --- what a test sees ---------------------------------------------------------------------------------------------

  [[nodiscard]] Allocator<InstanceStorage>& allocator() { return *allocator_; }
  [[nodiscard]] Constants& constants() { return allocator_->constants; }
  [[nodiscard]] Arena<InstanceStorage>& arena() { return allocator_->arena; }
  [[nodiscard]] ThreadHeap& heap(unsigned thread) { return *threads_[thread]; }
  [[nodiscard]] bool has_heap(unsigned thread) const { return threads_[thread] != nullptr; }
  void give_heap(unsigned thread, ThreadHeap* heap) { threads_[thread] = heap; }
  [[nodiscard]] char* region() const { return region_; }
  [[nodiscard]] std::size_t region_bytes() const { return region_bytes_; }
  /// "" or the invariant that does not hold.
  [[nodiscard]] const char* verify() const {
    const VerifyResult result = allocator_->verify();
    return result.ok() ? "" : result.invariant;
  }
  [[nodiscard]] Stats stats() const { return allocator_->stats(); }
  [[nodiscard]] std::uint64_t held_in(const Place& place) const {
    return allocator_->held_in(*static_cast<ThreadHeap*>(place.chunk->owner), place.chunk, place.line);
  }
  [[nodiscard]] RegistryEntry entry(const void* pointer) const {
    return allocator_->arena.registry.find(address_of(pointer));
  }

  /// The slot that contains a pointer into a chunk's slots.
  [[nodiscard]] Place place_of(const void* pointer) const {
    const RegistryEntry found = entry(pointer);
    Chunk* const chunk = header_of(found);
    const SizeClass cls = found.size_class();
    const ClassShape& shape = allocator_->constants.shapes[cls];
    const std::uintptr_t offset = address_of(pointer) - address_of(chunk->start()) - shape.slots_offset;
    const std::uint32_t index = static_cast<std::uint32_t>(slot_index(shape.reciprocal, offset).index);
    return {chunk, chunk->lines() + index / 64, index, index / 64, std::uint64_t{1} << (index % 64), cls};
  }
  /// The address of a slot of the same chunk.
  [[nodiscard]] void* slot_of(const Place& place, std::uint32_t index) const {
    const ClassShape& shape = allocator_->constants.shapes[place.cls];
    return place.chunk->start() + shape.slots_offset + std::size_t{index} * shape.slot_size;
  }
  /// nullptr: the chunk is closed.
  [[nodiscard]] OpenChunk* record_of(const Place& place) const {
    return Allocator<InstanceStorage>::record_of(*static_cast<ThreadHeap*>(place.chunk->owner), place.cls, place.chunk);
  }
  [[nodiscard]] bool is_open(const Place& place) const { return record_of(place) != nullptr; }
  /// Whether malloc serves the class from the slot's word.
  [[nodiscard]] bool serves(const Place& place) const {
    return static_cast<ThreadHeap*>(place.chunk->owner)->cursors[place.cls].line == place.line;
  }
  /// Makes the guard word, or the copy of an open word, fit the words as they are.
  void bless(const Place& place) {
    const std::uint64_t live = place.line->live.load();
    if (OpenChunk* const open = record_of(place)) {
      open->words()[place.line_index].live = live;
    } else {
      place.line->guard = guard_word(allocator_->constants.keys.bitmap, place.line, live, place.line->held);
    }
  }
  /// Closes all chunks of a thread, by what the allocator itself does when it needs their records.
  void close_all(unsigned thread) {
    ThreadHeap& own = heap(thread);
    own.enter();
    for (SizeClass cls = 0; cls != kClassCount; ++cls) {
      allocator_->retire_current(own, cls);
      for (OpenChunk* const open : records(own, cls)) {
        if (open->chunk != nullptr) allocator_->close_chunk(own, *open);
      }
    }
    own.leave();
  }
  [[nodiscard]] static std::span<OpenChunk* const> records(const ThreadHeap& heap, SizeClass cls) {
    return {heap.classes[cls].records, heap.classes[cls].record_count};
  }

  /// The fault of which `body` died; nothing if it did not. After a fault the heap is only good for looking at.
  template <class Body>
  [[nodiscard]] std::optional<FaultRecord> fault_of(Body body) {
    return run([](void* pointer) { (*static_cast<Body*>(pointer))(); }, &body);
  }
  /// The kebab-case id of that, or "none".
  template <class Body>
  [[nodiscard]] const char* death_of(Body body) {
    const auto fault = fault_of(body);
    return fault ? fault_id(fault->fault) : "none";
  }

  /// How many calls to the kernel were made.
  std::uint64_t calls = 0;
  std::function<bool(SysCall)> fails;
  std::function<void(const char*)> on_yield;

 private:
  static constexpr std::size_t kOwnBytes = (sizeof(Allocator<InstanceStorage>) + kUnit - 1) / kUnit * kUnit;

  [[nodiscard]] ThreadHeap* heap_of(unsigned thread) {
    if (threads_[thread] == nullptr) threads_[thread] = allocator_->adopt_heap();
    return threads_[thread];
  }

  // Out of line and without variables of its own that change: longjmp leaves nothing undefined.
  [[gnu::noinline]] std::optional<FaultRecord> run(void (*call)(void*), void* body) {
    armed_ = true;
    if (setjmp(env_) == 0) {
      call(body);
      armed_ = false;
      return std::nullopt;
    }
    return record_;
  }

  [[noreturn]] void leave(const FaultRecord& record) {
    if (!armed_) {
      std::fprintf(stderr, "unexpected fault: %s (%s) at %p\n", fault_id(record.fault),
                   record.rule == nullptr ? "" : record.rule, record.address);
      std::abort();
    }
    armed_ = false;
    record_ = record;
    std::longjmp(env_, 1);
  }

  KernelPages kernel_;
  std::vector<std::uint64_t> used_;
  std::vector<std::atomic<std::uint64_t>> entries_;
  std::size_t region_bytes_;
  void* own_ = nullptr;
  char* region_ = nullptr;
  Allocator<InstanceStorage>* allocator_ = nullptr;
  ThreadHeap* threads_[kThreads] = {};
  std::jmp_buf env_;
  bool armed_ = false;
  FaultRecord record_;
};

inline Options options_with(Profile profile, bool guard_advice) {
  Options options = options_of(profile);
  options.guard_advice = guard_advice ? 1 : 0;
  return options;
}

inline constexpr Profile kAllProfiles[] = {Profile::light, Profile::standard, Profile::strict, Profile::fuzz};

}  // namespace stave::test
