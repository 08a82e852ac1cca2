// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// A touch of what must not be touched: which fault it is, and the handler of SIGSEGV that asks.
#include <ucontext.h>

#include <csignal>
#include <optional>
#include <string_view>

#include "base/mutant.hpp"
#include "heap/allocator.hpp"
#include "heap/instantiate.hpp"
#include "heap/process.hpp"
#include "os/call_stack.hpp"
#include "os/kernel.hpp"

namespace stave {
namespace {

/// What an address beside an allocation says. false: it lies inside, where the program may have forbidden access
/// itself.
bool name_side(std::uintptr_t address, std::uintptr_t base, std::size_t bytes, FaultRecord* fault) {
  if (address - base < bytes) return false;
  fault->fault = address < base ? Fault::underflow : Fault::overflow;
  fault->rule = address < base ? "a guard page in front of an allocation was touched"
                               : "a guard page behind an allocation was touched";
  return true;
}

void name_freed(FaultRecord* fault) {
  fault->fault = Fault::use_after_free;
  fault->rule = "memory that was freed and has no access any more was touched";
}

}  // namespace

/// An overflow may have reached the place behind its sample's: the sample that it came from, if it lives and is nearer
/// than the one whose place was touched. Where that one was freed, only from near by: it may have been elsewhere in its
/// place before, and a stale pointer to it is more likely than an overflow over many pages.
template <class S>
const SampleRecord* Allocator<S>::overflowed_before(std::uintptr_t address, const SampleRecord& touched) const {
  const bool is_live = touched.state == SampleRecord::State::live;
  if (touched.state != SampleRecord::State::unused && address >= touched.data) return nullptr;
  const RegistryEntry entry = arena.registry.find(touched.place - 1);
  if (entry.kind() != UnitKind::sample) return nullptr;
  const SampleRecord* const before = samples.look(entry);
  if (before == nullptr || before->state != SampleRecord::State::live) return nullptr;
  const std::uintptr_t distance = address - (before->base + before->requested);
  const bool was_used = touched.state == SampleRecord::State::held;
  if (was_used && distance > 2 * constants.page) return nullptr;
  return is_live && touched.base - address < distance ? nullptr : before;
}

/// Nothing is locked: who died here may have held anything, and what another thread changes meanwhile does not verify.
template <class S>
bool Allocator<S>::explain_touch(const void* address, FaultRecord* fault) const {
  if (STAVE_MUTANT(touch_not_explained)) return false;
  const RegistryEntry entry = arena.registry.find(address_of(address));
  if (entry.kind() == UnitKind::sample) {
    const SampleRecord* sample = samples.look(entry);
    if (sample == nullptr) return false;
    if (!STAVE_MUTANT(touch_by_place)) {
      if (const SampleRecord* const before = overflowed_before(address_of(address), *sample)) sample = before;
    }
    *fault = samples.describe(*sample);
    fault->allocation = fault->address;
    fault->address = address;
    if (sample->state == SampleRecord::State::live) {
      return name_side(address_of(address), sample->base, sample->requested, fault);
    }
    if (sample->state != SampleRecord::State::unused) {
      name_freed(fault);
    } else {
      fault->fault = Fault::never_allocated;
      fault->rule = "a place for samples that was never used was touched";
    }
    return true;
  }
  *fault = {.address = address};
  if (entry.kind() == UnitKind::large) {
    const std::optional<LargeRecord> block = large.glimpse(entry);
    if (!block || block->state == LargeRecord::State::unused) return false;
    fault->allocation = reinterpret_cast<void*>(block->start());
    fault->chunk = reinterpret_cast<void*>(block->mapping);
    fault->slot_size = block->usable;
    fault->large = true;
    if (block->state == LargeRecord::State::live) {
      fault->state = "live";
      return name_side(address_of(address), block->start(), block->capacity(), fault);
    }
    fault->state = "held";
    name_freed(fault);
    return true;
  }
  if (entry.kind() == UnitKind::none) return false;
  const ClassShape& shape = constants.shapes[entry.size_class()];
  const std::uintptr_t slots = entry.start() + shape.slots_offset;
  fault->chunk = reinterpret_cast<void*>(entry.start());
  fault->slot_size = shape.slot_size;
  if (entry.kind() == UnitKind::vacant) {
    if (address_of(address) - slots < shape.slots_bytes) fault->slot = (address_of(address) - slots) / shape.slot_size;
    fault->state = "free";
    name_freed(fault);
    return true;
  }
  if (shape.content_bytes == 0 && address_of(address) - slots < shape.slots_bytes) {
    fault->slot = (address_of(address) - slots) / shape.slot_size;
    fault->state = state_of(entry, fault->slot);
    fault->allocation = reinterpret_cast<void*>(slots + fault->slot * shape.slot_size);
    fault->fault = Fault::overflow;
    fault->rule = "what a request of no bytes gave was touched";
    if (std::string_view(fault->state) != "live") name_freed(fault);
    return true;
  }
  if (address_of(address) < entry.start() + constants.page) return false;  // the header's page, which is nobody's
  fault->slot = address_of(address) < slots ? 0 : shape.slot_count - 1;
  return name_side(address_of(address), slots, shape.slots_bytes, fault);
}

namespace {

/// "read" or "write"; nullptr: the processor's answer is not to be had.
const char* access_of(const void* context) {
#if defined(__x86_64__)
  constexpr greg_t kWrite = 2;
  return (static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR] & kWrite) != 0 ? "write" : "read";
#else
  (void)context;
  return nullptr;
#endif
}

/// What is not ours ends the process as if this handler had never been: the access is made again. So it is if a handler
/// of the program's, which came later, calls this one because the fault is not its own either.
void on_sigsegv(int number, siginfo_t* info, void* context) {
  const bool sent = info->si_code <= 0;  // by kill, from anywhere
  FaultRecord fault;
  if (!sent && g_process.explain_touch(info->si_addr, &fault)) {
    static CallStack touched;  // not on the stack, which may be a small one for signals
    take_interrupted_calls(context, touched);
    fault.touched = &touched;
    fault.access = access_of(context);
    g_process.constants.die(fault);
  }
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  (void)sigaction(number, &standard, nullptr);
  if (!sent) return;
  const long process = kernel::call(SYS_getpid);
  (void)kernel::call(SYS_tgkill, process, kernel::call(SYS_gettid), number);  // it comes when this returns
}

}  // namespace

void handle_sigsegv() {
  struct sigaction action {};
  if (sigaction(SIGSEGV, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) return;
  action.sa_sigaction = on_sigsegv;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  (void)sigaction(SIGSEGV, &action, nullptr);
}

#define STAVE_TOUCH(S)                                                        \
  template bool Allocator<S>::explain_touch(const void*, FaultRecord*) const; \
  template const SampleRecord* Allocator<S>::overflowed_before(std::uintptr_t, const SampleRecord&) const;
STAVE_INSTANTIATE(STAVE_TOUCH);

}  // namespace stave
