// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The malloc family of C, as glibc documents it.
#include <errno.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <vector>

#include "conformance.hpp"

namespace {

using conformance::opaque;

constexpr size_t kTooMuch = size_t{PTRDIFF_MAX} + 1;
// Sizes around everything that a bucket allocator could get wrong by one.
std::vector<size_t> edge_sizes() {
  std::vector<size_t> sizes{0, 1};
  for (size_t power = 8; power <= size_t{8} << 20; power *= 2) {
    for (const size_t size : {power - 1, power, power + 1, power + power / 4, power + power / 2 - 1, power + 16}) {
      sizes.push_back(size);
    }
  }
  return sizes;
}

bool aligned(const void* pointer, size_t alignment) { return reinterpret_cast<uintptr_t>(pointer) % alignment == 0; }

template <class F>
F* find(const char* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_DEFAULT, name));
}

TEST(Malloc, of_zero_is_unique_and_not_null) {
  std::set<void*> seen;
  for (int i = 0; i != 1000; ++i) {
    void* const pointer = opaque(malloc(opaque(size_t{0})));
    ASSERT_NE(pointer, nullptr);
    EXPECT_TRUE(seen.insert(pointer).second);
  }
  for (void* const pointer : seen) free(pointer);
}

TEST(Malloc, is_always_aligned_at_16_and_disjoint) {
  for (const size_t size : edge_sizes()) {
    char* const a = opaque(static_cast<char*>(malloc(size)));
    char* const b = opaque(static_cast<char*>(malloc(size)));
    ASSERT_NE(a, nullptr);
    ASSERT_NE(b, nullptr);
    EXPECT_TRUE(aligned(a, 16) && aligned(b, 16)) << size;
    EXPECT_TRUE(a + malloc_usable_size(a) <= b || b + malloc_usable_size(b) <= a) << size;
    free(a);
    free(b);
  }
}

TEST(Malloc, beyond_ptrdiff_max_fails_with_enomem) {
  for (const size_t size : {kTooMuch, SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096, SIZE_MAX - 65536, size_t{1} << 63}) {
    errno = 0;
    EXPECT_EQ(opaque(malloc(opaque(size))), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM) << size;
  }
}

TEST(Malloc, of_more_than_there_is_fails_with_enomem_and_loses_nothing) {
  for (const size_t size : {size_t{PTRDIFF_MAX}, size_t{PTRDIFF_MAX} - 4096, size_t{1} << 48, size_t{1} << 55}) {
    errno = 0;
    EXPECT_EQ(opaque(malloc(opaque(size))), nullptr) << size;
    EXPECT_EQ(errno, ENOMEM) << size;
  }
  void* const pointer = opaque(malloc(100));
  EXPECT_NE(pointer, nullptr);
  free(pointer);
}

TEST(Malloc, usable_size_is_all_writable_and_stable) {
  for (const size_t size : edge_sizes()) {
    char* const pointer = opaque(static_cast<char*>(malloc(size)));
    ASSERT_NE(pointer, nullptr);
    const size_t usable = malloc_usable_size(pointer);
    ASSERT_GE(usable, size);
    memset(pointer, 0x5a, usable);
    EXPECT_EQ(malloc_usable_size(pointer), usable);
    void* const other = opaque(malloc(size));
    free(other);
    EXPECT_EQ(malloc_usable_size(pointer), usable);
    for (size_t i = 0; i != usable; ++i) ASSERT_EQ(pointer[i], 0x5a) << size << " at " << i;
    free(pointer);
  }
  EXPECT_EQ(malloc_usable_size(nullptr), 0U);
}

TEST(Free, keeps_errno_and_accepts_null) {
  for (const size_t size : {size_t{1}, size_t{40000}, size_t{1} << 20, size_t{64} << 20}) {
    void* const pointer = opaque(malloc(size));
    ASSERT_NE(pointer, nullptr);
    errno = 4711;
    free(pointer);
    EXPECT_EQ(errno, 4711) << size;
  }
  free(nullptr);
  EXPECT_EQ(errno, 4711);
}

