// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "heap/instance.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <random>
#include <vector>

#include "base/test_child.hpp"
#include "os/pages.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

struct Destroy {
  void operator()(Instance* instance) const { Instance::destroy(instance); }
};
using Owned = std::unique_ptr<Instance, Destroy>;

Owned make(const InstanceConfig& config) { return Owned(Instance::create(config)); }

/// What a program of calls got, relative to the region.
std::vector<std::ptrdiff_t> run_program(Instance& instance, unsigned threads = 1) {
  std::mt19937 random(7);
  std::vector<std::ptrdiff_t> places;
  std::vector<void*> live;
  for (int step = 0; step != 3000; ++step) {
    const unsigned thread = static_cast<unsigned>(random() % threads);
    if (random() % 3 != 0 || live.empty()) {
      const std::size_t size = random() % 100 == 0 ? 300'000 + random() % 100'000 : random() % 2000;
      void* const pointer = instance.allocate(thread, size);
      if (pointer == nullptr) continue;
      places.push_back(static_cast<char*>(pointer) - instance.region());
      live.push_back(pointer);
    } else {
      const std::size_t victim = random() % live.size();
      instance.deallocate(thread, live[victim]);
      live[victim] = live.back();
      live.pop_back();
    }
  }
  return places;
}

TEST(Instance, refuses_a_bad_config_with_einval) {
  for (const InstanceConfig& config :
       {InstanceConfig{.threads = 0}, InstanceConfig{.threads = Instance::kMaxThreads + 1},
        InstanceConfig{.region_bytes = 0}, InstanceConfig{.region_bytes = SIZE_MAX},
        InstanceConfig{.region_bytes = SIZE_MAX / 4 + 1}, InstanceConfig{.page_bytes = page_size() / 2},
        InstanceConfig{.page_bytes = 3 * page_size()}, InstanceConfig{.page_bytes = 2 * kUnit}}) {
    errno = 0;
    EXPECT_EQ(Instance::create(config), nullptr);
    EXPECT_EQ(errno, EINVAL);
  }
}

TEST(Instance, says_enomem_when_its_region_cannot_be_had) {
  errno = 0;
  EXPECT_EQ(Instance::create({.region_bytes = std::size_t{1} << 55}), nullptr);
  EXPECT_EQ(errno, ENOMEM);
}

TEST(Instance, region_is_rounded_up_to_units) {
  const Owned instance = make({.region_bytes = (8 << 20) - 5});
  ASSERT_NE(instance, nullptr);
  EXPECT_EQ(instance->region_bytes(), 8U << 20);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(instance->region()) % kUnit, 0U);
}

TEST(Instance, everything_it_hands_out_lies_in_its_region) {
  const Owned instance = make({.region_bytes = 64 << 20, .threads = 3});
  ASSERT_NE(instance, nullptr);
  for (const std::ptrdiff_t place : run_program(*instance, 3)) {
    ASSERT_GE(place, 0);
    ASSERT_LT(place, static_cast<std::ptrdiff_t>(instance->region_bytes()));
  }
  EXPECT_TRUE(instance->verify().ok());
}

TEST(Instance, is_laid_out_for_the_page_size_that_it_is_told) {
  for (const std::size_t page : {std::size_t{16} << 10, std::size_t{64} << 10}) {
    for (const bool advice : {true, false}) {
      const Owned instance = make({.use_guard_advice = advice, .page_bytes = page, .threads = 3});
      if (instance == nullptr) continue;  // the machine's pages are larger
      (void)run_program(*instance, 3);
      EXPECT_TRUE(instance->verify().ok());
      auto* const large = static_cast<char*>(instance->allocate(0, 1'000'000));
      ASSERT_NE(large, nullptr);
      EXPECT_EQ(instance->usable_size(0, large), align_up(1'000'000, page));
      for (char* const guard : {large - page, large + align_up(1'000'000, page)}) {
        EXPECT_EQ(test::read_end(guard), -SIGSEGV);
        EXPECT_EQ(test::read_end(guard + page - 1), -SIGSEGV);
      }
    }
  }
}

