// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The programs of fuzz_threads by real threads, for ThreadSanitizer: each logical thread is one, and carries out its
// own operations in their order, whatever the others do meanwhile. A slot, or an entry of a pile, changes hands by an
// exchange, so that the program is legal. Nothing of it repeats itself, which is why an engine cannot use it.
//
// What has no meaning here is left out: forks, misuse, failing calls, and where threads interrupt one another, which
// the scheduler decides, with some help at the yield points.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "fuzz/engine.hpp"
#include "fuzz/expect.hpp"
#include "fuzz/program_target.hpp"
#include "heap/instance.hpp"
#include "props/contents.hpp"
#include "props/ops.hpp"
#include "props/stave_heap.hpp"

namespace stave::fuzz {
namespace {

using props::Op;
using props::OpCode;

constexpr std::size_t kRegionBytes = std::size_t{256} << 20U;
constexpr std::size_t kGrain = 16;
/// Whose each 16 bytes of the region are: a number that no other allocation has, or 0. All are 0 between programs.
std::array<std::atomic<std::uint32_t>, kRegionBytes / kGrain> g_owners;

/// Relaxed: an order between threads is what the allocator has to give.
class Owners {
 public:
  explicit Owners(const char* region) : region_(region) {}

  void take(const char* address, std::size_t size, std::uint32_t number) {
    each(address, size, [&](std::atomic<std::uint32_t>& owner) {
      expect(owner.exchange(number, std::memory_order_relaxed) == 0, "no two live allocations have a byte in common");
    });
  }
  void give_back(const char* address, std::size_t size) {
    const std::uint32_t number = number_of(address);
    each(address, size, [&](std::atomic<std::uint32_t>& owner) {
      expect(owner.exchange(0, std::memory_order_relaxed) == number, "what is freed was one allocation's");
    });
  }
  [[nodiscard]] std::uint32_t number_of(const char* address) const {
    return g_owners[index_of(address)].load(std::memory_order_relaxed);
  }

 private:
  static constexpr std::size_t kWhole = 65536;

  [[nodiscard]] std::size_t index_of(const char* address) const {
    return static_cast<std::size_t>(address - region_) / kGrain;
  }

  /// All of a slot; of a large block, which has pages of its own, the first and the last.
  template <class Visit>
  void each(const char* address, std::size_t size, Visit visit) {
    const std::size_t first = index_of(address);
    const std::size_t count = size == 0 ? 1 : (size + kGrain - 1) / kGrain;
    const std::size_t step = size <= kWhole ? 1 : count - 1;
    for (std::size_t i = 0; i < count; i += step) visit(g_owners[first + i]);
  }

  const char* region_;
};

class RealThreads {
 public:
  explicit RealThreads(const props::Header& header)
      : threads_(header.threads), instance_(create(header)), owners_(instance_->region()) {}
  RealThreads(const RealThreads&) = delete;
  RealThreads& operator=(const RealThreads&) = delete;
  ~RealThreads() { Instance::destroy(instance_); }

  void run(const props::Program& program) {
    std::vector<std::vector<Op>> shares(threads_);
    for (const Op& op : program.ops) shares[op.thread].push_back(op);
    std::vector<std::thread> running;
    std::atomic<unsigned> waiting{threads_};
    for (unsigned thread = 0; thread != threads_; ++thread) {
      running.emplace_back([&, thread] {
        for (waiting.fetch_sub(1); waiting.load() != 0;) std::this_thread::yield();
        for (const Op& op : shares[thread]) carry_out(thread, op);
      });
    }
    for (std::thread& thread : running) thread.join();
    finish();
  }
  [[nodiscard]] std::uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }

 private:
  /// What holds an allocation, or none.
  using Place = std::atomic<char*>;

  struct Pile {
    std::array<Place, props::kPileCapacity> entries{};
    std::atomic<unsigned> top{0};

    Place& push() { return entries[top.fetch_add(1, std::memory_order_relaxed) % entries.size()]; }
    Place& pop() { return entries[(top.fetch_sub(1, std::memory_order_relaxed) - 1) % entries.size()]; }
  };

  [[nodiscard]] static Instance* create(const props::Header& header) {
    InstanceConfig config;
    config.region_bytes = kRegionBytes;
    config.seed = header.seed;
    config.profile = static_cast<Profile>(header.profile);
    config.samples = config.profile == Profile::fuzz;
    config.use_guard_advice = !header.guard_by_protect;
    config.threads = header.threads;
    config.threads_borrow = header.threads_borrow;
    config.on_yield = [](void*, const char*) {
      thread_local unsigned passed = 0;
      if (++passed % 4 == 0) std::this_thread::yield();
    };
    Instance* const instance = Instance::create(config);
    expect(instance != nullptr, "an instance can be made");
    return instance;
  }

  /// Acquire: what its last owner did is done. Release: what this thread did is, for its next one.
  [[nodiscard]] static char* exchange(Place& place, char* address) {
    return place.exchange(address, std::memory_order_acq_rel);
  }