TEST(Free, keeps_errno_when_memory_goes_back) {
  std::vector<void*> pointers;
  pointers.reserve(20000);
  for (int i = 0; i != 20000; ++i) pointers.push_back(malloc(1000));
  errno = 4711;
  for (void* const pointer : pointers) free(pointer);
  EXPECT_EQ(errno, 4711);
}

TEST(Calloc, is_zero_also_where_memory_was_used_before) {
  for (const size_t size : edge_sizes()) {
    for (int round = 0; round != 3; ++round) {
      char* const dirty = opaque(static_cast<char*>(malloc(size)));
      ASSERT_NE(dirty, nullptr);
      memset(dirty, 0xff, size);
      free(dirty);
      char* const pointer = opaque(static_cast<char*>(calloc(size, 1)));
      ASSERT_NE(pointer, nullptr);
      for (size_t i = 0; i != size; ++i) ASSERT_EQ(pointer[i], 0) << size << " at " << i;
      memset(pointer, 0xff, size);
      free(pointer);
    }
  }
}

TEST(Calloc, is_zero_in_every_slot_of_a_used_class) {
  for (const size_t size : {size_t{16}, size_t{48}, size_t{1000}, size_t{5000}, size_t{40000}}) {
    std::vector<char*> pointers(600);
    for (int round = 0; round != 4; ++round) {
      for (char*& pointer : pointers) {
        pointer = opaque(static_cast<char*>(calloc(1, size)));
        ASSERT_NE(pointer, nullptr);
        for (size_t i = 0; i != size; ++i) ASSERT_EQ(pointer[i], 0) << size << " at " << i;
        memset(pointer, 0xff, malloc_usable_size(pointer));
      }
      for (char* const pointer : pointers) free(pointer);
    }
  }
}

TEST(Calloc, whose_product_overflows_fails_with_enomem) {
  const size_t pairs[][2] = {{SIZE_MAX, 2},        {2, SIZE_MAX},         {size_t{1} << 32, size_t{1} << 32},
                             {SIZE_MAX, SIZE_MAX}, {SIZE_MAX / 2 + 1, 2}, {(size_t{1} << 63) + 1, 2},
                             {kTooMuch, 1},        {1, kTooMuch}};
  for (const auto& [count, size] : pairs) {
    errno = 0;
    EXPECT_EQ(opaque(calloc(opaque(count), opaque(size))), nullptr) << count << " * " << size;
    EXPECT_EQ(errno, ENOMEM) << count << " * " << size;
  }
}

TEST(Calloc, of_nothing_is_not_null) {
  for (const size_t other : {size_t{0}, size_t{1}, SIZE_MAX}) {
    void* const pointer = opaque(calloc(opaque(size_t{0}), opaque(other)));
    EXPECT_NE(pointer, nullptr);
    free(pointer);
  }
}

TEST(Realloc, of_null_is_malloc) {
  void* const pointer = opaque(realloc(nullptr, 100));
  ASSERT_NE(pointer, nullptr);
  EXPECT_GE(malloc_usable_size(pointer), 100U);
  free(pointer);
}

TEST(Realloc, of_null_to_zero_is_malloc_of_zero) {
  void* const pointer = opaque(realloc(nullptr, opaque(size_t{0})));
  EXPECT_NE(pointer, nullptr);
  free(pointer);
}

TEST(Realloc, to_zero_frees_and_gives_null) {
  for (const size_t size : {size_t{100}, size_t{40000}, size_t{1} << 20}) {
    void* const pointer = opaque(malloc(size));
    errno = 4711;
    EXPECT_EQ(opaque(realloc(pointer, opaque(size_t{0}))), nullptr);
    EXPECT_EQ(errno, 4711);
  }
}

