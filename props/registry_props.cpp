// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The registry against a map, and its entries over their whole domain.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "chunk/registry.hpp"
#include "chunk/size_class.hpp"

namespace stave {
namespace {

TEST(RegistryEntries, keep_every_field_apart) {
  for (const UnitKind kind : {UnitKind::chunk, UnitKind::vacant}) {
    for (std::uint32_t cls = 0; cls < 128; ++cls) {
      for (std::uint32_t colour = 0; colour < 64; ++colour) {
        for (unsigned bit = 16; bit != 48; ++bit) {
          for (const GuardKind guard : {GuardKind::none, GuardKind::advice, GuardKind::protection}) {
            const std::uintptr_t start = std::uintptr_t{1} << bit;
            const std::uintptr_t header = start + colour * std::uintptr_t{64};
            const RegistryEntry entry =
                RegistryEntry::of_chunk(kind, cls, reinterpret_cast<const void*>(header), guard);
            ASSERT_TRUE(entry.kind() == kind && entry.size_class() == cls && entry.header() == header &&
                        entry.start() == start && entry.guard() == guard)
                << cls << " " << colour << " " << bit;
          }
        }
      }
    }
  }
}

RC_GTEST_PROP(RegistryEntries, keep_the_number_of_a_large_block, ()) {
  const auto record = *rc::gen::inRange<std::uint32_t>(0, kRecordLimit);
  const RegistryEntry entry = RegistryEntry::of_large(record);
  RC_ASSERT(entry.kind() == UnitKind::large);
  RC_ASSERT(entry.record() == record);
}

/// Zeroed memory as the kernel gives it, refused after so many.
struct FewPages {
  unsigned left = 0;
  std::vector<std::unique_ptr<void, decltype(&std::free)>> maps;

  void* map(std::size_t bytes, std::uintptr_t) {
    if (left == 0) return nullptr;
    --left;
    maps.emplace_back(std::calloc(1, bytes), &std::free);
    return maps.back().get();
  }
};

RC_GTEST_PROP(SparseRegistryProps, remembers_exactly_what_was_set, ()) {
  const auto registry = std::make_unique<SparseRegistry>();
  FewPages pages{.left = 4, .maps = {}};
  std::map<std::uintptr_t, std::uint64_t> model;
  // Units on both sides of the borders of leaves, where an off-by-one hides, and anywhere.
  const auto any_unit = rc::gen::map(
      rc::gen::pair(rc::gen::inRange<std::uintptr_t>(0, 6), rc::gen::inRange<std::intptr_t>(-3, 3)),
      [](const std::pair<std::uintptr_t, std::intptr_t>& at) {
        return (((at.first + 1) << SparseRegistry::kLeafBits) >> 16) + static_cast<std::uintptr_t>(at.second);
      });
  const auto count = *rc::gen::inRange(0, 40);
  for (int i = 0; i < count; ++i) {
    const std::uintptr_t address = *any_unit << 16;
    const std::size_t bytes = *rc::gen::inRange<std::size_t>(1, 5) * kUnit;
    if (!registry->prepare(pages, address, bytes)) {
      RC_ASSERT(pages.left == 0U);
      continue;
    }
    const auto value = RegistryEntry::of_large(*rc::gen::inRange<std::uint32_t>(0, kRecordLimit));
    for (std::size_t unit = 0; unit < bytes / kUnit; ++unit) {
      registry->set(address + unit * kUnit, value);
      model[address + unit * kUnit] = value.bits;
    }
  }
  for (const auto& [address, bits] : model) {
    for (const std::uintptr_t inside : {std::uintptr_t{0}, std::uintptr_t{1}, std::uintptr_t{kUnit - 1}}) {
      RC_ASSERT(registry->find(address + inside).bits == bits);
    }
    if (!model.contains(address + kUnit)) RC_ASSERT(registry->find(address + kUnit).kind() == UnitKind::none);
    if (!model.contains(address - kUnit)) RC_ASSERT(registry->find(address - 1).kind() == UnitKind::none);
  }
}

RC_GTEST_PROP(SparseRegistryProps, knows_nothing_of_any_other_address, ()) {
  static const auto registry = std::make_unique<SparseRegistry>();
  RC_ASSERT(registry->find(*rc::gen::arbitrary<std::uintptr_t>()).kind() == UnitKind::none);
  RC_ASSERT(registry->find(*rc::gen::arbitrary<std::uintptr_t>() | std::uintptr_t{1} << 63).kind() == UnitKind::none);
}

RC_GTEST_PROP(SparseRegistryProps, refuses_addresses_beyond_its_own, ()) {
  const auto registry = std::make_unique<SparseRegistry>();
  FewPages pages{.left = 4, .maps = {}};
  const std::uintptr_t end = std::uintptr_t{1} << SparseRegistry::kAddressBits;
  const auto beyond = *rc::gen::inRange<std::uintptr_t>(0, 1U << 20);
  RC_ASSERT_FALSE(registry->prepare(pages, end + (beyond << 16), kUnit));
  RC_ASSERT_FALSE(registry->prepare(pages, end - kUnit, 2 * kUnit));
  RC_ASSERT(registry->prepare(pages, end - kUnit, kUnit));
}

RC_GTEST_PROP(FlatRegistryProps, answers_inside_its_region_only, ()) {
  const auto units = *rc::gen::inRange<std::size_t>(1, 200);
  const std::uintptr_t region = *rc::gen::inRange<std::uintptr_t>(1, 1U << 20) << 16;
  const auto entries = std::make_unique<std::atomic<std::uint64_t>[]>(units);
  FlatRegistry registry;
  registry.start(region, units, entries.get());
  const auto unit = *rc::gen::inRange<std::size_t>(0, units);
  const auto entry = RegistryEntry::of_chunk(UnitKind::chunk, 5, entries.get(), GuardKind::advice);
  registry.set(region + unit * kUnit, entry);
  for (std::size_t i = 0; i < units; ++i) {
    RC_ASSERT(registry.find(region + i * kUnit + i % kUnit).bits == (i == unit ? entry.bits : 0U));
  }
  RC_ASSERT(registry.find(region - 1).bits == 0U);
  RC_ASSERT(registry.find(region + units * kUnit).bits == 0U);
  RC_ASSERT(registry.find(0).bits == 0U);
  RC_ASSERT(registry.find(~std::uintptr_t{0}).bits == 0U);
}

}  // namespace
}  // namespace stave
