// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes the named seeds of the targets whose inputs are programs, or checks that they are as written here.
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/program_seed.hpp"

namespace {

using namespace stave::fuzz;
using namespace stave::props;
using enum OpCode;

std::map<std::string, Program> heap_seeds() {
  std::map<std::string, Program> seeds;
  const auto add = [&](const char* name, const ProgramSeed& seed) { seeds[name] = seed.program(); };

  add("empty", ProgramSeed());
  add("one_pair", ProgramSeed().op(malloc_op, 0, 0, bytes(100)).op(free_op, 0, 0));
  add("zero_sizes", ProgramSeed()
                        .op(malloc_op, 0, 0, bytes(0))
                        .op(calloc_op, 0, 1, bytes(0), 0)
                        .op(realloc_op, 0, 0, bytes(0))
                        .op(realloc_op, 0, 2, bytes(0))
                        .op(realloc_op, 0, 2, bytes(0))
                        .op(memalign_op, 0, 3, bytes(0), 12));

  for (unsigned part = 0; part < 3; ++part) {
    ProgramSeed edges(1, part + 1);
    for (unsigned cls = 0; cls < 60; ++cls) {
      for (int delta = -1; delta <= 1; ++delta)
        edges.op(malloc_op, 0, (cls * 3 + static_cast<unsigned>(delta + 1)) % 64, class_edge(cls, delta));
    }
    add((std::string("class_edges_") + std::to_string(part)).c_str(), edges);
  }

  {
    ProgramSeed up;
    up.op(malloc_op, 0, 0, bytes(1));
    for (unsigned cls = 0; cls < 60; ++cls) up.op(realloc_op, 0, 0, class_edge(cls, 1));
    for (unsigned cls = 60; cls-- > 0;) up.op(realloc_op, 0, 0, class_edge(cls, 0));
    add("realloc_up_and_down_the_classes", up);
  }
  add("large_realloc", ProgramSeed()
                           .op(malloc_op, 0, 0, bytes(300000))
                           .op(realloc_op, 0, 0, bytes(1 << 20))
                           .op(realloc_op, 0, 0, bytes(5 << 20))
                           .op(malloc_op, 0, 1, bytes(600000))
                           .op(realloc_op, 0, 0, bytes(5 << 20 | 4096))
                           .op(realloc_op, 0, 0, bytes(400000))
                           .op(realloc_op, 0, 0, bytes(100))
                           .op(realloc_op, 0, 1, bytes(2 << 20))
                           .op(free_op, 0, 1));
  add("large_realloc_remote", ProgramSeed(2)
                                  .op(malloc_op, 0, 0, bytes(300000))
                                  .op(realloc_op, 1, 0, bytes(3 << 20))
                                  .op(exit_thread, 1, 0)
                                  .op(realloc_op, 0, 0, bytes(1 << 20))
                                  .op(free_remote, 0, 0));
  {
    ProgramSeed huge;
    for (unsigned i = 0; i < 26; ++i) {
      huge.op(malloc_op, 0, i, huge_size(i))
          .op(calloc_op, 0, i, huge_size(i), i % 16)
          .op(memalign_op, 0, i, huge_size(i), i % 13);
      huge.op(malloc_op, 0, 30, bytes(64))
          .op(realloc_op, 0, 30, huge_size(i))
          .op(reallocarray_op, 0, 30, bytes(16), 10 + i % 6);
    }
    add("huge_sizes", huge);
  }
  {
    ProgramSeed aligned;
    for (unsigned i = 0; i < 64; ++i) aligned.op(memalign_op, 0, i, bytes(1 + i * 37), i % 13);
    for (unsigned i = 0; i < 64; i += 3) aligned.op(realloc_op, 0, i, bytes(5000));
    for (unsigned detail = 0xA0; detail < 0xA8; ++detail)
      aligned.op(aligned_alloc_op, 0, detail - 0xA0, bytes(100), detail);
    for (unsigned detail = 0xC0; detail < 0xCB; ++detail) aligned.op(memalign_op, 0, detail - 0xC0, bytes(100), detail);
    for (unsigned detail = 0xE0; detail < 0xF0; ++detail) aligned.op(memalign_op, 0, detail - 0xE0, bytes(100), detail);
    add("alignments", aligned);
  }
  {
    ProgramSeed between;
    for (unsigned slot = 0; slot != 32; ++slot) between.op(memalign_op, 0, slot, bytes(40), 5 + slot % 2);
    add("alignments_between_grain_and_line", between);
  }
  add("remote_free", ProgramSeed(2)
                         .op(malloc_op, 0, 0, bytes(48))
                         .op(malloc_op, 0, 1, bytes(48))
                         .op(free_op, 1, 0)
                         .op(free_op, 0, 1)
                         .op(malloc_op, 0, 2, bytes(48))
                         .op(free_op, 1, 2));
  add("remote_free_after_thread_exit", ProgramSeed(2)
                                           .op(malloc_op, 0, 0, bytes(48))
                                           .op(malloc_op, 0, 1, bytes(5000))
                                           .op(malloc_op, 0, 2, bytes(400000))
                                           .op(exit_thread, 0, 0)
                                           .op(free_op, 1, 0)
                                           .op(free_op, 1, 1)
                                           .op(free_op, 1, 2)
                                           .op(malloc_op, 1, 3, bytes(48)));
  add("adoption_with_full_chunks", ProgramSeed(3)
                                       .op(pile_up, 0, 0, bytes(32), 255)
                                       .op(pile_up, 0, 1, bytes(1000), 200)
                                       .op(exit_thread, 0, 0)
                                       .op(pile_free, 1, 0, 3, 255)
                                       .op(malloc_op, 2, 0, bytes(32))
                                       .op(pile_up, 2, 0, bytes(32), 255)
                                       .op(pile_free, 1, 1, 2, 255));
  add("thread_turnover", [] {
    ProgramSeed seed(4);
    for (unsigned round = 0; round < 12; ++round) {
      seed.op(malloc_op, round % 4, round, bytes(100 + round * 700)).op(exit_thread, round % 4, 0);
      if (round >= 4) seed.op(free_op, (round + 1) % 4, round - 4);
    }
    return seed;
  }());
  add("producer_and_consumer", [] {
    ProgramSeed seed(2);
    for (unsigned round = 0; round < 6; ++round) seed.op(pile_up, 0, 0, bytes(64), 200).op(pile_free, 1, 0, 1, 200);
    return seed;
  }());
  add("fork_amid_frees", ProgramSeed(3)
                             .op(pile_up, 0, 0, bytes(64), 100)
                             .op(pile_up, 1, 1, bytes(64), 100)
                             .op(pile_free, 2, 0, 3, 60)
                             .op(pile_free, 0, 1, 2, 50)
                             .op(fork_child, 1, 0)
                             .op(pile_free, 1, 0, 0, 30)
                             .op(malloc_op, 0, 0, bytes(64))
                             .op(pile_free, 2, 1, 1, 99)
                             .op(fork_child, 0, 0)
                             .op(pile_up, 0, 0, bytes(64), 60));
  add("full_chunks_then_trim", ProgramSeed()
                                   .op(pile_up, 0, 0, bytes(1000), 255)
                                   .op(pile_up, 0, 1, bytes(16), 255)
                                   .op(pile_free, 0, 0, 2, 255)
                                   .op(trim, 0, 0)
                                   .op(pile_free, 0, 1, 1, 255)
                                   .op(trim, 0, 0)
                                   .op(pile_up, 0, 2, bytes(1000), 100));
  add("medium_sizes", ProgramSeed(2)
                          .op(pile_up, 0, 0, bytes(20000), 40)
                          .op(pile_up, 1, 1, bytes(65536), 30)
                          .op(pile_free, 1, 0, 3, 40)
                          .op(malloc_op, 0, 0, bytes(262144))
                          .op(malloc_op, 0, 1, bytes(262145))
                          .op(pile_free, 0, 1, 2, 30)
                          .op(trim, 1, 0));
  add("calloc_of_used_memory", ProgramSeed()
                                   .op(pile_up, 0, 0, bytes(200), 200)
                                   .op(pile_free, 0, 0, 3, 200)
                                   .op(calloc_op, 0, 0, bytes(200))
                                   .op(calloc_op, 0, 1, bytes(40), 4)
                                   .op(malloc_op, 0, 2, bytes(500000))
                                   .op(free_op, 0, 2)
                                   .op(calloc_op, 0, 2, bytes(500000)));
  add("calloc_overflow", ProgramSeed()
                             .op(calloc_op, 0, 0, bytes(16), 11)
                             .op(calloc_op, 0, 0, bytes(16), 12)
                             .op(calloc_op, 0, 0, bytes(3), 13)
                             .op(calloc_op, 0, 0, bytes(48), 14)
                             .op(calloc_op, 0, 0, huge_size(19), 15)
                             .op(calloc_op, 0, 0, bytes(0), 15));
  for (unsigned call = 0; call <= FailurePlan::kAnyCall; ++call) {
    ProgramSeed failing(2);
    failing.header([&](Header& header) {
      header.failures = {static_cast<std::uint8_t>(call), 2};
      header.guard_by_protect = call == 2;
    });
    failing.op(pile_up, 0, 0, bytes(500), 100)
        .op(malloc_op, 0, 0, bytes(400000))
        .op(realloc_op, 0, 0, bytes(4 << 20))
        .op(malloc_op, 1, 1, bytes(100))
        .op(free_op, 1, 0)
        .op(pile_free, 1, 0, 2, 100)
        .op(trim, 0, 0)
        .op(malloc_op, 0, 2, bytes(100000))
        .op(exit_thread, 0, 0)
        .op(calloc_op, 1, 3, bytes(300000));
    constexpr const char* kNames[] = {"map",           "unmap",        "protect", "discard",
                                      "guard_install", "guard_remove", "remap",   "any"};
    add((std::string("failing_") + kNames[call]).c_str(), failing);
  }
  add("fail_next_map", ProgramSeed()
                           .op(malloc_op, 0, 0, bytes(64))
                           .op(fail_next, 0, 0, 0x700, 0)
                           .op(malloc_op, 0, 1, bytes(400000))
                           .op(malloc_op, 0, 1, bytes(400000))
                           .op(fail_next, 0, 0, 0x100, 7)
                           .op(realloc_op, 0, 1, bytes(4 << 20))
                           .op(pile_up, 0, 0, bytes(30000), 50));
  add("tight_region", [] {
    ProgramSeed seed(2);
    seed.header([](Header& header) { header.tight_region = true; });
    for (unsigned i = 0; i < 16; ++i) seed.op(malloc_op, i % 2, i, bytes(300000));
    for (unsigned i = 0; i < 16; i += 2) seed.op(free_op, 0, i);
    for (unsigned i = 0; i < 16; ++i) seed.op(malloc_op, i % 2, 16 + i, bytes(20000 + i * 3000));
    return seed;
  }());
  for (const OpCode code : misuse_ops(1)) {
    ProgramSeed misuse(2);
    misuse.header([](Header& header) { header.misuse_allowed = true; });
    misuse.op(malloc_op, 0, 0, bytes(100)).op(malloc_op, 1, 1, bytes(100)).op(code, 0, 0, bytes(100), 0);
    std::string name = std::string("misuse_") + op_name(code);
    for (char& c : name) c = c == '-' ? '_' : c;
    add(name.c_str(), misuse);
    ProgramSeed large(2);
    large.header([](Header& header) { header.misuse_allowed = true; });
    large.op(malloc_op, 0, 0, bytes(400000)).op(code, 0, 0, bytes(100), 0);
    add((name + "_large").c_str(), large);
  }
  return seeds;
}

/// Attacks by who knows where things lie, in a chunk that is full, and so in a list: open, or (`closed`) one of more
/// than stay open. `act` is what follows on four allocations in it, of which its owner frees and allocates around then.
ProgramSeed aimed(unsigned profile, bool closed, auto act) {
  constexpr std::size_t kSize = 60000;  // few fill a chunk
  ProgramSeed seed(2, profile);
  seed.attacked(3);
  for (unsigned slot = 0; slot != 4; ++slot) seed.op(malloc_op, 0, slot, bytes(kSize));
  for (unsigned pile = 0; pile != (closed ? 2 : 1); ++pile) seed.op(pile_up, 0, pile, bytes(kSize), closed ? 255 : 60);
  act(seed);
  seed.op(free_op, 0, 1).op(free_op, 1, 2).op(usable_size, 0, 0).op(pile_free, 0, 0, 1, 40).op(check, 0, 0);
  for (unsigned pile = 0; pile != 3; ++pile) seed.op(pile_up, 0, pile, bytes(kSize), 40);
  return seed.op(trim, 0, 0).op(check, 0, 0);
}

void aimed_seeds(std::map<std::string, Program>& seeds) {
  constexpr const char* kWords[] = {"live", "held", "marked", "done", "canary", "family_0", "family_1"};
  for (const bool closed : {false, true}) {
    const std::string where = closed ? "_of_a_closed_chunk" : "_of_an_open_chunk";
    for (unsigned profile = 0; profile != 3; ++profile) {
      const std::string how = where + "_" + std::to_string(profile);
      for (unsigned word = 0; word != std::size(kWords); ++word) {
        seeds[std::string("state_") + kWords[word] + how] =
            aimed(profile, closed, [&](ProgramSeed& seed) { seed.op(flip_state, 0, 0, 0, word); }).program();
      }
      seeds["owner" + how] =
          aimed(profile, closed, [](ProgramSeed& seed) { seed.op(flip_header, 0, 0, 17); }).program();
      seeds["seal" + how] = aimed(profile, closed, [](ProgramSeed& seed) { seed.op(flip_header, 0, 0, 64); }).program();
      seeds["counts" + how] = aimed(profile, closed, [](ProgramSeed& seed) { seed.op(forge_counts, 0, 0); }).program();
      seeds["counts_at_trim" + how] = aimed(profile, closed, [](ProgramSeed& seed) {
                                        seed.op(forge_counts, 0, 0).op(free_op, 0, 3).op(trim, 0, 0).op(check, 0, 0);
                                      }).program();
      seeds["circle" + how] = aimed(profile, closed, [](ProgramSeed& seed) {
                                seed.op(forge_link, 0, 0, 1U << 1U | 1U, 0).op(forge_link, 0, 0, 1U << 1U | 1U, 1);
                                seed.op(trim, 0, 0);
                              }).program();
      seeds["state_live_at_trim" + how] = aimed(profile, closed, [](ProgramSeed& seed) {
                                            seed.op(flip_state, 0, 0).op(trim, 0, 0).op(check, 0, 0);
                                          }).program();
      for (unsigned link = 0; link != 3; ++link) {
        for (const std::uint32_t target : {0U, 1U << 1U | 1U}) {
          seeds[std::string(target == 0 ? "forged_link_" : "link_") + std::to_string(link) + how] =
              aimed(profile, closed, [&](ProgramSeed& seed) {
                if (link == 2) seed.op(free_op, 1, 3);
                seed.op(forge_link, 0, 0, target, link);
              }).program();
        }
      }
    }
  }
  // Full chunks that seem to be empty come in turns.
  for (unsigned profile = 0; profile != 3; ++profile) {
    ProgramSeed seed(1, profile);
    seed.attacked(3);
    for (unsigned slot = 0; slot != 6; ++slot) {
      seed.op(malloc_op, 0, slot, bytes(60000)).op(pile_up, 0, 0, bytes(60000), 14);
    }
    seed.op(pile_up, 0, 0, bytes(60000), 14);
    for (unsigned slot = 0; slot != 4; ++slot) seed.op(forge_counts, 0, slot).op(free_op, 0, slot);
    seed.op(pile_up, 0, 1, bytes(60000), 200).op(check, 0, 0);
    seeds["counts_of_many_chunks_" + std::to_string(profile)] = seed.program();

    // The current chunk, which is in no list, leaves one.
    ProgramSeed current(1, profile);
    current.attacked(3);
    current.op(pile_up, 0, 0, bytes(60000), 44).op(malloc_op, 0, 0, bytes(60000)).op(malloc_op, 0, 1, bytes(60000));
    current.op(forge_counts, 0, 0).op(free_op, 0, 1).op(pile_free, 0, 0, 1, 20);
    for (unsigned pile = 1; pile != 4; ++pile) current.op(pile_up, 0, pile, bytes(60000), 60);
    seeds["counts_of_a_current_chunk_" + std::to_string(profile)] = current.op(trim, 0, 0).op(check, 0, 0).program();
  }
  // A free of another thread waits when these change: words to collect that there are not, and slots that nobody freed.
  for (unsigned profile = 0; profile != 3; ++profile) {
    const auto waiting = [&](auto act) {
      ProgramSeed seed(2, profile);
      seed.attacked(3);
      for (unsigned slot = 0; slot != 8; ++slot) seed.op(malloc_op, 0, slot, bytes(100));
      seed.op(free_op, 1, 7);
      act(seed);
      return seed.op(pile_up, 0, 0, bytes(100), 255).op(check, 0, 0).op(pile_up, 0, 1, bytes(100), 255).op(trim, 0, 0);
    };
    const std::string how = "_" + std::to_string(profile);
    seeds["pending_beyond" + how] =
        waiting([](ProgramSeed& seed) { seed.op(flip_header, 0, 0, 8 * 64 + 63); }).program();
    seeds["done_unmarked" + how] = waiting([](ProgramSeed& seed) {
                                     for (unsigned slot = 0; slot != 6; ++slot) seed.op(flip_state, 0, slot, 0, 3);
                                   }).program();
    // Whether the words are looked at first, or a page is opened.
    seeds["opened_when_worn" + how] = waiting([](ProgramSeed& seed) {
                                        seed.op(flip_header, 0, 0, 6 * 64 + 20);
                                        for (unsigned bit = 4; bit != 7; ++bit)
                                          seed.op(flip_header, 0, 0, 7 * 64 + bit);
                                      }).program();
    for (const unsigned bit : {6U, 8U, 10U, 16U, 24U, 31U}) {
      seeds["opened_" + std::to_string(bit) + how] =
          waiting([&](ProgramSeed& seed) { seed.op(flip_header, 0, 0, 6 * 64 + bit); }).program();
    }
  }
  // Records of what is live, and of what was freed.
  for (const std::size_t size : {100U, 20000U, 400000U}) {
    const std::string kind = "_" + std::to_string(size);
    for (const unsigned field : {0U, 1U, 2U, 3U, 4U}) {
      ProgramSeed live(2, size == 400000 ? 1 : 3);
      live.attacked(3);
      for (unsigned slot = 0; slot != 3; ++slot) live.op(malloc_op, 0, slot, bytes(size));
      ProgramSeed held = live;
      live.op(size == 400000 ? flip_large_record : flip_sample_record, 0, 1, field * 64 + 17);
      held.op(free_op, 0, 1).op(flip_held_record, 0, 1, field * 64 + 17);
      for (ProgramSeed* const seed : {&live, &held}) {
        seed->op(realloc_op, 0, 1, bytes(2 * size)).op(trim, 0, 0).op(pile_up, 0, 0, bytes(100), 255);
      }
      seeds["record_" + std::to_string(field) + kind] = live.program();
      seeds["held_record_" + std::to_string(field) + kind] = held.program();
    }
  }
}

/// Each attack on an allocation of each kind, in each profile, with what it takes to meet its consequences: the slot
/// before was freed, neighbours live, and afterwards the class is used up and the victim freed.
std::map<std::string, Program> attack_seeds(bool metadata) {
  constexpr const char* kProfiles[] = {"light", "default", "strict", "fuzz"};
  const std::map<std::string, std::size_t> sizes = {
      {"nothing", 0}, {"small", 100}, {"medium", 20000}, {"large", 400000}};
  std::map<std::string, Program> seeds;
  std::vector<OpCode> codes(attack_ops(2).begin(), attack_ops(2).end());
  codes.push_back(free_unused);
  for (const OpCode code : codes) {
    if (is_flip(code) != metadata) continue;
    for (const auto& [kind, size] : sizes) {
      if (size == 0 && code != touch_guard && code != free_stale) continue;
      for (unsigned profile = 0; profile != std::size(kProfiles); ++profile) {
        ProgramSeed seed(2, profile);
        seed.attacked(code == free_unused ? 3 : 2);
        for (unsigned slot = 0; slot != 4; ++slot) seed.op(malloc_op, slot % 2, slot, bytes(size + slot));
        // One by its owner and one by another thread: held, and not collected yet.
        seed.op(free_op, 0, 1).op(free_op, 0, 2);
        for (const unsigned slot : {2U, 1U, 0U, 3U}) seed.op(code, 0, slot, 0x141, 12);
        for (unsigned pile = 0; pile != 4; ++pile) {
          seed.op(pile_up, 0, pile, bytes(size < 65536 ? size : 60000), size < 1000 ? 255 : 20);
        }
        seed.op(pile_free, 1, 0, 3, 255)
            .op(pile_free, 0, 1, 2, 255)
            .op(pile_up, 0, 0, bytes(size < 65536 ? size : 60000), size < 1000 ? 255 : 20)
            .op(calloc_op, 0, 1, bytes(size))
            .op(realloc_op, 0, 0, bytes(size / 2))
            .op(free_remote, 0, 3);
        std::string name = std::string(op_name(code)) + "_" + kind + "_" + kProfiles[profile];
        for (char& c : name) c = c == '-' ? '_' : c;
        seeds[name] = seed.program();
      }
    }
  }
  if (!metadata) {
    for (unsigned profile = 0; profile != 4; ++profile) {
      const auto overflow = [&](const char* name, auto act) {
        ProgramSeed seed(2, profile);
        seed.attacked();
        // A canary lies right behind 104 bytes, and 8 more make the class.
        seed.op(pile_up, 0, 0, bytes(104), 255).op(malloc_op, 0, 0, bytes(104)).op(pile_up, 0, 1, bytes(104), 255);
        act(seed.op(overflow_write, 0, 0, 0x41, 2));
        seeds[std::string("overflow_and_") + name + "_" + kProfiles[profile]] = seed.program();
      };
      overflow("realloc_in_place", [](ProgramSeed& seed) { seed.op(realloc_op, 0, 0, bytes(100)); });
      overflow("remote_free", [](ProgramSeed& seed) { seed.op(free_op, 1, 0); });
      overflow("free_of_all_others",
               [](ProgramSeed& seed) { seed.op(pile_free, 0, 0, 1, 255).op(pile_free, 0, 1, 1, 255); });
    }
    // What was freed lies in a chunk that was given back since.
    for (const OpCode code : {free_stale, touch_freed, realloc_stale, usable_size_stale}) {
      ProgramSeed seed(1);
      seed.attacked();
      seed.op(pile_up, 0, 0, bytes(1000), 255).op(malloc_op, 0, 0, bytes(1000)).op(pile_up, 0, 1, bytes(1000), 255);
      seed.op(free_op, 0, 0).op(pile_free, 0, 0, 1, 255).op(pile_free, 0, 1, 1, 255).op(trim, 0, 0).op(code, 0, 0);
      std::string name = std::string(op_name(code)) + "_of_a_vacant_chunk";
      for (char& c : name) c = c == '-' ? '_' : c;
      seeds[name] = seed.program();
    }
    return seeds;
  }
  // A bit of each word of a header, and of its first line.
  for (unsigned word = 0; word != 24; ++word) {
    ProgramSeed seed(2);
    seed.attacked();
    for (unsigned slot = 0; slot != 8; ++slot) seed.op(malloc_op, slot % 2, slot, bytes(100));
    seed.op(pile_up, 0, 0, bytes(100), 255).op(flip_header, 0, 0, word * 64 + 17).op(free_op, 1, 0).op(free_op, 0, 2);
    seed.op(pile_up, 0, 1, bytes(100), 255).op(pile_up, 0, 2, bytes(100), 255).op(pile_up, 0, 3, bytes(100), 255);
    seed.op(pile_free, 1, 0, 2, 255).op(pile_free, 0, 1, 1, 255).op(trim, 0, 0).op(pile_up, 0, 0, bytes(100), 255);
    seeds["header_word_" + std::to_string(word)] = seed.program();
  }
  // A bit of what is live goes, in a word of a chunk that was closed since, or is closed later: of more chunks than
  // stay open. What is freed around it then makes the chunk serve again. (Which bits are of slots that stay, the seed
  // decides.)
  for (unsigned bit = 0; bit != 16; ++bit) {
    ProgramSeed seed(1, 0);
    seed.attacked();
    const auto use_up = [&seed] {
      for (unsigned pile = 0; pile != 8; ++pile) seed.op(pile_up, 0, pile % 4, bytes(20000), 255);
    };
    const bool closed = bit % 2 == 0;
    for (unsigned slot = 0; slot != 12; ++slot) seed.op(malloc_op, 0, slot, bytes(20000));
    if (closed) use_up();
    seed.op(flip_line, 0, 0, bit);
    if (!closed) {
      for (unsigned slot = 12; slot != 16; ++slot) seed.op(malloc_op, 0, slot, bytes(20000));
      use_up();
    }
    for (unsigned pile = 0; pile != 4; ++pile) seed.op(pile_free, 0, pile, 1, 99);
    use_up();
    seeds["live_bit_" + std::to_string(bit) + (closed ? "_of_a_closed_chunk" : "_of_an_open_chunk")] = seed.program();
  }
  aimed_seeds(seeds);
  return seeds;
}

/// Each point of the protocol between threads, passed by each operation that does, and there each kind of interruption.
/// What was left unfinished meets what comes after: memory is used up, freed and given back.
std::map<std::string, Program> threads_seeds() {
  using Ops = std::vector<Op>;
  const std::uint32_t small = bytes(1000);
  const auto op = [](OpCode code, unsigned thread, unsigned slot, std::uint32_t argument = 0, unsigned detail = 0) {
    return Op{code, static_cast<std::uint8_t>(thread), static_cast<std::uint8_t>(slot),
              static_cast<std::uint8_t>(detail), argument};
  };
  std::map<std::string, Program> seeds;
  // Slots 0 to 3 and pile 0 are of thread 0, slot 4 and pile 1 of thread 2. Two heaps wait for a thread.
  const auto add = [&](const std::string& name, unsigned point, const Op& interrupted, const Ops& interruption) {
    ProgramSeed seed(4, static_cast<unsigned>(seeds.size() % 3));
    seed.interleaved();
    for (unsigned slot = 0; slot != 4; ++slot) seed.op(malloc_op, 0, slot, slot == 3 ? bytes(400000) : small);
    seed.op(malloc_op, 2, 4, small).op(pile_up, 0, 0, small, 120).op(pile_up, 2, 1, small, 30);
    for (const unsigned thread : {1U, 3U}) seed.op(malloc_op, thread, 4 + thread, small).op(exit_thread, thread, 0);
    seed.op(pile_free, interrupted.thread == 0 ? 2 : 0, 0, 3, 40);
    seed.interrupt(point, static_cast<unsigned>(interruption.size())).op(interrupted);
    for (const Op& each : interruption) seed.op(each);
    seed.op(check, 0, 0).op(pile_up, 0, 2, small, 100).op(pile_free, 2, 0, 3, 255).op(pile_free, 0, 2, 1, 50);
    seed.op(trim, 3, 0).op(exit_thread, 0, 0).op(pile_up, 2, 3, small, 60).op(free_remote, 0, 4).op(trim, 2, 0);
    seeds[name] = seed.program();
  };
  const std::map<std::string, Ops> amid_a_free = {
      {"owner_frees_all", {op(pile_free, 0, 0, 1, 255), op(free_op, 0, 1), op(free_op, 0, 2), op(trim, 0, 0)}},
      {"owner_allocates", {op(pile_up, 0, 2, small, 200)}},
      {"owner_ends", {op(exit_thread, 0, 0), op(pile_up, 3, 2, small, 200)}},
      {"another_frees", {op(free_op, 2, 1), op(free_op, 3, 2)}},
      {"all_is_trimmed", {op(exit_thread, 0, 0), op(trim, 2, 0)}},
      {"owner_forks", {op(fork_child, 0, 0)}},
      {"another_forks", {op(fork_child, 2, 0), op(pile_up, 3, 2, small, 200)}},
  };
  const std::map<std::string, Ops> amid_the_owners_work = {
      {"another_frees", {op(pile_free, 2, 0, 0, 50), op(free_op, 3, 1)}},
      {"another_ends", {op(exit_thread, 2, 0), op(malloc_op, 3, 8, small)}},
      {"another_trims", {op(pile_free, 2, 0, 0, 255), op(trim, 2, 0)}},
      {"another_forks", {op(fork_child, 2, 0), op(pile_up, 0, 3, small, 200)}},
      {"one_interrupts_the_other",
       {op(interleave, 0, 1, 0, 2), op(free_op, 2, 1), op(free_op, 3, 2), op(fork_child, 3, 0)}},
  };
  const std::map<std::string, Op> frees = {{"free", op(free_op, 1, 0)},
                                           {"realloc", op(realloc_op, 1, 0, bytes(9000))},
                                           {"free_of_a_pile", op(pile_free, 1, 0, 2, 60)}};
  const std::map<std::string, Op> owners_work = {{"malloc", op(pile_up, 0, 2, small, 200)},
                                                 {"realloc", op(realloc_op, 0, 0, bytes(1800))},
                                                 {"end", op(exit_thread, 0, 0)},
                                                 {"trim", op(trim, 0, 0)}};
  const auto name_of = [](unsigned point) {
    std::string name = yield_point_name(point);
    for (char& c : name) c = c == '-' ? '_' : c;
    return name;
  };
  for (unsigned point = 1; point != kYieldPoints; ++point) {
    const std::string name = std::string(yield_point_name(point));
    const bool freeing = name.starts_with("remote-free");
    if (name == "free-before-lock") {
      for (const auto& [what, interruption] : amid_a_free) {
        add(name_of(point) + "_" + what, point, op(realloc_op, 1, 3, bytes(100)), interruption);
      }
      continue;
    }
    for (const auto& [who, interrupted] : freeing ? frees : owners_work) {
      const bool orphans = interrupted.code == exit_thread || interrupted.code == trim;
      if (name == "orphan-before-lock" && !orphans) continue;
      for (const auto& [what, interruption] : freeing ? amid_a_free : amid_the_owners_work) {
        add(name_of(point) + "_" + who + "_" + what, point, interrupted, interruption);
      }
    }
  }
  for (const std::size_t size : {std::size_t{100}, std::size_t{400000}}) {
    for (unsigned profile = 0; profile != 4; ++profile) {
      for (unsigned point = 0; point != 3; ++point) {
        for (const auto& [who, argument] :
             {std::pair{"by_others", 0U}, std::pair{"then_by_the_owner", 0x10U}, std::pair{"first_by_the_owner", 4U}}) {
          ProgramSeed seed(3, profile);
          seed.interleaved().header([](Header& header) { header.misuse_allowed = true; });
          for (unsigned slot = 0; slot != 5; ++slot) seed.op(malloc_op, 0, slot, bytes(size));
          seed.op(double_free_racing, 0, 2, argument | point);
          seeds["racing_" + std::to_string(size) + "_" + std::to_string(profile) + "_" + std::to_string(point) + "_" +
                who] = seed.program();
        }
      }
    }
  }
  return seeds;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Writes the named seeds of the operation language.");
  std::string directory;
  bool check = false;
  app.add_option("directory", directory, "corpus/, with a folder for each target")->required();
  app.add_flag("--check", check, "write nothing; fail if a seed is missing or differs");
  CLI11_PARSE(app, argc, argv);
  namespace fs = std::filesystem;
  std::map<std::string, Program> seeds;
  const auto add = [&seeds](const char* target, const std::map<std::string, Program>& programs) {
    for (const auto& [name, program] : programs) seeds[(fs::path(target) / name).string()] = program;
  };
  add("fuzz_heap", heap_seeds());
  add("fuzz_attack", attack_seeds(false));
  add("fuzz_metadata", attack_seeds(true));
  add("fuzz_threads", threads_seeds());
  for (const auto& [name, program] : seeds) {
    const std::vector<std::uint8_t> wanted = encode(program);
    const fs::path path = fs::path(directory) / name;
    if (decode(wanted.data(), wanted.size()) != program) {
      std::cerr << name << ": does not survive encoding\n";
      return 1;
    }
    if (check) {
      std::ifstream file(path, std::ios::binary);
      const std::string found((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      if (std::vector<std::uint8_t>(found.begin(), found.end()) != wanted) {
        std::cerr << path.string() << ": missing, or not as fuzz/make_seeds.cpp says\n";
        return 1;
      }
      continue;
    }
    std::error_code error;
    fs::create_directories(path.parent_path(), error);
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(wanted.data()), static_cast<std::streamsize>(wanted.size()));
    if (!file.flush()) {
      std::cerr << path.string() << ": cannot be written\n";
      return 2;
    }
  }
  return 0;
}