TEST(Realloc, that_fails_leaves_the_old_block_whole) {
  for (const size_t size : {size_t{100}, size_t{40000}, size_t{1} << 20}) {
    char* const pointer = opaque(static_cast<char*>(malloc(size)));
    memset(pointer, 0x5a, size);
    for (const size_t wanted : {kTooMuch, SIZE_MAX, size_t{1} << 55}) {
      errno = 0;
      EXPECT_EQ(opaque(realloc(pointer, opaque(wanted))), nullptr);
      EXPECT_EQ(errno, ENOMEM);
    }
    for (size_t i = 0; i != size; ++i) ASSERT_EQ(pointer[i], 0x5a) << size << " at " << i;
    EXPECT_GE(malloc_usable_size(pointer), size);
    free(pointer);
  }
}

TEST(Realloc, keeps_contents_between_all_kinds_of_sizes) {
  std::mt19937_64 random(7);
  const std::vector<size_t> sizes = edge_sizes();
  for (int round = 0; round != 300; ++round) {
    size_t size = sizes[random() % sizes.size()];
    if (size == 0) size = 1;
    auto* pointer = opaque(static_cast<unsigned char*>(malloc(size)));
    ASSERT_NE(pointer, nullptr);
    for (size_t i = 0; i != size; ++i) pointer[i] = static_cast<unsigned char>(i * 7 + size);
    size_t wanted = sizes[random() % sizes.size()];
    if (wanted == 0) wanted = 1;
    auto* const moved = opaque(static_cast<unsigned char*>(realloc(pointer, wanted)));
    ASSERT_NE(moved, nullptr);
    EXPECT_TRUE(aligned(moved, 16));
    EXPECT_GE(malloc_usable_size(moved), wanted);
    const size_t kept = wanted < size ? wanted : size;
    for (size_t i = 0; i != kept; ++i) {
      ASSERT_EQ(moved[i], static_cast<unsigned char>(i * 7 + size)) << size << " -> " << wanted << " at " << i;
    }
    memset(moved, 1, malloc_usable_size(moved));
    free(moved);
  }
}

TEST(Realloc, grows_step_by_step) {
  size_t size = 1;
  auto* pointer = opaque(static_cast<unsigned char*>(malloc(size)));
  pointer[0] = 1;
  while (size < size_t{32} << 20) {
    const size_t wanted = size + size / 3 + 1;
    pointer = opaque(static_cast<unsigned char*>(realloc(pointer, wanted)));
    ASSERT_NE(pointer, nullptr);
    for (size_t i = 0; i < size; i += 1 + size / 50)
      ASSERT_EQ(pointer[i], 1) << size << " -> " << wanted << " at " << i;
    memset(pointer, 1, wanted);
    size = wanted;
  }
  while (size > 8) {
    size = size * 2 / 3;
    pointer = opaque(static_cast<unsigned char*>(realloc(pointer, size)));
    ASSERT_NE(pointer, nullptr);
    for (size_t i = 0; i < size; i += 1 + size / 50) ASSERT_EQ(pointer[i], 1) << size << " at " << i;
  }
  free(pointer);
}

TEST(Reallocarray, whose_product_overflows_fails_with_enomem_and_keeps_the_block) {
  char* const pointer = opaque(static_cast<char*>(malloc(100)));
  memset(pointer, 0x5a, 100);
  errno = 0;
  EXPECT_EQ(opaque(reallocarray(pointer, opaque(SIZE_MAX / 2), 3)), nullptr);
  EXPECT_EQ(errno, ENOMEM);
  EXPECT_EQ(pointer[99], 0x5a);
  char* const grown = opaque(static_cast<char*>(reallocarray(pointer, 10, 100)));
  ASSERT_NE(grown, nullptr);
  EXPECT_EQ(grown[99], 0x5a);
  EXPECT_GE(malloc_usable_size(grown), 1000U);
  free(grown);
}

TEST(PosixMemalign, rejects_what_is_no_power_of_two_multiple_of_a_pointer) {
  for (const size_t alignment : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{4}, size_t{7}, size_t{12},
                                 size_t{24}, size_t{48}, SIZE_MAX}) {
    void* pointer = &pointer;
    void* const before = pointer;
    errno = 4711;
    EXPECT_EQ(posix_memalign(&pointer, alignment, 64), EINVAL) << alignment;
    EXPECT_EQ(pointer, before) << "is left alone";
    EXPECT_EQ(errno, 4711) << "the result is the error";
  }
}