TEST(Instance, same_seed_and_calls_give_the_same_places_and_another_seed_others) {
  for (const Profile profile : {Profile::light, Profile::standard, Profile::strict, Profile::fuzz}) {
    const Owned a = make({.seed = 5, .profile = profile, .threads = 3});
    const Owned b = make({.seed = 5, .profile = profile, .threads = 3});
    const Owned c = make({.seed = 6, .profile = profile, .threads = 3});
    ASSERT_TRUE(a && b && c);
    const auto places = run_program(*a, 3);
    EXPECT_EQ(places, run_program(*b, 3));
    EXPECT_NE(places, run_program(*c, 3));
  }
}

TEST(Instance, reset_is_a_new_instance_with_that_seed) {
  for (const bool advice : {true, false}) {
    const Owned fresh = make({.seed = 11, .use_guard_advice = advice, .threads = 2});
    const Owned used = make({.seed = 99, .use_guard_advice = advice, .threads = 2});
    ASSERT_TRUE(fresh && used);
    const auto expected = run_program(*fresh, 2);
    for (int round = 0; round != 3; ++round) {
      (void)run_program(*used, 2);
      used->exit_thread(1);
      used->reset(11);
      const Stats stats = used->stats();
      EXPECT_EQ(stats.live_allocations, 0U);
      EXPECT_EQ(stats.chunks, 0U);
      EXPECT_EQ(stats.heaps, 0U);
      EXPECT_EQ(stats.mapped_bytes, 0U);
      EXPECT_EQ(run_program(*used, 2), expected);
      EXPECT_TRUE(used->verify().ok());
    }
  }
}

TEST(Instance, reset_to_another_configuration_is_a_new_instance_of_it) {
  constexpr std::size_t kRegion = 64 << 20;
  for (const bool pretends : {false, true}) {
    const Owned used = make({.region_bytes = kRegion, .threads = 2, .pretend_guards = pretends});
    ASSERT_NE(used, nullptr);
    for (const Profile profile : {Profile::light, Profile::fuzz, Profile::strict, Profile::standard}) {
      for (const std::size_t region : {kRegion, kRegion / 2}) {
        const InstanceConfig config{.region_bytes = region,
                                    .seed = 11,
                                    .profile = profile,
                                    .use_guard_advice = region == kRegion,
                                    .threads = 3,
                                    .samples = profile == Profile::fuzz,
                                    .pretend_guards = pretends};
        const Owned fresh = make(config);
        ASSERT_NE(fresh, nullptr);
        ASSERT_TRUE(used->reset(config));
        EXPECT_EQ(used->region_bytes(), region);
        EXPECT_EQ(run_program(*used, 3), run_program(*fresh, 3));
        EXPECT_TRUE(used->verify().ok());
      }
    }
    for (const InstanceConfig& bad :
         {InstanceConfig{.region_bytes = kRegion + 1, .pretend_guards = pretends},
          InstanceConfig{.region_bytes = kRegion, .pretend_guards = !pretends},
          InstanceConfig{.region_bytes = kRegion, .threads = 0, .pretend_guards = pretends}}) {
      void* const kept = used->allocate(0, 100);
      errno = 0;
      EXPECT_FALSE(used->reset(bad));
      EXPECT_EQ(errno, EINVAL);
      used->deallocate(0, kept);
    }
  }
}

TEST(Instance, guards_that_are_only_pretended_change_no_place_and_are_told) {
  for (const bool advice : {true, false}) {
    const Owned real = make({.use_guard_advice = advice, .threads = 3});
    const Owned pretended = make({.use_guard_advice = advice, .threads = 3, .pretend_guards = true});
    ASSERT_TRUE(real && pretended);
    EXPECT_EQ(run_program(*real, 3), run_program(*pretended, 3));
    for (Instance* const instance : {real.get(), pretended.get()}) {
      auto* const large = static_cast<char*>(instance->allocate(0, 1'000'000));
      ASSERT_NE(large, nullptr);
      const std::size_t bytes = instance->usable_size(0, large);
      EXPECT_TRUE(instance->is_open(large));
      EXPECT_TRUE(instance->is_open(large + bytes - 1));
      const bool is_real = instance == real.get();
      for (char* const guard : {large - 1, large + bytes}) {
        EXPECT_EQ(instance->is_open(guard), is_real);
        EXPECT_EQ(test::read_end(guard) == -SIGSEGV, is_real);
      }
      instance->deallocate(0, large);
      EXPECT_EQ(instance->is_open(large), is_real);
    }
  }
}

