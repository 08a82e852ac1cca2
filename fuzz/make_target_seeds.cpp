// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Writes the named seeds of a target whose inputs are made of bytes, or checks that they are as written here. (Those of
// fuzz_heap: make_seeds.cpp. Those of fuzz_options are text, and stand for themselves.)
#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

#include "base/fault.hpp"
#include "fuzz/program_seed.hpp"
#include "props/trace.hpp"

namespace {

using namespace stave;
using Seed = std::vector<std::uint8_t>;
using Seeds = std::map<std::string, Seed>;

// --- fuzz_report ------------------------------------------------------------------------------------------------

/// Writes what fuzz/bytes.hpp reads.
class Writer {
 public:
  explicit Writer(char kind) { byte(static_cast<std::uint8_t>(kind)); }
  Writer& byte(unsigned value) {
    seed_.push_back(static_cast<std::uint8_t>(value));
    return *this;
  }
  Writer& number(std::uint64_t value) {
    if (value < 64) return byte(static_cast<unsigned>(value) << 2U);
    if (value < std::uint64_t{1} << 14U) {
      return byte(static_cast<unsigned>(value & 63U) << 2U | 1U).byte(static_cast<unsigned>(value >> 6U));
    }
    if (value > UINT64_MAX - 64) return byte(static_cast<unsigned>(UINT64_MAX - value) << 2U | 3U);
    byte(2);
    for (unsigned i = 0; i != 8; ++i) byte(static_cast<unsigned>(value >> 8 * i & 0xFFU));
    return *this;
  }
  Writer& text(const std::string& value) {
    byte(static_cast<unsigned>(value.size()));
    return raw(value);
  }
  Writer& raw(const std::string& value) {
    seed_.insert(seed_.end(), value.begin(), value.end());
    return *this;
  }
  [[nodiscard]] const Seed& seed() const { return seed_; }

