// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/chunk.hpp"

#include <gtest/gtest.h>

#include <set>

namespace stave {
namespace {

constexpr Key kKey{.a = 0x243f6a8885a308d3, .b = 0x13198a2e03707344};
constexpr std::uintptr_t kStart = 0x7f3a12c00000;
const void* const kOwner = reinterpret_cast<const void*>(0x7f0000001000);

const Chunk* header(std::uint32_t colour, std::uintptr_t start = kStart) {
  return reinterpret_cast<const Chunk*>(start + colour * kLine);
}

TEST(Seal, depends_on_each_field) {
  std::set<std::uint64_t> seen;
  for (std::uint32_t cls = 0; cls != 128; ++cls) EXPECT_TRUE(seen.insert(seal_of(kKey, header(3), cls, kOwner)).second);
  for (std::uint32_t colour = 0; colour != 64; ++colour) {
    if (colour != 3) {
      EXPECT_TRUE(seen.insert(seal_of(kKey, header(colour), 0, kOwner)).second);
    }
  }
  for (unsigned bit = 16; bit != 47; ++bit) {
    EXPECT_TRUE(seen.insert(seal_of(kKey, header(3, kStart ^ std::uintptr_t{1} << bit), 0, kOwner)).second);
  }
  for (unsigned bit = 6; bit != 47; ++bit) {
    const auto* const other = reinterpret_cast<const void*>(address_of(kOwner) ^ std::uintptr_t{1} << bit);
    EXPECT_TRUE(seen.insert(seal_of(kKey, header(3), 0, other)).second) << bit;
  }
  EXPECT_TRUE(seen.insert(seal_of(kKey, header(3), 0, nullptr)).second);
}

TEST(Seal, depends_on_each_bit_of_the_key) {
  std::set<std::uint64_t> seen{seal_of(kKey, header(0), 1, kOwner)};
  for (unsigned bit = 0; bit != 64; ++bit) {
    EXPECT_TRUE(seen.insert(seal_of({kKey.a ^ std::uint64_t{1} << bit, kKey.b}, header(0), 1, kOwner)).second);
    EXPECT_TRUE(seen.insert(seal_of({kKey.a, kKey.b ^ std::uint64_t{1} << bit}, header(0), 1, kOwner)).second);
  }
}

TEST(Seal, is_not_linear) {
  const auto tag = [](std::uintptr_t flip) { return seal_of(kKey, header(0, kStart ^ flip), 0, kOwner); };
  int same = 0;
  for (unsigned bit = 16; bit != 44; ++bit) {
    const std::uintptr_t a = std::uintptr_t{1} << bit;
    const std::uintptr_t b = a << 2;
    if ((tag(0) ^ tag(a)) == (tag(b) ^ tag(a | b))) ++same;
    if (tag(0) - tag(a) == tag(b) - tag(a | b)) ++same;
  }
  EXPECT_LE(same, 1);
}

TEST(Chunk, header_is_found_from_every_unit_and_colour) {
  for (std::uint32_t colour = 0; colour != 64; ++colour) {
    for (std::uint32_t unit = 0; unit != 16; ++unit) {
      const RegistryEntry entry = RegistryEntry::of_chunk(UnitKind::chunk, 5, colour, unit, GuardKind::advice);
      for (const std::uintptr_t offset : {std::uintptr_t{0}, std::uintptr_t{1}, std::uintptr_t{0x8000}, kUnit - 1}) {
        EXPECT_EQ(header_at(kStart + unit * kUnit + offset, entry), header(colour)) << colour << " " << unit;
      }
    }
  }
}

TEST(Chunk, start_is_its_first_byte_whatever_its_colour) {
  for (std::uint32_t colour = 0; colour != 64; ++colour) EXPECT_EQ(address_of(header(colour)->start()), kStart);
}

TEST(Chunk, words_follow_the_header) {
  EXPECT_EQ(address_of(header(7)->lines()), kStart + 7 * kLine + kHeaderBytes);
  EXPECT_EQ(address_of(header(0)->lines() + 2), kStart + kHeaderBytes + 2 * kLine);
}

TEST(Chunk, what_others_write_has_a_cache_line_of_its_own) {
  const auto* const chunk = header(0);
  const std::uintptr_t owners = address_of(&chunk->place) / 64;
  EXPECT_EQ(address_of(&chunk->seal) / 64, owners);
  EXPECT_NE(address_of(&chunk->pending) / 64, owners);
  EXPECT_EQ(address_of(&chunk->inbox_next) / 64, address_of(&chunk->pending) / 64);
  EXPECT_EQ(address_of(&chunk->visited) / 64, address_of(&chunk->pending) / 64);
}

}  // namespace
}  // namespace stave
