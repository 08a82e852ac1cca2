// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "props/stave_heap.hpp"

#include <cstdio>

namespace stave::props {

static_assert(Heap<StaveHeap>);
static_assert(static_cast<unsigned>(SysCall::map) == 0 && static_cast<unsigned>(SysCall::remap) + 1 == Failures::kKinds,
              "operations number the calls as SysCall does");
static_assert(static_cast<unsigned>(Profile::light) == 0 && static_cast<unsigned>(Profile::fuzz) == 3,
              "headers number the profiles as Profile does");
static_assert(kMaxThreads <= Instance::kMaxThreads);

InstanceConfig StaveHeap::config_of(const HeapSetup& setup) {
  InstanceConfig config;
  config.region_bytes = setup.region_bytes;
  config.seed = setup.seed;
  config.profile = static_cast<Profile>(setup.profile);
  config.samples = config.profile == Profile::fuzz;  // of all allocations, as far as a quarter of the region reaches
  config.use_guard_advice = !setup.guard_by_protect;
  config.page_bytes = setup.page_bytes;
  config.pretend_guards = setup.pretend_guards;
  config.threads = setup.threads;
  config.threads_borrow = setup.threads_borrow;
  config.context = this;
  config.on_fault = [](void* context, const FaultRecord& record) {
    static_cast<StaveHeap*>(context)->escape_.leave(fault_id(record.fault), record.rule, record.address);
  };
  config.fail = [](void* context, SysCall call) {
    return static_cast<StaveHeap*>(context)->failures_.should_fail(static_cast<unsigned>(call));
  };
  config.on_yield = [](void* context, const char* point) {
    static_cast<StaveHeap*>(context)->interrupter_.pass(point);
  };
  return config;
}

StaveHeap::StaveHeap(const HeapSetup& setup) : instance_(Instance::create(config_of(setup))) {
  if (instance_ == nullptr) {
    std::perror("stave: cannot make an instance");
    std::abort();
  }
}

void StaveHeap::reset(const HeapSetup& setup) {
  failures_.clear();
  if (!instance_->reset(config_of(setup))) {
    std::perror("stave: cannot reset an instance");
    std::abort();
  }
}

}  // namespace stave::props
