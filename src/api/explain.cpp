// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "api/explain.hpp"

#if defined(STAVE_SANITIZERS)
#include <atomic>

#include "api/stave.h"
#include "base/attributes.hpp"
#include "base/bits.hpp"
#include "os/log.hpp"
#include "os/report.hpp"

extern "C" {
[[gnu::weak]] void __asan_set_error_report_callback(void (*callback)(const char* report));
[[gnu::weak]] void* __asan_get_report_address();
[[gnu::weak]] void* __asan_region_is_poisoned(void* start, std::size_t bytes);
}

namespace stave {
namespace {

// Without a lock, since any call may be what AddressSanitizer reports. Heaps beyond so many are not explained.
std::atomic<const Instance*> g_heaps[256];

bool replace(const Instance* before, const Instance* now) {
  for (std::atomic<const Instance*>& heap : g_heaps) {
    const Instance* expected = before;
    if (heap.compare_exchange_strong(expected, now, std::memory_order_acq_rel)) return true;
  }
  return false;
}

const Instance* heap_around(const void* address) {
  for (const std::atomic<const Instance*>& place : g_heaps) {
    const Instance* const heap = place.load(std::memory_order_acquire);
    if (heap != nullptr && address_of(address) - address_of(heap->region()) < heap->region_bytes()) return heap;
  }
  return nullptr;
}

/// What was asked for: AddressSanitizer knows, since the slack is closed. Else all that may be used.
std::size_t requested(const FaultRecord& known) {
  if (__asan_region_is_poisoned == nullptr) return known.allocation_bytes;
  void* const start = const_cast<void*>(known.allocation);
  const void* const slack = __asan_region_is_poisoned(start, known.allocation_bytes);
  return slack == nullptr ? known.allocation_bytes : address_of(slack) - address_of(start);
}

void append_allocation(const FaultRecord& known, TextBuffer& out) {
  const std::uintptr_t offset = address_of(known.address) - address_of(known.allocation);
  const std::size_t bytes = requested(known);
  out.text(", ").decimal(offset < bytes ? offset : offset - bytes);
  out.text(offset < bytes ? " bytes into" : " bytes behind").text(" the allocation of ").decimal(bytes);
  out.text(" bytes at ").hexadecimal(address_of(known.allocation));
}

void explain_report(const char*) { stave_explain_address(__asan_get_report_address()); }

/// Before any callback of the program's, which thus replaces this one.
[[gnu::constructor(101)]] void follow_reports() {
  if (__asan_set_error_report_callback != nullptr) __asan_set_error_report_callback(explain_report);
}

}  // namespace

void explain_from_now_on(const Instance* heap) { (void)replace(nullptr, heap); }
void explain_no_more(const Instance* heap) { (void)replace(heap, nullptr); }

}  // namespace stave

extern "C" STAVE_EXPORT void stave_explain_address(const void* address) {
  using namespace stave;
  const Instance* const heap = heap_around(address);
  if (heap == nullptr) return;
  const FaultRecord known = heap->describe(address);
  char storage[512];
  TextBuffer out(storage, sizeof storage);
  out.text("stave: ").hexadecimal(address_of(address)).text(" of heap ").hexadecimal(address_of(heap)).text(" ");
  append_place(known, out);
  if (known.allocation != nullptr) append_allocation(known, out);
  log_loudly(out.text("\n").view());
}
#endif