 private:
  Seed seed_;
};

std::uint64_t number_of(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }
const void* pointer_to(std::uint64_t address) { return reinterpret_cast<const void*>(address); }
std::string text_of(const char* text) { return text != nullptr ? text : ""; }

/// In the order in which fuzz_report.cpp reads.
Seed fault(const FaultRecord& record, const std::string& program = "/bin/x", unsigned capacity = 2047) {
  Writer out('0');
  const auto calls = [&](const CallStack* stack) {
    out.byte(stack != nullptr ? 1 : 0);
    if (stack == nullptr) return;
    out.number(stack->thread).number(stack->count);
    for (std::size_t i = 0; i != stack->shown(); ++i) out.number(stack->frames[i]);
  };
  out.byte(static_cast<unsigned>(record.fault)).text(text_of(record.rule)).number(number_of(record.address));
  out.number(number_of(record.chunk)).number(record.slot_size).number(record.slot).byte(record.large ? 1 : 0);
  out.text(text_of(record.state)).number(number_of(record.changed));
  out.byte(static_cast<unsigned>(record.written.count)).number(record.written.told);
  for (const unsigned char byte : record.written.bytes) out.byte(byte);
  out.number(record.requested).text(text_of(record.family)).text(text_of(record.function));
  out.text(text_of(record.access)).number(record.bytes).number(number_of(record.allocation));
  out.number(record.allocation_bytes);
  calls(record.touched);
  out.number(record.sample).number(record.sample_seed);
  calls(record.allocated);
  calls(record.freed);
  return out.number(4711).number(capacity).text(program).seed();
}

Seed trace(const std::string& name, std::vector<props::TraceEvent> events) {
  Seed bytes;
  props::encode_trace({.name = name, .events = std::move(events)}, bytes);
  bytes.insert(bytes.begin(), '4');
  return bytes;
}

Seeds report_seeds() {
  Seeds seeds;
  const FaultRecord slot{.fault = Fault::double_free,
                         .rule = "the slot is not live",
                         .address = pointer_to(0x7f3a12c01440),
                         .chunk = pointer_to(0x7f3a12c00000),
                         .slot_size = 64,
                         .slot = 17,
                         .state = "held"};
  seeds["fault_nothing_known"] = fault({});
  seeds["fault_slot"] = fault(slot);
  FaultRecord large = slot;
  large.large = true;
  large.slot_size = 1U << 20U;
  seeds["fault_large_block"] = fault(large);
  FaultRecord written = slot;
  written.fault = Fault::overflow;
  written.changed = pointer_to(0x7f3a12c01440 + 41);
  written.requested = 40;
  written.family = "new[]";
  written.written = {.count = 3, .told = 5, .bytes = {0x41, 0, 0xff}};
  seeds["fault_overwritten"] = fault(written);
  written.address = pointer_to(1);
  written.changed = pointer_to((std::uint64_t{1} << 63U) + 1);
  seeds["fault_offset_of_half_the_addresses"] = fault(written);
  FaultRecord function = slot;
  function.fault = Fault::out_of_bounds_copy;
  function.function = "strcpy";
  function.access = "write";
  function.bytes = 100;
  function.allocation = pointer_to(0x7f3a12c01430);
  function.allocation_bytes = 56;
  seeds["fault_memory_function"] = fault(function);
  function.access = nullptr;
  seeds["fault_access_unknown"] = fault(function);
  const CallStack calls{.thread = 0x7f00, .count = 2, .frames = {0x1111, 0x7fff'ffff'ffff}};
  FaultRecord sample = slot;
  sample.fault = Fault::use_after_free;
  sample.access = "read";
  sample.allocation = pointer_to(0x7f3a12c01000);
  sample.sample = 17;
  sample.sample_seed = UINT64_MAX;
  sample.touched = &calls;
  sample.allocated = &calls;
  sample.freed = &calls;
  seeds["fault_sample"] = fault(sample);
  const CallStack damaged{.thread = 1, .count = SIZE_MAX, .frames = {0x41414141}};
  sample.freed = &damaged;
  seeds["fault_sample_with_a_damaged_count"] = fault(sample);
  seeds["fault_program_with_a_hostile_name"] = fault(slot, "/tmp/\nstave: \"\\\x01\xff");
  seeds["fault_cut_off"] = fault(slot, "/bin/x", 60);

  for (const unsigned chosen : {1U, 2U, 3U, 6U, 7U}) {
    Writer list('1');
    list.number(500).byte(chosen);
    const auto mapping = [&](std::uint64_t first, std::uint64_t offset, unsigned padding, const std::string& path) {
      list.number(first).number(0x1000).number(offset).number(padding).text(path);
    };
    mapping(0x555555554000, 0, 0, "bin/x");
    mapping(0x555555556000, 0x2000, 0, "bin/x");
    mapping(0x555555560000, 0, 2401, "heap]");
    mapping(0x7ffff7c00000, 0, 2000, "lib/of a long name");
    mapping(0x7ffff7d00000, 0, 2399, "lib/of one that is longer than a line may be");
    mapping(0x7ffff7e00000, 0x1000, 0, "");
    mapping(0x7ffff7f00000, 0x1000, 2400, "tmp/\n\xff (deleted)");
    mapping(UINT64_MAX - 63, 0, 2401, "vsyscall]");
    seeds["mappings_" + std::to_string(chosen)] = list.seed();
  }
  seeds["any_mappings"] = Writer('2')
                              .number(0x555555554010)
                              .raw(
                                  "555555554000-555555555000 r--p 00000000 08:01 1234    /bin/x\n"
                                  "0-\nffffffffffffffffffffffff-f r [\n555555555000-5555")
                              .seed();
  seeds["any_mappings_without_an_end"] = Writer('2').number(0).raw(std::string(2100, '0')).seed();

  // A number of twice a distance is an address in the first page.
  Writer stack('3');
  stack.number(0x401000).number(0);
  for (const std::uint64_t frame : {0U, 16U, 64U}) {
    stack.number(frame / 8).number(2 * (frame == 0 ? 16 : 64)).number(0x402000 + frame);
  }
  seeds["stack_that_ends_at_itself"] = stack.seed();
  seeds["stack_up_to_a_page_without_access"] = Writer('3')
                                                   .number(0x401000)
                                                   .number(0)
                                                   .number(0)
                                                   .number(2 * 4080)
                                                   .number(0x402000)
                                                   .number(510)
                                                   .number(2 * 8192)
                                                   .number(0x403000)
                                                   .number(512)
                                                   .number(0)
                                                   .number(0x404000)
                                                   .seed();
  seeds["stack_half_of_a_frame"] = Writer('3')
                                       .number(0x401000)
                                       .number(0)
                                       .number(0)
                                       .number(2 * 4088)
                                       .number(0x402000)
                                       .number(511)
                                       .number(0)
                                       .number(0)
                                       .seed();
  Writer deep('3');
  deep.number(0x401000).number(0);
  for (unsigned i = 0; i != 20; ++i) deep.number(2 * i).number(2 * 16 * (i + 1)).number(0x402000 + i);
  seeds["stack_deeper_than_its_room"] = deep.seed();
  // An odd number is an address that nobody has: 16.
  seeds["stack_small_number_in_the_register"] = Writer('3').number(0x401000).number(33).seed();
  seeds["stack_registers_of_no_frame"] = Writer('3').number(0).number(UINT64_MAX).seed();

  using enum props::TraceKind;
  seeds["trace"] = trace("", {{malloc_event, 100, 0},
                              {calloc_event, 5000, 0},
                              {realloc_event, 300, 0},
                              {free_event, 0, 1},
                              {free_event, 0, 2}});
  seeds["trace_empty"] = trace("", {});
  Seed cut = seeds["trace"];
  cut.pop_back();
  seeds["trace_cut_off"] = cut;
  cut.push_back(7);
  cut.push_back(0);
  seeds["trace_with_more_behind_it"] = cut;
  seeds["trace_frees_what_is_not_live"] = trace("", {{malloc_event, 1, 0}, {free_event, 0, 0}, {free_event, 0, 0}});
  seeds["trace_ends_in_a_realloc"] = Writer('4').raw("STAVETR1").byte(2).byte(4).byte(6).seed();
  seeds["trace_of_an_impossible_size"] = trace("", {{malloc_event, std::uint64_t{1} << 41U, 0}});
  seeds["trace_of_long_numbers"] =
      Writer('4').raw("STAVETR1").byte(0x81).byte(0x80).byte(0).byte(0x80).byte(0x81).byte(0).seed();
  return seeds;
}

// --- programs ---------------------------------------------------------------------------------------------------

using namespace stave::fuzz;
using namespace stave::props;
using enum OpCode;

/// A bit of everything that calls the kernel.
ProgramSeed busy(unsigned profile) {
  ProgramSeed ops(2, profile);
  ops.op(pile_up, 0, 0, bytes(500), 100).op(malloc_op, 0, 0, bytes(400000)).op(realloc_op, 0, 0, bytes(4U << 20U));
  ops.op(malloc_op, 1, 1, bytes(100)).op(memalign_op, 0, 2, bytes(100), 0xA2).op(realloc_op, 0, 0, bytes(300000));
  ops.op(free_op, 1, 0).op(pile_free, 1, 0, 2, 100).op(trim, 0, 0).op(malloc_op, 0, 2, bytes(100000));
  return ops.op(exit_thread, 0, 0).op(calloc_op, 1, 3, bytes(300000)).op(malloc_op, 1, 4, bytes(0)).op(check, 0, 0);
}

Seeds faults_seeds() {
  Seeds seeds;
  const auto add = [&](const std::string& name, unsigned skip, std::uint64_t pattern, const ProgramSeed& ops) {
    Seed seed;
    const std::uint64_t plan = skip | pattern << 16U;
    for (unsigned i = 0; i != 8; ++i) seed.push_back(static_cast<std::uint8_t>(plan >> 8 * i));
    const Seed program = encode(ops.program());
    seed.insert(seed.end(), program.begin(), program.end());
    seeds[name] = seed;
  };
  constexpr std::uint64_t kAll = (std::uint64_t{1} << 48U) - 1;
  for (const unsigned skip : {0U, 1U, 3U, 8U, 20U, 40U}) {
    add("one_after_" + std::to_string(skip), skip, 0, busy(1));
    add("all_after_" + std::to_string(skip), skip, kAll, busy(1));
  }
  add("every_other_of_strict", 5, kAll / 3, busy(2));
  add("two_of_three_of_fuzz", 5, kAll / 7 * 3, busy(3));
  add("every_other_of_mprotect", 2, kAll / 3, busy(1).header([](Header& header) { header.guard_by_protect = true; }));
  add("one_of_a_tight_region", 4, 0, busy(1).header([](Header& header) { header.tight_region = true; }));
  // Pages of a freed block would come to the next one: neither they nor fresh ones can be laid there.
  ProgramSeed spare;
  spare.op(malloc_op, 0, 0, bytes(400000)).op(free_op, 0, 0).op(malloc_op, 0, 1, bytes(400000)).op(free_op, 0, 1);
  add("spare_pages_that_do_not_come", 15, 1, spare.op(malloc_op, 0, 2, bytes(300000)));
  return seeds;
}

Seeds differential_seeds() {
  Seeds seeds;
  for (unsigned profile = 0; profile != 4; ++profile) {
    seeds["busy_" + std::to_string(profile)] = encode(busy(profile).program());
  }
  seeds["busy_in_a_tight_region"] =
      encode(busy(1).header([](Header& header) { header.tight_region = true; }).program());
  ProgramSeed nothing;
  nothing.op(malloc_op, 0, 0, bytes(0)).op(calloc_op, 0, 1, bytes(0), 15).op(memalign_op, 0, 2, bytes(0), 12);
  nothing.op(realloc_op, 0, 0, bytes(0)).op(realloc_op, 0, 0, bytes(0)).op(realloc_op, 0, 0, bytes(40));
  nothing.op(reallocarray_op, 0, 0, bytes(0), 15).op(free_op, 0, 0).op(usable_size, 0, 0);
  seeds["nothing"] = encode(nothing.program());
  ProgramSeed huge;
  for (unsigned i = 0; i != 26; ++i) {
    huge.op(malloc_op, 0, 0, huge_size(i)).op(calloc_op, 0, 1, huge_size(i), 2).op(memalign_op, 0, 2, huge_size(i), i);
    huge.op(malloc_op, 0, 3, bytes(64)).op(realloc_op, 0, 3, huge_size(i));
  }
  seeds["huge"] = encode(huge.program());
  ProgramSeed overflow;
  for (unsigned detail = 10; detail != 16; ++detail) {
    overflow.op(calloc_op, 0, 0, bytes(16), detail).op(malloc_op, 0, 1, bytes(64));
    overflow.op(reallocarray_op, 0, 1, bytes(16), detail);
  }
  seeds["products_that_overflow"] = encode(overflow.program());
  ProgramSeed aligned;
  for (unsigned detail = 0; detail != 13; ++detail) aligned.op(memalign_op, 0, detail, bytes(100 * detail), detail);
  for (unsigned detail = 0xA0; detail != 0xA8; ++detail) aligned.op(aligned_alloc_op, 0, 20, bytes(100), detail);
  for (unsigned detail = 0xC0; detail != 0xCB; ++detail) aligned.op(memalign_op, 0, 21, bytes(100), detail);
  for (unsigned detail = 0xE0; detail != 0xF0; ++detail) aligned.op(memalign_op, 0, 22, bytes(100), detail);
  for (unsigned slot = 0; slot != 13; ++slot) aligned.op(realloc_op, 0, slot, bytes(5000));
  seeds["alignments"] = encode(aligned.program());
  ProgramSeed classes;
  classes.op(malloc_op, 0, 0, bytes(1));
  for (unsigned cls = 0; cls != 60; ++cls) classes.op(realloc_op, 0, 0, class_edge(cls, 1));
  for (unsigned cls = 60; cls-- != 0;) classes.op(realloc_op, 0, 0, class_edge(cls, 0));
  seeds["realloc_up_and_down_the_classes"] = encode(classes.program());
  ProgramSeed large;
  large.op(malloc_op, 0, 0, bytes(300000));
  for (const std::size_t size : {1U << 20U, 5U << 20U, 5U << 20U | 4096U, 31U << 20U, 400000U, 100U}) {
    large.op(realloc_op, 0, 0, bytes(size));
  }
  seeds["large_realloc"] = encode(large.program());
  return seeds;
}

int run(const Seeds& seeds, const std::filesystem::path& directory, bool check) {
  std::error_code error;
  if (!check) std::filesystem::create_directories(directory, error);
  for (const auto& [name, seed] : seeds) {
    const std::filesystem::path path = directory / name;
    if (check) {
      std::ifstream file(path, std::ios::binary);
      const std::string found((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      if (Seed(found.begin(), found.end()) == seed) continue;
      std::cerr << path.string() << ": missing, or not as fuzz/make_target_seeds.cpp says\n";
      return 1;
    }
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(seed.data()), static_cast<std::streamsize>(seed.size()));
    if (!file.flush()) {
      std::cerr << path.string() << ": cannot be written\n";
      return 2;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, Seeds (*)()> makers = {
      {"report", report_seeds}, {"faults", faults_seeds}, {"differential", differential_seeds}};
  CLI::App app("Writes the named seeds of a fuzz target.");
  std::string target;
  std::string directory;
  bool check = false;
  app.add_option("target", target, "whose seeds")->required()->check(CLI::IsMember(makers));
  app.add_option("directory", directory, "where they are, or go")->required();
  app.add_flag("--check", check, "write nothing; fail if a seed is missing or differs");
  CLI11_PARSE(app, argc, argv);
  return run(makers.at(target)(), directory, check);
}