TEST(Instance, memory_after_reset_is_as_fresh_as_after_create) {
  for (const bool pretends : {false, true}) {
    const Owned instance = make({.region_bytes = 16 << 20, .pretend_guards = pretends});
    ASSERT_NE(instance, nullptr);
    for (int round = 0; round != 3; ++round) {
      for (const std::size_t size : Sizes{64, 5000, 300'000}) {
        for (int i = 0; i != 10; ++i) {
          auto* const block = static_cast<unsigned char*>(instance->allocate(0, size));
          ASSERT_NE(block, nullptr);
          for (std::size_t at = 0; at < size; at += 16) ASSERT_EQ(block[at], 0) << "what an earlier life left";
          std::memset(block, 0xa5, size);
        }
      }
      instance->reset(static_cast<std::uint64_t>(round));
    }
  }
}

struct Escape {
  std::jmp_buf env;
  FaultRecord record;
};

/// An InstanceConfig::on_fault whose context is an Escape.
void escape_with(void* context, const FaultRecord& record) {
  auto* const e = static_cast<Escape*>(context);
  e->record = record;
  std::longjmp(e->env, 1);
}

/// internal: it was taken.
Fault fault_of_free(Instance& instance, Escape& escape, void* block) {
  if (setjmp(escape.env) == 0) {
    instance.deallocate(0, block);
    return Fault::internal;
  }
  return escape.record.fault;
}

Fault fault_of_second_free(Instance& instance, Escape& escape) {
  void* const block = instance.allocate(0, 100);
  instance.deallocate(0, block);
  return fault_of_free(instance, escape, block);
}

TEST(Instance, on_fault_may_leave_by_longjmp_and_reset_makes_it_usable) {
  Escape escape;
  const Owned instance = make({.seed = 3, .on_fault = escape_with, .context = &escape});
  ASSERT_NE(instance, nullptr);
  for (std::uint64_t round = 0; round != 5; ++round) {
    EXPECT_EQ(fault_of_second_free(*instance, escape), Fault::double_free);
    instance->reset(round);
    EXPECT_TRUE(instance->verify().ok());
    void* const block = instance->allocate(0, 100);
    ASSERT_NE(block, nullptr);
    instance->deallocate(0, block);
  }
}

TEST(Instance, that_is_watched_has_canaries_and_clears_what_is_freed_whatever_its_profile) {
  for (const bool watched : {false, true}) {
    Escape escape;
    const Owned instance =
        make({.profile = Profile::light, .watched = watched, .on_fault = escape_with, .context = &escape});
    ASSERT_NE(instance, nullptr);
    auto* const freed = static_cast<char*>(instance->allocate(0, 64));
    *freed = 'x';
    instance->deallocate(0, freed);
    EXPECT_EQ(*static_cast<volatile char*>(freed), watched ? '\0' : 'x');

    auto* const block = static_cast<char*>(instance->allocate(0, 64));
    ASSERT_EQ(instance->placement(block).canary, watched);
    if (watched) block[instance->usable_size(0, block)] ^= 1;
    EXPECT_EQ(fault_of_free(*instance, escape, block), watched ? Fault::overflow : Fault::internal);
  }
}

TEST(Instance, without_on_fault_a_fault_ends_the_process) {
  EXPECT_EQ(test::child_end([] {
              close(2);
              Instance* const instance = Instance::create({});
              void* const block = instance->allocate(0, 100);
              instance->deallocate(0, block);
              instance->deallocate(0, block);
            }),
            -SIGABRT);
}

TEST(Instance, errors_are_those_of_the_c_library) {
  const Owned instance = make({.region_bytes = 16 << 20});
  ASSERT_NE(instance, nullptr);
  for (const std::size_t size :
       {std::size_t{17} << 20, std::size_t{PTRDIFF_MAX}, std::size_t{PTRDIFF_MAX} + 1, SIZE_MAX}) {
    errno = 0;
    EXPECT_EQ(instance->allocate(0, size), nullptr);
    EXPECT_EQ(errno, ENOMEM);
  }
  errno = 0;
  EXPECT_EQ(instance->allocate_zeroed(0, SIZE_MAX, 2), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  for (const std::size_t alignment : {std::size_t{0}, std::size_t{3}, std::size_t{48}, SIZE_MAX}) {
    errno = 0;
    EXPECT_EQ(instance->allocate_aligned(0, alignment, 8), nullptr);
    EXPECT_EQ(errno, EINVAL) << alignment;
  }
  errno = 0;
  EXPECT_EQ(instance->allocate_aligned(0, std::size_t{1} << 63, 8), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  void* const block = instance->allocate(0, 10);
  std::memset(block, 7, 10);
  errno = 0;
  EXPECT_EQ(instance->reallocate(0, block, SIZE_MAX), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(static_cast<char*>(block)[9], 7) << "a realloc that fails leaves the block alone";
  EXPECT_TRUE(instance->verify().ok());
}

TEST(Instance, realloc_reads_as_glibc_does) {
  const Owned instance = make({});
  ASSERT_NE(instance, nullptr);
  void* const block = instance->reallocate(0, nullptr, 10);
  ASSERT_NE(block, nullptr);
  EXPECT_EQ(instance->stats().live_allocations, 1U);
  EXPECT_EQ(instance->reallocate(0, block, 0), nullptr);
  EXPECT_EQ(instance->stats().live_allocations, 0U);
}

TEST(Instance, nullptr_is_free_and_has_no_size) {
  const Owned instance = make({});
  ASSERT_NE(instance, nullptr);
  instance->deallocate(0, nullptr);
  EXPECT_EQ(instance->usable_size(0, nullptr), 0U);
  Instance::destroy(nullptr);
}

TEST(Instance, a_thread_that_never_allocated_may_free) {
  const Owned instance = make({.threads = 2});
  ASSERT_NE(instance, nullptr);
  for (const std::size_t size : Sizes{10, 5000, 400'000}) instance->deallocate(1, instance->allocate(0, size));
  EXPECT_EQ(instance->stats().live_allocations, 0U);
  EXPECT_EQ(instance->stats().heaps, 1U) << "and needs no heap for it";
  EXPECT_TRUE(instance->verify().ok());
}

TEST(Instance, a_number_serves_a_new_thread_after_its_thread_ended) {
  const Owned instance = make({.threads = 2});
  ASSERT_NE(instance, nullptr);
  void* const kept = instance->allocate(1, 100);
  instance->exit_thread(1);
  instance->exit_thread(1);  // one that has no heap
  void* const another = instance->allocate(1, 100);
  EXPECT_NE(kept, another);
  EXPECT_EQ(instance->stats().heaps, 1U);
  instance->deallocate(1, kept);
  instance->deallocate(1, another);
  EXPECT_EQ(instance->stats().live_allocations, 0U);
}

TEST(Instance, two_instances_know_nothing_of_one_another) {
  Escape escape;
  const InstanceConfig config{.on_fault = escape_with, .context = &escape};
  Instance* const a = Instance::create(config);
  Instance* const b = Instance::create(config);
  ASSERT_TRUE(a != nullptr && b != nullptr);
  if (setjmp(escape.env) == 0) {
    b->deallocate(0, a->allocate(0, 64));
    ADD_FAILURE() << "a foreign pointer was freed";
  }
  EXPECT_EQ(escape.record.fault, Fault::foreign_pointer);
  EXPECT_TRUE(a->verify().ok());
  Instance::destroy(a);
  Instance::destroy(b);
}

}  // namespace
}  // namespace stave
