// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/pages.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <cstring>
#include <initializer_list>
#include <set>
#include <vector>

#include "base/bits.hpp"
#include "base/test_child.hpp"

namespace stave {
namespace {

using Sizes = std::initializer_list<std::size_t>;

using test::kSurvived;
using test::read_end;
using test::write_end;

bool is_zero(const void* start, std::size_t bytes) {
  const auto* const words = static_cast<const unsigned char*>(start);
  for (std::size_t i = 0; i != bytes; ++i) {
    if (words[i] != 0) return false;
  }
  return true;
}

/// A region for RegionPages, and what it was asked.
class Region {
 public:
  static constexpr std::size_t kUnits = 70;  // more than a word of the bitmap

  explicit Region(bool pretends = false) {
    region_ = static_cast<char*>(kernel_.map(kUnits * kUnit, 0));
    pages.start(region_, kUnits, map_, pretends ? closed_ : nullptr, fails, this);
  }
  ~Region() { (void)kernel_.unmap(region_, kUnits * kUnit); }
  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  [[nodiscard]] char* first() const { return region_; }

  RegionPages pages;
  std::vector<int> asked;
  int failing = -1;  ///< the kind of call that fails

 private:
  static bool fails(void* context, unsigned char call) {
    auto* const self = static_cast<Region*>(context);
    self->asked.push_back(call);
    return call == self->failing;
  }

