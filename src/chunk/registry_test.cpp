// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/registry.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <vector>

#include "chunk/chunk.hpp"
#include "chunk/size_class.hpp"

namespace stave {
namespace {

TEST(RegistryEntry, gives_back_what_it_was_made_of) {
  constexpr std::uintptr_t kHighest = (std::uintptr_t{1} << 48) - kUnit;
  for (const UnitKind kind : {UnitKind::chunk, UnitKind::vacant}) {
    for (std::uint32_t cls = 0; cls != kClassCount; ++cls) {
      for (const std::uintptr_t start : {kUnit, std::uintptr_t{0x7f3a'12c0'0000}, kHighest}) {
        for (const std::uint32_t colour : {0U, 1U, 31U, 63U}) {
          for (const GuardKind guard : {GuardKind::none, GuardKind::advice, GuardKind::protection}) {
            const std::uintptr_t header = start + colour * kLine;
            const RegistryEntry entry =
                RegistryEntry::of_chunk(kind, cls, reinterpret_cast<const void*>(header), guard);
            ASSERT_EQ(entry.kind(), kind);
            ASSERT_EQ(entry.is_chunk(), kind == UnitKind::chunk);
            ASSERT_EQ(entry.size_class(), cls);
            ASSERT_EQ(entry.header(), header);
            ASSERT_EQ(entry.start(), start);
            ASSERT_EQ(entry.guard(), guard);
          }
        }
      }
    }
  }
  for (const std::uint32_t record : {0U, 1U, 4096U, kRecordLimit - 1}) {
    const RegistryEntry entry = RegistryEntry::of_large(record);
    EXPECT_EQ(entry.kind(), UnitKind::large);
    EXPECT_FALSE(entry.is_chunk());
    EXPECT_EQ(entry.size_class(), 0U);
    EXPECT_EQ(entry.record(), record);
  }
  EXPECT_EQ(RegistryEntry{}.kind(), UnitKind::none);
}

/// Counts the leaves that a registry asks for, and refuses from some moment on.
class CountedPages {
 public:
  ~CountedPages() {
    for (void* const block : blocks_) (void)kernel_.unmap(block, bytes_);
  }
  void* map(std::size_t bytes, std::uintptr_t hint) {
    if (blocks_.size() == limit) return nullptr;
    void* const block = kernel_.map(bytes, hint);
    bytes_ = bytes;
    blocks_.push_back(block);
    return block;
  }
  [[nodiscard]] std::size_t count() const { return blocks_.size(); }

  std::size_t limit = 100;

 private:
  KernelPages kernel_;
  std::vector<void*> blocks_;
  std::size_t bytes_ = 0;
};

class Sparse : public testing::Test {
 protected:
  static constexpr std::uintptr_t kLeafBytes = std::uintptr_t{1} << SparseRegistry::kLeafBits;
  static constexpr std::uintptr_t kEnd = std::uintptr_t{1} << SparseRegistry::kAddressBits;

