// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/instance.hpp"

#include <cerrno>
#include <cstddef>
#include <new>

#include "heap/fast_path.hpp"
#include "os/kernel.hpp"

namespace stave {
namespace {

/// An instance is one mapping: itself, the bookkeeping of its region, and the region.
///
///   | Body | bitmap of used units | registry entries | (up to a unit) | region ... |
struct Body final {
  Allocator<InstanceStorage> allocator;
  InstanceConfig config;
  ThreadHeap* threads[Instance::kMaxThreads];
  std::size_t mapping_bytes;
  std::size_t own_bytes;  ///< before the region
  std::uint64_t* used;
  std::atomic<std::uint64_t>* entries;
  KernelPages kernel;
};

Body& body(Instance* instance) { return *reinterpret_cast<Body*>(instance); }
const Body& body(const Instance* instance) { return *reinterpret_cast<const Body*>(instance); }

bool fails(void* context, unsigned char call) {
  const auto* const config = static_cast<const InstanceConfig*>(context);
  return config->fail != nullptr && config->fail(config->context, static_cast<SysCall>(call));
}

/// `pages`: as after start or reset.
void start(Body& b, std::uint64_t seed, const RegionPages& pages) {
  const std::size_t units = b.config.region_bytes / kUnit;
  auto* const allocator = new (&b.allocator) Allocator<InstanceStorage>;
  Constants& constants = allocator->constants;
  constants.options = options_of(b.config.profile);
  constants.options.guard_advice = b.config.use_guard_advice ? 1 : 0;
  if (b.config.watched) {
    constants.options.canary = kCanaryAlways;
    constants.options.zero_on_free = 1;
    constants.options.guard_advice = 0;
  }
  if (!b.config.samples) constants.options.sample_interval = 0;
  if (b.config.threads_borrow) constants.options.own_heaps = 0;
  constants.page = b.config.page_bytes != 0 ? b.config.page_bytes : page_size();
  constants.derive();
  constants.on_fault = b.config.on_fault;
  constants.on_yield = b.config.on_yield;
  constants.context = b.config.context;
  Random& random = allocator->random;
  random.start(seed_from_number(seed), 0);
  constants.draw_keys(random);
  allocator->arena.pages = pages;
  allocator->arena.registry.start(address_of(&b) + b.own_bytes, units, b.entries);
  allocator->arena.start(constants, random.take_seed());
  allocator->large.start(constants, allocator->arena);
  allocator->samples.start(constants, allocator->arena, random.take64(), units / 4);
  for (ThreadHeap*& heap : b.threads) heap = nullptr;
}

/// The heap of a logical thread. nullptr if there is none yet and none can be made.
ThreadHeap* heap_of(Body& b, unsigned thread) {
  if (b.threads[thread] == nullptr) b.threads[thread] = b.allocator.adopt_heap();
  return b.threads[thread];
}

/// For calls that need none.
ThreadHeap& heap_or_none(Body& b, unsigned thread) {
  return b.threads[thread] != nullptr ? *b.threads[thread] : const_cast<ThreadHeap&>(g_no_heap);
}

void* or_no_memory(void* pointer) {
  if (pointer == nullptr) errno = ENOMEM;
  return pointer;
}

[[nodiscard]] bool is_good(const InstanceConfig& config) {
  return config.threads != 0 && config.threads <= Instance::kMaxThreads && config.region_bytes != 0 &&
         config.region_bytes <= SIZE_MAX / 4 && (config.page_bytes == 0 || is_page_size(config.page_bytes)) &&
         config.page_bytes % page_size() == 0;
}

}  // namespace

Instance* Instance::create(const InstanceConfig& config) {
  if (!is_good(config)) {
    errno = EINVAL;
    return nullptr;
  }
  const std::size_t region = align_up(config.region_bytes, kUnit);
  const std::size_t units = region / kUnit;
  const std::size_t used_at = align_up(sizeof(Body), kLine);
  const std::size_t closed_at = align_up(used_at + align_up(units, 64) / 8, kLine);
  const std::size_t entries_at = align_up(closed_at + units * sizeof(std::uint16_t), kLine);
  const std::size_t own = align_up(entries_at + units * sizeof(std::uint64_t), kUnit);
  KernelPages kernel;
  void* const mapping = kernel.map(own + region, 0);
  if (mapping == nullptr) {
    errno = ENOMEM;
    return nullptr;
  }
  auto* const b = new (mapping) Body;
  b->config = config;
  b->config.region_bytes = region;
  b->mapping_bytes = own + region;
  b->own_bytes = own;
  b->used = reinterpret_cast<std::uint64_t*>(static_cast<char*>(mapping) + used_at);
  b->entries = reinterpret_cast<std::atomic<std::uint64_t>*>(static_cast<char*>(mapping) + entries_at);
  RegionPages pages;
  auto* const closed = reinterpret_cast<std::uint16_t*>(static_cast<char*>(mapping) + closed_at);
  pages.start(static_cast<char*>(mapping) + own, units, b->used, config.pretend_guards ? closed : nullptr, fails,
              &b->config);
  start(*b, config.seed, pages);
  return reinterpret_cast<Instance*>(b);
}

void Instance::destroy(Instance* instance) {
  if (instance == nullptr) return;
  Body& b = body(instance);
  KernelPages kernel;
  (void)kernel.unmap(&b, b.mapping_bytes);
}

void Instance::reset(std::uint64_t seed) {
  InstanceConfig config = body(this).config;
  config.seed = seed;
  (void)reset(config);
}

bool Instance::reset(const InstanceConfig& config) {
  Body& b = body(this);
  const std::size_t region = align_up(config.region_bytes, kUnit);
  if (!is_good(config) || region > b.mapping_bytes - b.own_bytes || config.pretend_guards != b.config.pretend_guards) {
    errno = EINVAL;
    return false;
  }
  RegionPages pages = b.allocator.arena.pages;
  b.config = config;
  b.config.region_bytes = region;
  const std::size_t dirtied = pages.reset(region / kUnit);
  for (std::size_t unit = 0; unit != dirtied; ++unit) b.entries[unit].store(0, std::memory_order_relaxed);
  start(b, config.seed, pages);
  return true;
}

bool Instance::start_thread(unsigned thread) { return heap_of(body(this), thread) != nullptr; }

void* Instance::allocate(unsigned thread, Request request) {
  Body& b = body(this);
  ThreadHeap* const heap = heap_of(b, thread);
  return or_no_memory(heap == nullptr ? nullptr : stave::allocate(b.allocator, *heap, request));
}

void* Instance::allocate_zeroed(unsigned thread, std::size_t count, std::size_t size) {
  Body& b = body(this);
  ThreadHeap* const heap = heap_of(b, thread);
  return or_no_memory(heap == nullptr ? nullptr : b.allocator.allocate_zeroed(*heap, count, size));
}

void* Instance::allocate_aligned(unsigned thread, std::size_t alignment, std::size_t size) {
  if (!is_power_of_two(alignment)) {
    errno = EINVAL;
    return nullptr;
  }
  Body& b = body(this);
  ThreadHeap* const heap = heap_of(b, thread);
  return or_no_memory(heap == nullptr ? nullptr : b.allocator.allocate_aligned(*heap, alignment, size));
}

void* Instance::reallocate(unsigned thread, void* pointer, std::size_t size) {
  Body& b = body(this);
  if (pointer == nullptr) return allocate(thread, size);
  if (size == 0) {
    deallocate(thread, pointer);
    return nullptr;
  }
  ThreadHeap* const heap = heap_of(b, thread);
  return or_no_memory(heap == nullptr ? nullptr : b.allocator.reallocate(*heap, pointer, size));
}

void Instance::deallocate(unsigned thread, void* pointer, const Claim& claim) {
  Body& b = body(this);
  stave::deallocate(b.allocator, heap_or_none(b, thread), pointer, claim);
}

std::size_t Instance::usable_size(unsigned thread, const void* pointer) {
  (void)thread;
  return pointer == nullptr ? 0 : body(this).allocator.usable_size(pointer, Fault::freed_pointer);
}

void Instance::exit_thread(unsigned thread) {
  Body& b = body(this);
  if (ThreadHeap* const heap = b.threads[thread]) {
    b.threads[thread] = nullptr;
    b.allocator.orphan_heap(*heap);
  }
}

void Instance::fork_child(unsigned survivor) {
  Body& b = body(this);
  for (unsigned thread = 0; thread != kMaxThreads; ++thread) {
    if (thread != survivor) b.threads[thread] = nullptr;
  }
  b.allocator.fork_child(b.threads[survivor]);
}

bool Instance::trim(unsigned thread) {
  Body& b = body(this);
  return b.allocator.trim(b.threads[thread]);
}

VerifyResult Instance::verify() const { return body(this).allocator.verify(); }
Stats Instance::stats() const { return body(this).allocator.stats(); }
bool Instance::is_open(const void* address) const { return body(this).allocator.arena.pages.is_open(address); }

Placement Instance::placement(const void* address) const {
  const Body& b = body(this);
  auto& allocator = const_cast<Allocator<InstanceStorage>&>(b.allocator);
  const Constants& constants = allocator.constants;
  const RegistryEntry entry = allocator.arena.registry.find(address_of(address));
  Placement place;
  const auto pages = [&place](Placement::Kind kind, std::uintptr_t start, std::uintptr_t first, std::size_t bytes) {
    place.kind = kind;
    place.start = reinterpret_cast<char*>(start);
    place.first = reinterpret_cast<char*>(first);
    place.end = place.last = place.first + bytes;
  };
  if (entry.is_chunk()) {
    const SizeClass cls = entry.size_class();
    const ClassShape& shape = constants.shapes[cls];
    Chunk* const chunk = header_of(entry);
    place.header = chunk;
    place.header_bytes = sizeof *chunk + shape.line_count() * sizeof(SlotLine);
    place.sealed_bytes = offsetof(Chunk, until_notified);
    place.links[0] = &chunk->next;
    place.links[1] = &chunk->previous;
    place.links[2] = &chunk->inbox_next;
    place.counts = &chunk->until_notified;
    place.opened = chunk->opened;
    for (unsigned thread = 0; thread != kMaxThreads; ++thread) {
      if (b.threads[thread] == chunk->owner) place.owner = thread;
    }
    place.first = chunk->start() + shape.slots_offset;
    place.last = place.first + (shape.content_bytes == 0 ? 0 : shape.slots_bytes);
    place.kind = Placement::Kind::other;
    const std::uintptr_t offset = address_of(address) - address_of(place.first);
    if (offset >= shape.slots_bytes) return place;
    place.kind = Placement::Kind::slot;
    const std::size_t index = slot_index(shape.reciprocal, offset).index;
    SlotLine* const line = chunk->lines() + index / 64;
    place.start = place.first + index * shape.slot_size;
    place.end = place.start + shape.content_bytes;
    place.line = line;
    place.bit = static_cast<unsigned>(index % 64);
    place.unused = index >= chunk->opened;
    place.notes = constants.contents.exact ? chunk->notes(shape.line_count()) + index : nullptr;
    place.canary = has_canary(line, index % 64);
    // Of a header that an attacker changed nothing is believed.
    place.held = header_holds(constants.keys.header, chunk, entry) &&
                 has_bit(allocator.held_in(*static_cast<ThreadHeap*>(chunk->owner), chunk, line), index % 64);
  } else if (entry.kind() == UnitKind::large) {
    if (const LargeRecord* const record = allocator.large.look(entry)) {
      const bool live = record->state == LargeRecord::State::live;
      pages(Placement::Kind::large, record->start(), record->base, live ? record->usable : 0);
      place.header = const_cast<LargeRecord*>(record);
      place.header_bytes = sizeof *record;
      place.sealed_bytes = offsetof(LargeRecord, cuts);
    }
  } else if (entry.kind() == UnitKind::sample) {
    if (const SampleRecord* const record = allocator.samples.look(entry)) {
      const bool live = record->state == SampleRecord::State::live;
      pages(Placement::Kind::sample, record->base, record->data, live ? record->data_bytes : 0);
      place.header = const_cast<SampleRecord*>(record);
      place.header_bytes = offsetof(SampleRecord, allocated);
      place.sealed_bytes = offsetof(SampleRecord, fill);
    }
  } else if (entry.kind() == UnitKind::vacant) {
    place.kind = Placement::Kind::vacant;
  }
  return place;
}

FaultRecord Instance::describe(const void* address) const {
  return const_cast<Allocator<InstanceStorage>&>(body(this).allocator).describe(address);
}

char* Instance::region() const { return body(this).allocator.arena.pages.region(); }
std::size_t Instance::region_bytes() const { return body(this).config.region_bytes; }

}  // namespace stave
