// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/chunk.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <vector>

namespace stave {
namespace {

constexpr Key kKey{.a = 0x243f6a8885a308d3, .b = 0x13198a2e03707344};
constexpr std::uintptr_t kStart = 0x7f3a12c00000;
const void* const kOwner = reinterpret_cast<const void*>(0x7f0000001000);

const Chunk* header(std::uint32_t colour, std::uintptr_t start = kStart) {
  return reinterpret_cast<const Chunk*>(start + colour * kLine);
}

RegistryEntry identity(std::uint32_t cls, const Chunk* chunk, GuardKind guard = GuardKind::advice) {
  return RegistryEntry::of_chunk(UnitKind::chunk, cls, chunk, guard);
}

TEST(Seal, depends_on_each_field) {
  std::set<std::uint64_t> seen;
  const auto is_new = [&](RegistryEntry entry, const void* owner) {
    return seen.insert(seal_of(kKey, entry, owner)).second;
  };
  for (std::uint32_t cls = 0; cls != 128; ++cls) EXPECT_TRUE(is_new(identity(cls, header(3)), kOwner));
  for (std::uint32_t colour = 0; colour != 64; ++colour) {
    if (colour != 3) {
      EXPECT_TRUE(is_new(identity(0, header(colour)), kOwner));
    }
  }
  for (unsigned bit = 16; bit != 48; ++bit) {
    EXPECT_TRUE(is_new(identity(0, header(3, kStart ^ std::uintptr_t{1} << bit)), kOwner));
  }
  EXPECT_TRUE(is_new(identity(0, header(3), GuardKind::none), kOwner));
  EXPECT_TRUE(is_new(identity(0, header(3), GuardKind::protection), kOwner));
  EXPECT_TRUE(is_new(RegistryEntry::of_chunk(UnitKind::vacant, 0, header(3), GuardKind::advice), kOwner));
  for (unsigned bit = 6; bit != 47; ++bit) {
    const auto* const other = reinterpret_cast<const void*>(address_of(kOwner) ^ std::uintptr_t{1} << bit);
    EXPECT_TRUE(is_new(identity(0, header(3)), other)) << bit;
  }
  EXPECT_TRUE(is_new(identity(0, header(3)), nullptr));
}

TEST(Seal, depends_on_each_bit_of_the_key) {
  const RegistryEntry entry = identity(1, header(0));
  std::set<std::uint64_t> seen{seal_of(kKey, entry, kOwner)};
  for (unsigned bit = 0; bit != 64; ++bit) {
    EXPECT_TRUE(seen.insert(seal_of({kKey.a ^ std::uint64_t{1} << bit, kKey.b}, entry, kOwner)).second);
    EXPECT_TRUE(seen.insert(seal_of({kKey.a, kKey.b ^ std::uint64_t{1} << bit}, entry, kOwner)).second);
  }
}

TEST(Seal, is_not_linear) {
  const auto tag = [](std::uintptr_t flip) { return seal_of(kKey, identity(0, header(0, kStart ^ flip)), kOwner); };
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
  constexpr std::size_t kUnits = 16;
  std::vector<std::atomic<std::uint64_t>> entries(kUnits);
  FlatRegistry registry;
  registry.start(kStart, kUnits, entries.data());
  for (std::uint32_t colour = 0; colour != 64; ++colour) {
    for (std::size_t unit = 0; unit != kUnits; ++unit) {
      registry.set(kStart + unit * kUnit, identity(5, header(colour)));
    }
    for (std::size_t unit = 0; unit != kUnits; ++unit) {
      for (const std::uintptr_t offset : {std::uintptr_t{0}, std::uintptr_t{1}, std::uintptr_t{0x8000}, kUnit - 1}) {
        EXPECT_EQ(header_of(registry.find(kStart + unit * kUnit + offset)), header(colour)) << colour << " " << unit;
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