TEST(PosixMemalign, out_of_memory_is_the_result_and_leaves_the_pointer_alone) {
  for (const size_t alignment : {size_t{16}, size_t{4096}, size_t{1} << 20}) {
    for (const size_t size : {kTooMuch, SIZE_MAX, SIZE_MAX - 4096, size_t{1} << 55}) {
      void* pointer = &pointer;
      void* const before = pointer;
      EXPECT_EQ(posix_memalign(&pointer, alignment, size), ENOMEM) << alignment << " " << size;
      EXPECT_EQ(pointer, before);
    }
  }
}

TEST(PosixMemalign, gives_any_power_of_two_up_to_64_mib) {
  for (size_t alignment = 8; alignment <= size_t{64} << 20; alignment *= 2) {
    for (const size_t size :
         {size_t{0}, size_t{1}, size_t{100}, alignment - 1, alignment, alignment + 1, size_t{40000}, size_t{1} << 20}) {
      void* pointer = nullptr;
      ASSERT_EQ(posix_memalign(&pointer, alignment, size), 0) << alignment << " " << size;
      ASSERT_NE(pointer, nullptr);
      EXPECT_TRUE(aligned(pointer, alignment) && aligned(pointer, 16)) << alignment << " " << size;
      EXPECT_GE(malloc_usable_size(pointer), size);
      if (size != 0) static_cast<char*>(pointer)[0] = static_cast<char*>(pointer)[size - 1] = 1;
      free(pointer);
    }
  }
}

TEST(PosixMemalign, many_at_once_are_disjoint) {
  std::vector<std::pair<char*, size_t>> blocks;
  for (int round = 0; round != 50; ++round) {
    for (size_t alignment = 16; alignment <= 65536; alignment *= 2) {
      void* pointer = nullptr;
      const size_t size = alignment / 2 + static_cast<size_t>(round) * 10;
      ASSERT_EQ(posix_memalign(&pointer, alignment, size), 0);
      memset(pointer, round, malloc_usable_size(pointer));
      blocks.emplace_back(static_cast<char*>(pointer), malloc_usable_size(pointer));
    }
  }
  std::set<std::pair<char*, size_t>> sorted(blocks.begin(), blocks.end());
  const char* end = nullptr;
  for (const auto& [start, size] : sorted) {
    EXPECT_GE(start, end);
    end = start + size;
  }
  for (const auto& block : blocks) free(block.first);
}

TEST(PosixMemalign, survives_realloc_as_plain_memory) {
  void* pointer = nullptr;
  ASSERT_EQ(posix_memalign(&pointer, 4096, 100), 0);
  memset(pointer, 0x5a, 100);
  char* const moved = opaque(static_cast<char*>(realloc(pointer, 100000)));
  ASSERT_NE(moved, nullptr);
  for (int i = 0; i != 100; ++i) ASSERT_EQ(moved[i], 0x5a);
  free(moved);
}

TEST(AlignedAlloc, accepts_a_size_that_is_no_multiple) {
  for (const size_t alignment : {size_t{16}, size_t{64}, size_t{4096}, size_t{65536}, size_t{1} << 20}) {
    void* const pointer = opaque(aligned_alloc(opaque(alignment), opaque(size_t{100})));
    ASSERT_NE(pointer, nullptr) << alignment;
    EXPECT_TRUE(aligned(pointer, alignment));
    free(pointer);
  }
}

TEST(AlignedAlloc, small_alignments_are_16_all_the_same) {
  for (const size_t alignment : {size_t{1}, size_t{2}, size_t{4}, size_t{8}}) {
    void* const pointer = opaque(aligned_alloc(opaque(alignment), opaque(size_t{24})));
    ASSERT_NE(pointer, nullptr);
    EXPECT_TRUE(aligned(pointer, 16));
    free(pointer);
  }
}