  void free_block(unsigned thread, char* address) {
    if (address == nullptr) return;
    const std::size_t usable = instance_->usable_size(thread, address);
    check_contents(address, usable, usable);
    owners_.give_back(address, usable);
    requests_.fetch_add(1, std::memory_order_relaxed);
    instance_->deallocate(thread, address);
  }
  void check_contents(char* address, std::size_t usable, std::size_t kept) const {
    expect(props::find_mismatch(address, usable, kept, owners_.number_of(address)) == props::kNoMismatch,
           "contents stay");
  }
  /// Makes a block this thread's, puts it into the place, and frees what was there.
  void keep(unsigned thread, Place& place, void* block) {
    char* const address = static_cast<char*>(block);
    requests_.fetch_add(1, std::memory_order_relaxed);
    if (address != nullptr) {
      const std::size_t usable = instance_->usable_size(thread, address);
      const std::uint32_t number = numbers_.fetch_add(1, std::memory_order_relaxed);
      owners_.take(address, usable, number);
      props::write_pattern(address, usable, number);
    }
    free_block(thread, exchange(place, address));
  }
  void resize(unsigned thread, Place& place, std::size_t size) {
    char* const old = exchange(place, nullptr);
    if (old == nullptr || size == 0) {
      free_block(thread, old);
      return keep(thread, place, size == 0 ? nullptr : instance_->allocate(thread, size));
    }
    const std::size_t usable = instance_->usable_size(thread, old);
    const std::uint32_t number = owners_.number_of(old);
    check_contents(old, usable, usable);
    owners_.give_back(old, usable);
    auto* const moved = static_cast<char*>(instance_->reallocate(thread, old, size));
    if (moved == nullptr) {
      owners_.take(old, usable, number);
      return free_block(thread, exchange(place, old));
    }
    expect(props::find_mismatch(moved, usable, std::min(usable, size), number) == props::kNoMismatch,
           "realloc keeps contents");
    keep(thread, place, moved);
  }

  void carry_out(unsigned thread, const Op& op) {
    Place& slot = slots_[op.slot];
    Pile& pile = piles_[props::pile_number(op)];
    const std::size_t size = props::stave_sizes().decode(op.argument);
    switch (op.code) {
      case OpCode::malloc_op:
        return keep(thread, slot, instance_->allocate(thread, size));
      case OpCode::calloc_op: {
        const std::size_t count = props::decode_count(op.detail, size);
        void* const block = instance_->allocate_zeroed(thread, count, size);
        if (block != nullptr) {
          expect(props::find_nonzero(static_cast<char*>(block), count * size) == props::kNoMismatch,
                 "calloc gives zeroes");
        }
        return keep(thread, slot, block);
      }
      case OpCode::realloc_op:
      case OpCode::reallocarray_op:
        return resize(thread, slot, size);
      case OpCode::aligned_alloc_op:
      case OpCode::memalign_op:
        return keep(thread, slot, instance_->allocate_aligned(thread, props::decode_alignment(op.detail), size));
      case OpCode::free_op:
      case OpCode::free_remote:
        return free_block(thread, exchange(slot, nullptr));
      case OpCode::usable_size:
      case OpCode::fill:
      case OpCode::check:
        if (char* const address = exchange(slot, nullptr)) {
          const std::size_t usable = instance_->usable_size(thread, address);
          check_contents(address, usable, usable);
          props::write_pattern(address, usable, owners_.number_of(address));
          free_block(thread, exchange(slot, address));
        }
        return;
      case OpCode::exit_thread:
        return instance_->exit_thread(thread);
      case OpCode::trim:
        static_cast<void>(instance_->trim(thread));
        return;
      case OpCode::pile_up:
        for (unsigned i = 0; i != props::pile_count(op); ++i) {
          keep(thread, pile.push(), instance_->allocate(thread, props::pile_size(op, props::stave_sizes())));
        }
        return;
      case OpCode::pile_free:
        for (unsigned i = 0; i != props::pile_count(op); ++i) free_block(thread, exchange(pile.pop(), nullptr));
        return;
      default:
        return;
    }
  }

  /// Nobody else is there any more.
  void finish() {
    unsigned thread = 0;
    const auto empty = [&](Place& place) { free_block(thread++ % threads_, exchange(place, nullptr)); };
    for (Place& slot : slots_) empty(slot);
    for (Pile& pile : piles_) {
      for (Place& entry : pile.entries) empty(entry);
    }
    const VerifyResult before = instance_->verify();
    if (!before.ok()) broken("verify() holds: %s", before.invariant);
    expect(instance_->stats().live_allocations == 0, "counts are true");
    for (thread = 0; thread != threads_; ++thread) instance_->exit_thread(thread);
    static_cast<void>(instance_->trim(0));
    const Stats stats = instance_->stats();
    expect(stats.chunks + stats.large_blocks + stats.held_slots == 0, "nothing is kept");
    const VerifyResult after = instance_->verify();
    if (!after.ok()) broken("verify() holds: %s", after.invariant);
  }

  unsigned threads_;
  Instance* instance_;
  Owners owners_;
  std::array<Place, props::kSlots> slots_{};
  std::array<Pile, props::kPiles> piles_{};
  std::atomic<std::uint32_t> numbers_{1};
  std::atomic<std::uint64_t> requests_{0};
};

std::uint64_t g_requests = 0;

}  // namespace
}  // namespace stave::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace stave::fuzz;
  const stave::props::Program program = program_of(data, size, Filter());
  RealThreads threads(program.header);
  threads.run(program);
  g_requests += threads.requests();
  return 0;
}

void stave_fuzzer_print(const std::uint8_t* data, std::size_t size, int as_c) {
  stave::fuzz::print_program<stave::fuzz::Filter>(data, size, as_c != 0);
}

std::uint64_t stave_fuzzer_operations() { return stave::fuzz::g_requests; }