  CountedPages pages_;
  std::unique_ptr<SparseRegistry> registry_ = std::make_unique<SparseRegistry>();
};

RegistryEntry some_entry(std::uint32_t n) {
  return RegistryEntry::of_chunk(UnitKind::chunk, n % 64, reinterpret_cast<const void*>(n * kUnit), GuardKind::advice);
}

TEST_F(Sparse, knows_nothing_at_first_wherever_it_is_asked) {
  for (unsigned bit = 0; bit != 64; ++bit) {
    const std::uintptr_t address = std::uintptr_t{1} << bit;
    EXPECT_EQ(registry_->find(address).bits, 0U) << bit;
    EXPECT_EQ(registry_->find(address - 1).bits, 0U);
    EXPECT_EQ(registry_->find(~address).bits, 0U);
  }
  EXPECT_EQ(registry_->find(0).bits, 0U);
  EXPECT_EQ(pages_.count(), 0U) << "asking costs nothing";
}

TEST_F(Sparse, tells_units_apart_across_a_leaf_border) {
  const std::uintptr_t border = 5 * kLeafBytes;
  ASSERT_TRUE(registry_->prepare(pages_, border - 8 * kUnit, 16 * kUnit));
  EXPECT_EQ(pages_.count(), 2U);
  for (std::uint32_t i = 0; i != 16; ++i) registry_->set(border - 8 * kUnit + i * kUnit, some_entry(i));
  for (std::uint32_t i = 0; i != 16; ++i) {
    const std::uintptr_t unit = border - 8 * kUnit + i * kUnit;
    EXPECT_EQ(registry_->find(unit).bits, some_entry(i).bits);
    EXPECT_EQ(registry_->find(unit + 1).bits, some_entry(i).bits);
    EXPECT_EQ(registry_->find(unit + kUnit - 1).bits, some_entry(i).bits);
  }
  EXPECT_EQ(registry_->find(border - 8 * kUnit - 1).bits, 0U);
  EXPECT_EQ(registry_->find(border + 8 * kUnit).bits, 0U);
  // The same place in other leaves is other units.
  EXPECT_EQ(registry_->find(border + kLeafBytes).bits, 0U);
  EXPECT_EQ(registry_->find(border - kLeafBytes).bits, 0U);
}

TEST_F(Sparse, a_range_that_ends_at_a_border_takes_one_leaf) {
  ASSERT_TRUE(registry_->prepare(pages_, 4 * kLeafBytes, kLeafBytes));
  EXPECT_EQ(pages_.count(), 1U);
  ASSERT_TRUE(registry_->prepare(pages_, 4 * kLeafBytes, kLeafBytes));
  EXPECT_EQ(pages_.count(), 1U) << "made once";
  ASSERT_TRUE(registry_->prepare(pages_, 7 * kLeafBytes, 2 * kLeafBytes + 1));
  EXPECT_EQ(pages_.count(), 4U);
}

TEST_F(Sparse, reaches_the_last_address_and_refuses_what_lies_beyond) {
  ASSERT_TRUE(registry_->prepare(pages_, kEnd - kUnit, kUnit));
  registry_->set(kEnd - kUnit, some_entry(1));
  EXPECT_EQ(registry_->find(kEnd - 1).bits, some_entry(1).bits);
  EXPECT_EQ(registry_->find(kEnd).bits, 0U);
  EXPECT_EQ(registry_->find(kEnd - 1 + kEnd).bits, 0U) << "high bits are not dropped";
  EXPECT_EQ(registry_->find(kEnd - kUnit + (std::uintptr_t{1} << 63)).bits, 0U);
  EXPECT_FALSE(registry_->prepare(pages_, kEnd - kUnit, 2 * kUnit));
  EXPECT_FALSE(registry_->prepare(pages_, kEnd, kUnit));
}

TEST_F(Sparse, the_first_unit_is_nobodys_until_registered) {
  ASSERT_TRUE(registry_->prepare(pages_, 0, kUnit));
  registry_->set(0, some_entry(2));
  EXPECT_EQ(registry_->find(0).bits, some_entry(2).bits);
  EXPECT_EQ(registry_->find(kUnit).bits, 0U);
}

TEST_F(Sparse, says_when_memory_for_a_leaf_is_out) {
  pages_.limit = 1;
  EXPECT_FALSE(registry_->prepare(pages_, 5 * kLeafBytes - kUnit, 2 * kUnit));
  EXPECT_EQ(registry_->find(5 * kLeafBytes).bits, 0U);
  pages_.limit = 2;
  EXPECT_TRUE(registry_->prepare(pages_, 5 * kLeafBytes - kUnit, 2 * kUnit)) << "and can be asked again";
  registry_->set(5 * kLeafBytes, some_entry(3));
  EXPECT_EQ(registry_->find(5 * kLeafBytes).bits, some_entry(3).bits);
}

TEST(FlatRegistry, knows_its_region_and_nothing_else) {
  constexpr std::uintptr_t kRegion = 0x7f3a12c00000;
  constexpr std::size_t kUnits = 10;
  std::vector<std::atomic<std::uint64_t>> entries(kUnits);
  FlatRegistry registry;
  EXPECT_EQ(registry.find(0).bits, 0U) << "before its start";
  registry.start(kRegion, kUnits, entries.data());
  CountedPages pages;
  ASSERT_TRUE(registry.prepare(pages, kRegion, kUnits * kUnit));
  EXPECT_EQ(pages.count(), 0U);
  for (std::uint32_t i = 0; i != kUnits; ++i) registry.set(kRegion + i * kUnit, some_entry(i + 1));
  for (std::uint32_t i = 0; i != kUnits; ++i) {
    EXPECT_EQ(registry.find(kRegion + i * kUnit).bits, some_entry(i + 1).bits);
    EXPECT_EQ(registry.find(kRegion + (i + 1) * kUnit - 1).bits, some_entry(i + 1).bits);
  }
  EXPECT_EQ(registry.find(kRegion - 1).bits, 0U);
  EXPECT_EQ(registry.find(kRegion + kUnits * kUnit).bits, 0U);
  EXPECT_EQ(registry.find(0).bits, 0U);
  EXPECT_EQ(registry.find(~std::uintptr_t{0}).bits, 0U);
  for (unsigned bit = 20; bit != 64; ++bit)
    EXPECT_EQ(registry.find(kRegion ^ std::uintptr_t{1} << bit).bits, 0U) << bit;
}

}  // namespace
}  // namespace stave