TEST(AlignedAlloc, that_cannot_be_served_fails_with_an_errno) {
  for (const size_t size : {kTooMuch, SIZE_MAX, SIZE_MAX - 4096}) {
    errno = 0;
    EXPECT_EQ(opaque(aligned_alloc(64, opaque(size))), nullptr);
    EXPECT_EQ(errno, ENOMEM);
  }
  errno = 0;
  EXPECT_EQ(opaque(aligned_alloc(opaque(kTooMuch), opaque(size_t{1}))), nullptr);
  EXPECT_TRUE(errno == EINVAL || errno == ENOMEM);
  // An alignment so large that it alone is more than there is.
  errno = 0;
  EXPECT_EQ(opaque(aligned_alloc(opaque(size_t{1} << 60), opaque(size_t{1}))), nullptr);
  EXPECT_TRUE(errno == EINVAL || errno == ENOMEM);
}

TEST(Memalign, gives_powers_of_two) {
  for (size_t alignment = 1; alignment <= size_t{1} << 22; alignment *= 2) {
    void* const pointer = opaque(memalign(alignment, 1000));
    ASSERT_NE(pointer, nullptr);
    EXPECT_TRUE(aligned(pointer, alignment));
    free(pointer);
  }
}

TEST(Memalign, beyond_the_largest_power_of_two_fails_with_einval) {
  for (const size_t alignment : {(size_t{1} << 63) + 1, SIZE_MAX}) {
    errno = 0;
    EXPECT_EQ(opaque(memalign(opaque(alignment), 1)), nullptr);
    EXPECT_EQ(errno, EINVAL);
  }
}

TEST(Valloc, is_page_aligned) {
  void* const pointer = opaque(valloc(100));
  ASSERT_NE(pointer, nullptr);
  EXPECT_TRUE(aligned(pointer, 4096));
  free(pointer);
  errno = 0;
  EXPECT_EQ(opaque(valloc(opaque(kTooMuch))), nullptr);
  EXPECT_EQ(errno, ENOMEM);
}

TEST(Pvalloc, rounds_up_to_whole_pages) {
  for (const size_t size : {size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{100000}}) {
    void* const pointer = opaque(pvalloc(size));
    ASSERT_NE(pointer, nullptr);
    EXPECT_TRUE(aligned(pointer, 4096));
    EXPECT_GE(malloc_usable_size(pointer), (size + 4095) / 4096 * 4096) << size;
    free(pointer);
  }
  errno = 0;
  EXPECT_EQ(opaque(pvalloc(opaque(SIZE_MAX - 100))), nullptr) << "rounding up must not wrap";
  EXPECT_EQ(errno, ENOMEM);
}

// Old programs were linked to cfree; glibc keeps it for them alone, where dlsym does not see it.
TEST(Cfree, is_there_for_old_programs) {
  auto* const cfree = find<void(void*)>("cfree");
  if (!conformance::on_stave()) GTEST_SKIP() << "glibc keeps it for old programs";
  ASSERT_NE(cfree, nullptr);
  cfree(opaque(malloc(100)));
  cfree(nullptr);
}

TEST(FreeSized, frees_what_was_asked_for_with_that_size) {
  auto* const free_sized = find<void(void*, size_t)>("free_sized");
  auto* const free_aligned_sized = find<void(void*, size_t, size_t)>("free_aligned_sized");
  if (!conformance::on_stave()) GTEST_SKIP() << "glibc has none before 2.41";
  ASSERT_NE(free_sized, nullptr);
  ASSERT_NE(free_aligned_sized, nullptr);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{100}, size_t{40000}, size_t{1} << 20}) {
    errno = 4711;
    free_sized(opaque(malloc(size)), size);
    free_sized(opaque(calloc(1, size)), size);
    for (const size_t alignment : {size_t{16}, size_t{256}, size_t{4096}, size_t{65536}}) {
      free_aligned_sized(opaque(aligned_alloc(alignment, size)), alignment, size);
    }
    EXPECT_EQ(errno, 4711);
  }
  free_sized(nullptr, 10);
  free_aligned_sized(nullptr, 16, 10);
}

