// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "api/stave.h"

#include <cerrno>
#include <cstring>

#include "api/explain.hpp"
#include "base/attributes.hpp"
#include "heap/instance.hpp"
#include "heap/process.hpp"
#include "os/entropy.hpp"
#include "os/sanitizer.hpp"
#include "policy/options.hpp"

namespace {

using stave::Instance;
using stave::sanitizer::Inside;

void copy(const stave::Stats& from, stave_statistics* to) {
  *to = {.live_allocations = from.live_allocations,
         .live_bytes = from.live_bytes,
         .held_slots = from.held_slots,
         .chunks = from.chunks,
         .vacant_chunks = from.vacant_chunks,
         .large_blocks = from.large_blocks,
         .heaps = from.heaps,
         .mapped_bytes = from.mapped_bytes,
         .guards_installed = from.guards_installed,
         .guards_skipped = from.guards_skipped,
         .calls_served = from.calls_served};
  stave::sanitizer::mark_written(to, sizeof *to);
}

Instance* instance(stave_heap* heap) { return reinterpret_cast<Instance*>(heap); }
const Instance* instance(const stave_heap* heap) { return reinterpret_cast<const Instance*>(heap); }

using ProcessLocked = stave::ArenaLocked<stave::ProcessStorage>;

}  // namespace

extern "C" {

STAVE_EXPORT int stave_bounds_of(const void* address, stave_bounds* bounds) {
  return stave::g_process.bounds_of(address, &bounds->start, &bounds->size) ? 1 : 0;
}

STAVE_EXPORT const char* stave_verify(void) {
  if (!stave::process_is_started()) return nullptr;
  const ProcessLocked locked(stave::g_process.arena, stave::g_process.constants);
  return stave::g_process.verify().invariant;
}

STAVE_EXPORT void stave_get_statistics(stave_statistics* statistics) {
  if (!stave::process_is_started()) return copy({}, statistics);
  const ProcessLocked locked(stave::g_process.arena, stave::g_process.constants);
  copy(stave::g_process.stats(), statistics);
}

STAVE_EXPORT stave_heap* stave_heap_create(const stave_heap_options* options) {
  stave::InstanceConfig config;
  if (options != nullptr && options->region_bytes != 0) config.region_bytes = options->region_bytes;
  if (options != nullptr && options->profile != nullptr) {
    bool known = false;
    for (const auto profile :
         {stave::Profile::light, stave::Profile::standard, stave::Profile::strict, stave::Profile::fuzz}) {
      if (std::strcmp(options->profile, stave::profile_name(profile)) != 0) continue;
      config.profile = profile;
      known = true;
    }
    if (!known) {
      errno = EINVAL;
      return nullptr;
    }
  }
  config.seed = options == nullptr ? 0 : options->seed;
  if (config.seed == 0 && !stave::read_entropy(&config.seed, sizeof config.seed)) {
    errno = ENOMEM;
    return nullptr;
  }
  config.watched = stave::sanitizer::kActive;
  Instance* const made = Instance::create(config);
  if (made == nullptr) return nullptr;
  stave::sanitizer::heap_made(made, made->region(), made->region_bytes());
  stave::explain_from_now_on(made);
  return reinterpret_cast<stave_heap*>(made);
}

STAVE_EXPORT void stave_heap_destroy(stave_heap* heap) {
  if (heap == nullptr) return;
  Instance* const gone = instance(heap);
  stave::explain_no_more(gone);
  stave::sanitizer::heap_goes(gone, gone->region(), gone->region_bytes());
  Instance::destroy(gone);
}

STAVE_EXPORT void* stave_heap_malloc(stave_heap* heap, size_t size) {
  const Inside inside(heap);
  return stave::sanitizer::enter_pool(heap, instance(heap)->allocate(0, size), size);
}

STAVE_EXPORT void* stave_heap_calloc(stave_heap* heap, size_t count, size_t size) {
  const Inside inside(heap);
  void* const memory =
      stave::sanitizer::enter_pool(heap, instance(heap)->allocate_zeroed(0, count, size), count * size);
  if (memory != nullptr) stave::sanitizer::mark_written(memory, count * size);
  return memory;
}

STAVE_EXPORT void* stave_heap_aligned_alloc(stave_heap* heap, size_t alignment, size_t size) {
  const Inside inside(heap);
  return stave::sanitizer::enter_pool(heap, instance(heap)->allocate_aligned(0, alignment, size), size);
}

STAVE_EXPORT void* stave_heap_realloc(stave_heap* heap, void* pointer, size_t size) {
  if (pointer == nullptr) return stave_heap_malloc(heap, size);
  if (size == 0) {
    stave_heap_free(heap, pointer);
    return nullptr;
  }
  const Inside inside(heap);
  void* const now = instance(heap)->reallocate(0, pointer, size);
  if (now != nullptr) stave::sanitizer::resize_in_pool(heap, pointer, now, size);
  return now;
}

STAVE_EXPORT void stave_heap_free(stave_heap* heap, void* pointer) {
  stave::sanitizer::leave_pool(heap, pointer);
  const Inside inside(heap);
  instance(heap)->deallocate(0, pointer);
}

STAVE_EXPORT size_t stave_heap_usable_size(stave_heap* heap, const void* pointer) {
  const Inside inside(heap);
  return instance(heap)->usable_size(0, pointer);
}

STAVE_EXPORT const char* stave_heap_verify(const stave_heap* heap) {
  const Inside inside(heap);
  return instance(heap)->verify().invariant;
}

STAVE_EXPORT void stave_heap_get_statistics(const stave_heap* heap, stave_statistics* statistics) {
  const Inside inside(heap);
  copy(instance(heap)->stats(), statistics);
}

}  // extern "C"