  KernelPages kernel_;
  char* region_ = nullptr;
  std::uint16_t closed_[kUnits] = {};
  std::uint64_t map_[2] = {};
};

/// The two kinds of pages behind one face.
struct Kernel {
  KernelPages pages;
};

template <class T>
class Pages : public testing::Test {
 protected:
  T owner;
};
using Kinds = testing::Types<Kernel, Region>;
TYPED_TEST_SUITE(Pages, Kinds);

TYPED_TEST(Pages, map_gives_zeroed_memory_aligned_at_a_unit) {
  auto& pages = this->owner.pages;
  std::set<char*> starts;
  for (const std::size_t bytes : {kUnit, 2 * kUnit, 3 * kUnit, 17 * kUnit}) {
    auto* const start = static_cast<char*>(pages.map(bytes, 0));
    ASSERT_NE(start, nullptr);
    EXPECT_EQ(address_of(start) % kUnit, 0U);
    EXPECT_TRUE(is_zero(start, bytes));
    std::memset(start, 0xa5, bytes);
    EXPECT_TRUE(starts.insert(start).second);
  }
}

TYPED_TEST(Pages, what_was_unmapped_can_be_mapped_again_and_is_zero) {
  auto& pages = this->owner.pages;
  auto* const start = static_cast<char*>(pages.map(4 * kUnit, 0));
  ASSERT_NE(start, nullptr);
  std::memset(start, 0xa5, 4 * kUnit);
  ASSERT_TRUE(pages.forbid(start + kUnit, page_size()));
  ASSERT_TRUE(pages.unmap(start, 4 * kUnit));
  auto* const again = static_cast<char*>(pages.map(4 * kUnit, address_of(start)));
  ASSERT_EQ(again, start);
  EXPECT_TRUE(is_zero(again, 4 * kUnit));
  std::memset(again, 1, 4 * kUnit);
}

TYPED_TEST(Pages, forbidden_pages_fault_and_keep_their_contents) {
  auto& pages = this->owner.pages;
  const std::size_t page = page_size();
  auto* const start = static_cast<char*>(pages.map(kUnit, 0));
  ASSERT_NE(start, nullptr);
  start[page] = 7;
  ASSERT_TRUE(pages.forbid(start + page, page));
  EXPECT_EQ(read_end(start + page), -SIGSEGV);
  EXPECT_EQ(write_end(start + 2 * page - 1), -SIGSEGV);
  EXPECT_EQ(write_end(start + page - 1), kSurvived);
  EXPECT_EQ(write_end(start + 2 * page), kSurvived);
  ASSERT_TRUE(pages.permit(start + page, page));
  EXPECT_EQ(start[page], 7);
}

TYPED_TEST(Pages, withdrawn_pages_fault_and_come_back_empty) {
  auto& pages = this->owner.pages;
  const std::size_t page = page_size();
  auto* const start = static_cast<char*>(pages.map(2 * kUnit, 0));
  ASSERT_NE(start, nullptr);
  std::memset(start, 7, 2 * kUnit);
  ASSERT_TRUE(pages.withdraw(start + page, kUnit));
  EXPECT_EQ(read_end(start + page), -SIGSEGV);
  EXPECT_EQ(read_end(start + page + kUnit - 1), -SIGSEGV);
  EXPECT_EQ(read_end(start + page + kUnit), kSurvived);
  ASSERT_TRUE(pages.permit(start + page, kUnit));
  EXPECT_TRUE(is_zero(start + page, kUnit));
  EXPECT_EQ(start[page - 1], 7);
  EXPECT_EQ(start[page + kUnit], 7);
}

TYPED_TEST(Pages, renewed_pages_are_empty_and_may_be_written_whatever_was_there) {
  auto& pages = this->owner.pages;
  const std::size_t page = page_size();
  auto* const start = static_cast<char*>(pages.map(2 * kUnit, 0));
  ASSERT_NE(start, nullptr);
  std::memset(start, 7, 2 * kUnit);
  ASSERT_TRUE(pages.forbid(start + 2 * page, page));
  ASSERT_EQ(::munmap(start + 3 * page, page), 0);
  ASSERT_TRUE(pages.renew(start + page, kUnit));
  EXPECT_TRUE(is_zero(start + page, kUnit));
  std::memset(start + page, 1, kUnit);
  EXPECT_EQ(start[page - 1], 7);
  EXPECT_EQ(start[page + kUnit], 7);
}

TYPED_TEST(Pages, discarded_pages_read_as_zero_and_may_be_written) {
  auto& pages = this->owner.pages;
  auto* const start = static_cast<char*>(pages.map(kUnit, 0));
  ASSERT_NE(start, nullptr);
  std::memset(start, 7, kUnit);
  ASSERT_TRUE(pages.discard(start, kUnit));
  EXPECT_TRUE(is_zero(start, kUnit));
  std::memset(start, 8, kUnit);
}

TYPED_TEST(Pages, guards_by_advice_fault_and_come_off) {
  auto& pages = this->owner.pages;
  const std::size_t page = page_size();
  auto* const start = static_cast<char*>(pages.map(kUnit, 0));
  ASSERT_NE(start, nullptr);
  std::memset(start, 7, kUnit);
  if (!kernel_checks_advice()) GTEST_SKIP() << "it takes any";
  if (!pages.guard_install(start + page, page)) {
    // An older kernel: refused, and nothing happened.
    EXPECT_EQ(read_end(start + page), kSurvived);
    EXPECT_EQ(start[page], 7);
    return;
  }
  EXPECT_EQ(read_end(start + page), -SIGSEGV);
  EXPECT_EQ(write_end(start + 2 * page - 1), -SIGSEGV);
  EXPECT_EQ(read_end(start + page - 1), kSurvived);
  EXPECT_EQ(read_end(start + 2 * page), kSurvived);
  // Giving memory back around a guard leaves it standing.
  ASSERT_TRUE(pages.discard(start, kUnit));
  EXPECT_EQ(read_end(start + page), -SIGSEGV);
  ASSERT_TRUE(pages.guard_remove(start + page, page));
  EXPECT_TRUE(is_zero(start + page, page));
}

TYPED_TEST(Pages, move_takes_contents_along_and_leaves_zeroes) {
  auto& pages = this->owner.pages;
  auto* const source = static_cast<char*>(pages.map(2 * kUnit, 0));
  auto* const target = static_cast<char*>(pages.map(3 * kUnit, 0));
  ASSERT_TRUE(source != nullptr && target != nullptr);
  std::memset(source, 7, 2 * kUnit);
  if (!pages.move(source, kUnit, target)) GTEST_SKIP() << "MREMAP_DONTUNMAP needs Linux 5.7";
  EXPECT_EQ(target[0], 7);
  EXPECT_EQ(target[kUnit - 1], 7);
  EXPECT_EQ(target[kUnit], 0);
  EXPECT_TRUE(is_zero(source, kUnit));
  EXPECT_EQ(source[kUnit], 7);
  source[0] = 1;  // still mapped
}

TEST(KernelPages, map_takes_the_hint_if_it_is_free) {
  KernelPages pages;
  void* const first = pages.map(kUnit, 0);
  ASSERT_NE(first, nullptr);
  void* const elsewhere = pages.map(kUnit, address_of(first));
  ASSERT_NE(elsewhere, nullptr);
  EXPECT_NE(elsewhere, first);
  ASSERT_TRUE(pages.unmap(first, kUnit));
  EXPECT_EQ(pages.map(kUnit, address_of(first)), first);
}

TEST(KernelPages, map_is_aligned_wherever_the_kernel_starts) {
  // Misaligned holes around: what the kernel proposes is then rarely aligned.
  KernelPages pages;
  std::vector<void*> odd;
  for (int i = 0; i != 64; ++i) {
    odd.push_back(mmap(nullptr, page_size() * static_cast<std::size_t>(i % 7 + 1), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    void* const start = pages.map(kUnit, 0);
    ASSERT_NE(start, nullptr);
    ASSERT_EQ(address_of(start) % kUnit, 0U);
    std::memset(start, 1, kUnit);
    if (i % 2 == 0) {
      ASSERT_TRUE(pages.unmap(start, kUnit));
    }
  }
}

TEST(KernelPages, failure_is_an_answer) {
  KernelPages pages;
  EXPECT_EQ(pages.map(std::size_t{1} << 60, 0), nullptr);
  auto* const start = static_cast<char*>(pages.map(kUnit, 0));
  ASSERT_NE(start, nullptr);
  EXPECT_FALSE(pages.unmap(start + 1, page_size()));
  EXPECT_FALSE(pages.permit(start + 1, page_size()));
  EXPECT_FALSE(pages.discard(start + 1, page_size()));
  ASSERT_TRUE(pages.unmap(start, kUnit));
  EXPECT_FALSE(pages.permit(start, kUnit)) << "nothing is mapped there";
}

TEST(KernelPages, guards_survive_fork) {
  KernelPages pages;
  auto* const start = static_cast<char*>(pages.map(kUnit, 0));
  ASSERT_NE(start, nullptr);
  ASSERT_TRUE((kernel_checks_advice() && pages.guard_install(start, page_size())) || pages.forbid(start, page_size()));
  EXPECT_EQ(test::child_end([&] {
              const int inner = read_end(start);  // a grandchild
              _exit(inner == -SIGSEGV ? 11 : 0);
            }),
            11);
}

TEST(RegionPages, place_follows_from_the_calls_alone) {
  Region a;
  Region b;
  for (const std::size_t units : Sizes{1, 3, 2, 5}) {
    auto* const in_a = static_cast<char*>(a.pages.map(units * kUnit, 0));
    auto* const in_b = static_cast<char*>(b.pages.map(units * kUnit, 0x7000'0000'0000));
    ASSERT_TRUE(in_a != nullptr && in_b != nullptr);
    EXPECT_EQ(in_a - a.first(), in_b - b.first());
  }
}

TEST(RegionPages, stays_within_its_region) {
  Region region;
  std::set<char*> starts;
  for (std::size_t i = 0; i != Region::kUnits; ++i) {
    auto* const start = static_cast<char*>(region.pages.map(kUnit, 0));
    ASSERT_NE(start, nullptr) << i;
    EXPECT_GE(start, region.first());
    EXPECT_LE(start + kUnit, region.first() + Region::kUnits * kUnit);
    EXPECT_TRUE(starts.insert(start).second);
  }
  EXPECT_EQ(region.pages.map(kUnit, 0), nullptr);
  // A hole is found again; two apart are not one of two units.
  ASSERT_TRUE(region.pages.unmap(region.first() + 10 * kUnit, kUnit));
  ASSERT_TRUE(region.pages.unmap(region.first() + 12 * kUnit, kUnit));
  EXPECT_EQ(region.pages.map(2 * kUnit, 0), nullptr);
  ASSERT_TRUE(region.pages.unmap(region.first() + 11 * kUnit, kUnit));
  EXPECT_EQ(region.pages.map(3 * kUnit, 0), region.first() + 10 * kUnit);
}

TEST(RegionPages, what_cannot_fit_is_refused) {
  Region region;
  EXPECT_EQ(region.pages.map(0, 0), nullptr);
  EXPECT_EQ(region.pages.map((Region::kUnits + 1) * kUnit, 0), nullptr);
  EXPECT_EQ(region.pages.map(std::size_t{1} << 60, 0), nullptr);
  EXPECT_EQ(region.pages.map(Region::kUnits * kUnit, 0), region.first());
}

TEST(RegionPages, part_of_a_unit_takes_a_whole_one) {
  Region region;
  EXPECT_EQ(region.pages.map(page_size(), 0), region.first());
  EXPECT_EQ(region.pages.map(kUnit + 1, 0), region.first() + kUnit);
  EXPECT_EQ(region.pages.map(kUnit, 0), region.first() + 3 * kUnit);
  ASSERT_TRUE(region.pages.unmap(region.first() + kUnit, kUnit + 1));
  EXPECT_EQ(region.pages.map(2 * kUnit, 0), region.first() + kUnit);
}

TEST(RegionPages, what_is_not_in_use_faults) {
  Region region;
  char* const first = region.first();
  EXPECT_EQ(read_end(first), -SIGSEGV) << "never mapped";
  ASSERT_EQ(region.pages.map(2 * kUnit, 0), first);
  std::memset(first, 7, 2 * kUnit);
  EXPECT_EQ(read_end(first + 2 * kUnit), -SIGSEGV) << "behind what is mapped";
  ASSERT_TRUE(region.pages.unmap(first, kUnit));
  EXPECT_EQ(write_end(first), -SIGSEGV) << "unmapped";
  EXPECT_EQ(first[kUnit], 7);
  ASSERT_EQ(region.pages.map(kUnit, 0), first);
  EXPECT_TRUE(is_zero(first, kUnit));
  (void)region.pages.reset(Region::kUnits);
  EXPECT_EQ(read_end(first), -SIGSEGV) << "reset";
}

TEST(RegionPages, reset_forgets_guards_contents_and_places) {
  Region region;
  const std::size_t page = page_size();
  auto* const start = static_cast<char*>(region.pages.map(3 * kUnit, 0));
  ASSERT_NE(start, nullptr);
  std::memset(start, 7, 3 * kUnit);
  ASSERT_TRUE(region.pages.forbid(start, page));
  (void)region.pages.guard_install(start + page, page);
  ASSERT_TRUE(region.pages.withdraw(start + kUnit, kUnit));
  auto* const last = static_cast<char*>(region.pages.map(67 * kUnit, 0));
  ASSERT_NE(last, nullptr);
  last[67 * kUnit - 1] = 7;
  EXPECT_EQ(region.pages.reset(Region::kUnits), Region::kUnits);
  EXPECT_EQ(region.pages.map(Region::kUnits * kUnit, 0), region.first());
  EXPECT_TRUE(is_zero(region.first(), Region::kUnits * kUnit));
  EXPECT_EQ(region.pages.reset(Region::kUnits), Region::kUnits);
  EXPECT_EQ(region.pages.reset(Region::kUnits), 0U);
  ASSERT_NE(region.pages.map(2 * kUnit, 0), nullptr);
  EXPECT_EQ(region.pages.reset(Region::kUnits), 2U);
}

TEST(RegionPages, what_ends_access_empties_and_what_grants_it_finds_zeroes) {
  const std::size_t page = page_size();
  for (const bool pretends : {false, true}) {
    Region region(pretends);
    const auto can_touch = [&](const char* at) {
      return pretends ? region.pages.is_open(at) : read_end(at) != -SIGSEGV;
    };
    auto* const start = static_cast<char*>(region.pages.map(3 * kUnit, 0));
    ASSERT_EQ(start, region.first());
    std::memset(start, 7, 3 * kUnit);
    ASSERT_TRUE(region.pages.withdraw(start + page, page));
    EXPECT_FALSE(can_touch(start + page));
    EXPECT_FALSE(can_touch(start + 2 * page - 1));
    EXPECT_TRUE(can_touch(start + page - 1));
    EXPECT_EQ(start[2 * page], 7);
    ASSERT_TRUE(region.pages.forbid(start + 3 * page, page));
    EXPECT_FALSE(can_touch(start + 3 * page));
    if (region.pages.guard_install(start + 5 * page, page)) {
      EXPECT_FALSE(can_touch(start + 5 * page));
      ASSERT_TRUE(region.pages.guard_remove(start + 5 * page, page));
      EXPECT_TRUE(is_zero(start + 5 * page, page));
    }
    ASSERT_TRUE(region.pages.discard(start + 7 * page, page));
    EXPECT_TRUE(is_zero(start + 7 * page, page));
    EXPECT_EQ(start[8 * page], 7);
    ASSERT_TRUE(region.pages.withdraw(start + kUnit, kUnit));
    EXPECT_FALSE(can_touch(start + kUnit));
    ASSERT_TRUE(region.pages.unmap(start + 2 * kUnit, kUnit));
    EXPECT_FALSE(can_touch(start + 2 * kUnit));
    // What is opened again is as fresh, and what lies between keeps its contents.
    ASSERT_TRUE(region.pages.permit(start + page, 2 * page));
    EXPECT_TRUE(can_touch(start + page));
    EXPECT_TRUE(is_zero(start + page, page));
    EXPECT_EQ(start[2 * page], 7);
    ASSERT_TRUE(region.pages.renew(start + kUnit, kUnit));
    EXPECT_TRUE(can_touch(start + kUnit));
    EXPECT_TRUE(is_zero(start + kUnit, kUnit));
    ASSERT_EQ(region.pages.map(kUnit, 0), start + 2 * kUnit);
    EXPECT_TRUE(can_touch(start + 2 * kUnit));
    EXPECT_TRUE(is_zero(start + 2 * kUnit, kUnit));
  }
}

TEST(RegionPages, reset_leaves_zeroes_whatever_lay_there) {
  const std::size_t page = page_size();
  for (const bool pretends : {false, true}) {
    for (const std::size_t units : {3U, 69U}) {  // few pages are written over, many are given back
      Region region(pretends);
      for (int round = 0; round != 3; ++round) {
        auto* const start = static_cast<char*>(region.pages.map(units * kUnit, 0));
        ASSERT_EQ(start, region.first());
        ASSERT_TRUE(is_zero(start, units * kUnit));
        std::memset(start, 7, units * kUnit);
        ASSERT_TRUE(region.pages.forbid(start + page, page));
        (void)region.pages.guard_install(start + 2 * page, page);
        ASSERT_TRUE(region.pages.withdraw(start + kUnit, kUnit));
        if (round == 1) {
          ASSERT_TRUE(region.pages.unmap(start + 2 * kUnit, kUnit));
        }
        EXPECT_EQ(region.pages.reset(Region::kUnits), units);
      }
      EXPECT_EQ(region.pages.reset(Region::kUnits), 0U);
    }
  }
}

TEST(RegionPages, what_is_resident_does_not_depend_on_an_earlier_life) {
  const std::size_t page = page_size();
  for (const bool pretends : {false, true}) {
    Region region(pretends);
    for (int round = 0; round != 2; ++round) {
      auto* const start = static_cast<char*>(region.pages.map(2 * kUnit, 0));
      EXPECT_EQ(region.pages.resident_bytes(start, 2 * kUnit), 0U);
      start[page] = start[kUnit] = start[kUnit + page] = 7;
      EXPECT_EQ(region.pages.resident_bytes(start, 2 * kUnit), 3 * page);
      ASSERT_TRUE(region.pages.withdraw(start + kUnit, page));
      EXPECT_EQ(region.pages.resident_bytes(start, 2 * kUnit), 2 * page);
      std::memset(start, 7, kUnit);
      (void)region.pages.reset(Region::kUnits);
    }
  }
}

TEST(RegionPages, a_reset_may_leave_fewer_units) {
  for (const bool pretends : {false, true}) {
    Region region(pretends);
    ASSERT_NE(region.pages.map(Region::kUnits * kUnit, 0), nullptr);
    EXPECT_EQ(region.pages.reset(3), Region::kUnits);
    EXPECT_EQ(region.pages.map(4 * kUnit, 0), nullptr);
    EXPECT_NE(region.pages.map(3 * kUnit, 0), nullptr);
    EXPECT_EQ(region.pages.map(1, 0), nullptr);
    EXPECT_EQ(region.pages.reset(Region::kUnits), 3U);
    EXPECT_NE(region.pages.map(Region::kUnits * kUnit, 0), nullptr);
  }
}

TEST(RegionPages, each_call_asks_the_hook_for_its_own_kind_and_obeys) {
  enum { kMap, kUnmap, kProtect, kDiscard, kGuardInstall, kGuardRemove, kRemap };  // as SysCall
  Region region;
  const std::size_t page = page_size();
  auto* const start = static_cast<char*>(region.pages.map(4 * kUnit, 0));
  ASSERT_NE(start, nullptr);
  start[0] = 7;
  const auto refuses = [&](int kind, auto call) {
    region.failing = kind;
    region.asked.clear();
    const bool done = call();
    EXPECT_EQ(region.asked, std::vector<int>{kind});
    region.failing = -1;
    EXPECT_EQ(start[0], 7) << "nothing happened";
    return !done;
  };
  EXPECT_TRUE(refuses(kMap, [&] { return region.pages.map(kUnit, 0) != nullptr; }));
  EXPECT_TRUE(refuses(kUnmap, [&] { return region.pages.unmap(start, kUnit); }));
  EXPECT_TRUE(refuses(kMap, [&] { return region.pages.withdraw(start, page); }));
  EXPECT_TRUE(refuses(kMap, [&] { return region.pages.renew(start, page); }));
  EXPECT_TRUE(refuses(kProtect, [&] { return region.pages.permit(start, page); }));
  EXPECT_TRUE(refuses(kProtect, [&] { return region.pages.forbid(start, page); }));
  EXPECT_TRUE(refuses(kDiscard, [&] { return region.pages.discard(start, page); }));
  EXPECT_TRUE(refuses(kGuardInstall, [&] { return region.pages.guard_install(start, page); }));
  EXPECT_TRUE(refuses(kGuardRemove, [&] { return region.pages.guard_remove(start, page); }));
  EXPECT_TRUE(refuses(kRemap, [&] { return region.pages.move(start, kUnit, start + kUnit); }));
  // A refused unmap keeps the place: nobody else gets it.
  region.failing = kUnmap;
  EXPECT_FALSE(region.pages.unmap(start, 4 * kUnit));
  EXPECT_EQ(region.pages.map(kUnit, 0), start + 4 * kUnit);
}

TEST(PageSize, is_what_the_system_says) {
  EXPECT_EQ(page_size(), static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  EXPECT_TRUE(is_page_size(page_size()));
  EXPECT_LE(page_size(), kLargestPage);
}

TEST(PageSize, is_one_of_three_or_so) {
  for (const std::size_t bytes : {4096UL, 8192UL, 16384UL, 65536UL}) EXPECT_TRUE(is_page_size(bytes)) << bytes;
  for (const std::size_t bytes : {0UL, 1UL, 2048UL, 12345UL, 4096UL * 3, 131'072UL, ~0UL})
    EXPECT_FALSE(is_page_size(bytes)) << bytes;
}

}  // namespace
}  // namespace stave