TEST(MallocTrim, gives_memory_back_and_says_so) {
  std::vector<void*> pointers;
  for (int i = 0; i != 20000; ++i) {
    pointers.push_back(malloc(2000));
    memset(pointers.back(), 1, 2000);
  }
  const size_t full = conformance::resident_bytes();
  for (void* const pointer : pointers) free(pointer);
  const int result = malloc_trim(0);
  EXPECT_TRUE(result == 0 || result == 1);
  EXPECT_LT(conformance::resident_bytes(), full - (size_t{20} << 20));
  void* const pointer = opaque(malloc(2000));
  EXPECT_NE(pointer, nullptr);
  free(pointer);
}

TEST(Mallinfo, counts_what_is_in_use) {
  const struct mallinfo2 before = mallinfo2();
  std::vector<void*> pointers(2000);
  for (void*& pointer : pointers) pointer = opaque(malloc(1000));
  void* const large = opaque(malloc(size_t{16} << 20));
  const struct mallinfo2 full = mallinfo2();
  EXPECT_GE(full.uordblks + full.hblkhd, before.uordblks + before.hblkhd + 2000 * 1000 + (size_t{16} << 20));
  EXPECT_LE(full.uordblks + full.hblkhd, before.uordblks + before.hblkhd + 2000 * 1000 * 2 + (size_t{24} << 20));
  EXPECT_GE(full.arena + full.hblkhd, full.uordblks);
  for (void* const pointer : pointers) free(pointer);
  free(large);
  const struct mallinfo2 after = mallinfo2();
  EXPECT_LE(after.uordblks + after.hblkhd, before.uordblks + before.hblkhd + 1000 * 200);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
  const struct mallinfo old = mallinfo();
#pragma GCC diagnostic pop
  EXPECT_GE(old.uordblks, 0);
}

TEST(Mallopt, answers) {
  for (const int name : {M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX, M_ARENA_MAX, M_PERTURB}) {
    const int result = mallopt(name, name == M_PERTURB ? 0 : 1 << 20);
    EXPECT_TRUE(result == 0 || result == 1) << name;
  }
  void* const pointer = opaque(malloc(100));
  EXPECT_NE(pointer, nullptr);
  free(pointer);
}

TEST(Churn, keeps_every_byte) {
  struct Block {
    unsigned char* start;
    size_t size;
    unsigned char fill;
  };
  std::mt19937_64 random(11);
  std::vector<Block> blocks(400, Block{nullptr, 0, 0});
  const auto check = [](const Block& block) {
    for (size_t i = 0; i < block.size; i += 1 + block.size / 200) {
      if (block.start[i] != block.fill) return false;
    }
    return block.size == 0 || block.start[block.size - 1] == block.fill;
  };
  for (int step = 0; step != 60000; ++step) {
    Block& block = blocks[random() % blocks.size()];
    ASSERT_TRUE(check(block));
    const unsigned kind = random() % 16;
    size_t size = kind < 12 ? random() % 600 : kind < 15 ? random() % 70000 : random() % 600000;
    if (size == 0) size = 1;
    if (random() % 4 == 0 && block.start != nullptr) {
      block.start = opaque(static_cast<unsigned char*>(realloc(block.start, size)));
      ASSERT_NE(block.start, nullptr);
      const size_t kept = size < block.size ? size : block.size;
      block.size = kept;
      ASSERT_TRUE(check(block));
    } else {
      free(block.start);
      block.start = opaque(static_cast<unsigned char*>(malloc(size)));
      ASSERT_NE(block.start, nullptr);
    }
    block.size = size;
    block.fill = static_cast<unsigned char>(random());
    memset(block.start, block.fill, size);
  }
  for (const Block& block : blocks) free(block.start);
}

}  // namespace

int main(int argc, char** argv) {
  conformance::begin();
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
