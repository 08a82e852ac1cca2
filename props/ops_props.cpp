// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The operation language: decoding is total and stable, programs print themselves, mutations respect records.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <span>
#include <vector>

#include "fuzz/flat_model.hpp"
#include "fuzz/mutate.hpp"
#include "props/first_fit.hpp"
#include "props/generate.hpp"

namespace stave::props {
namespace {

using Bytes = std::vector<std::uint8_t>;

RC_GTEST_PROP(Language, decodes_any_bytes, (const Bytes& bytes)) {
  const Program program = decode(bytes.data(), bytes.size());
  RC_ASSERT(program.ops.size() == op_count(bytes.size()));
  RC_ASSERT(program.header.threads >= 1 && program.header.threads <= kMaxThreads);
  for (const Op& op : program.ops) {
    RC_ASSERT(op.thread < program.header.threads);
    RC_ASSERT(op.slot < kSlots);
    RC_ASSERT(program.header.misuse_allowed || !is_misuse(op.code));
    RC_ASSERT((is_misuse(op.code) && !is_attack(op.code)) == (expected_fault(op.code) != nullptr));
    RC_ASSERT(program.header.version >= 2 || !is_attack(op.code));
    RC_ASSERT(program.header.version >= 3 || (op.code != OpCode::interleave && op.code != OpCode::double_free_racing));
    RC_ASSERT(is_misuse(op.code) == (misuse_class(op.code) != MisuseClass::none));
  }
}

RC_GTEST_PROP(Language, encoding_is_the_inverse_of_decoding, (const Bytes& bytes)) {
  const Program program = decode(bytes.data(), bytes.size());
  const Bytes encoded = encode(program);
  RC_ASSERT(decode(encoded.data(), encoded.size()) == program);
  RC_ASSERT(encode(decode(encoded.data(), encoded.size())) == encoded);
}

RC_GTEST_PROP(Language, prints_a_line_for_each_operation, (const Bytes& bytes)) {
  const Program program = decode(bytes.data(), bytes.size());
  const std::string text = to_text(program, SizeTable());
  RC_ASSERT(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) == program.ops.size() + 1);
  RC_ASSERT(text.find('?') == std::string::npos);
}

// The meaning of these bytes is frozen: corpora depend on it. A change here is a new version of the language.
TEST(Language, of_version_1_keeps_its_meaning) {
  const Bytes bytes = {1, 0x1E, 2,    0x19, 4, 3, 2, 1, 0, 0, 1,  2, 0x0A, 0, 0, 0xE0, 7, 4, 65, 0, 0, 0,
                       0, 0,    0x84, 1,    2, 3, 4, 0, 0, 0, 31, 2, 6,    9, 3, 0,    0, 0, 9,  9, 9};
  EXPECT_EQ(
      to_text(decode(bytes.data(), bytes.size()), SizeTable()),
      "program version 1 profile strict guards mprotect threads 3 region tight seed 16909060 every 3. call of unmap "
      "fails misuse allowed\n"
      "   0  t0 p1 = malloc(10u)\n"
      "   1  t1 free(p1) by another thread (0 after its owner)\n"
      "   2  t1 interior-free p2 (expects interior-pointer)\n"
      "   3  t2 free 10 of pile 2, scattered\n");
  EXPECT_EQ(SizeTable().decode(class_edge(0, 0)), 16U);
  EXPECT_EQ(SizeTable().decode(huge_size(0)), static_cast<std::size_t>(PTRDIFF_MAX));
  EXPECT_EQ(decode_alignment(12), 4096U);
  EXPECT_EQ(decode_alignment(0xE0), 0U);
  EXPECT_EQ(decode_count(12, 16), SIZE_MAX / 16 + 1);
}

/// The misuse of a later version: what each byte from 0x80 on means.
void expect_misuse(std::uint8_t version, std::span<const char* const> records) {
  Bytes bytes = {version, 0x0A, 1, 0, 0, 0, 0, 0};
  std::string text = "program version " + std::to_string(version) +
                     " profile strict guards advice threads 2 region ample seed 0 misuse allowed\n";
  for (unsigned i = 0; i != records.size(); ++i) {
    const Bytes record = {static_cast<std::uint8_t>(0x80 + i), 1, 3, 7, 0x41, 2, 0, 0};
    bytes.insert(bytes.end(), record.begin(), record.end());
    char line[100];
    std::snprintf(line, sizeof line, "%4u  t1 %s\n", i, records[i]);
    text += line;
  }
  EXPECT_EQ(to_text(decode(bytes.data(), bytes.size()), SizeTable()), text);
}

constexpr const char* kVersion3[] = {
    "overflow-write p3: 8 bytes of 0x41",
    "overflow-nul p3: 1 bytes of 0x00",
    "write-beyond p3: 8 bytes of 0x41, 2 bytes on",
    "underflow-write p3: 8 bytes of 0x41",
    "write-freed p3: 8 bytes of 0x41",
    "write-freed p3: 8 bytes of 0x41",
    "free-stale p3",
    "realloc-stale p3",
    "usable-size-stale p3",
    "free-stale p3",
    "free-other-family p3",
    "free-other-size p3",
    "free-other-size p3",
    "forge-chunk p3",
    "free-other-alignment p3",
    "free-in-large p3",
    "flip-header p3",
    "flip-line p3",
    "flip-notes p3",
    "flip-large-record p3",
    "double-free-local-local p3 (expects double-free)",
    "double-free-local-remote p3 (expects double-free)",
    "double-free-remote-local p3 (expects double-free)",
    "double-free-remote-remote p3 (expects double-free)",
    "interior-free p3 (expects interior-pointer)",
    "misaligned-free p3 (expects misaligned-pointer)",
    "foreign-free p3 (expects foreign-pointer)",
    "realloc-freed p3 (expects freed-pointer)",
    "usable-size-freed p3 (expects freed-pointer)",
    "touch-guard p3",
    "touch-freed p3",
    "double-free-racing p3 (expects double-free)",
    "flip-sample-record p3",
    "flip-held-record p3",
    "flip-state p3",
    "forge-link p3",
    "forge-counts p3",
    "free-unused p3",
};

TEST(Language, of_version_2_keeps_its_meaning) { expect_misuse(2, std::span(kVersion3).first(31)); }
TEST(Language, of_version_3_keeps_its_meaning) { expect_misuse(3, kVersion3); }

TEST(Language, with_interruptions_keeps_its_meaning) {
  const Bytes bytes = {3, 0x09, 2, 0, 0,    0, 0,    0, 32, 0, 1,  1, 2,  0, 0, 0,  35, 0, 7,    8, 0xFF, 0,
                       0, 0,    6, 1, 2,    3, 0x41, 2, 0,  0, 36, 1, 2,  0, 9, 0,  0,  0, 0x9E, 1, 2,    3,
                       0, 0,    0, 0, 0x9F, 1, 2,    3, 0,  0, 0,  0, 33, 0, 0, 13, 8,  0, 0,    0};
  EXPECT_EQ(to_text(decode(bytes.data(), bytes.size()), SizeTable()),
            "program version 3 profile default guards advice threads 3 region ample seed 0 misuse allowed\n"
            "   0  t0 interrupt the next at remote-free-before-mark, passed 2 times, by the 2 after it\n"
            "   1  t0 interrupt the next at orphan-before-lock, passed 127 times, by the 8 after it\n"
            "   2  t1 free(p2)\n"
            "   3  t1 p2 = malloc(9u)\n"
            "   4  t1 touch-freed p2\n"
            "   5  t1 double-free-racing p2 (expects double-free)\n"
            "   6  t0 interrupt the next at any, passed 0 times, by the 1 after it\n");
  const Bytes later = {200};
  EXPECT_EQ(decode_header(later.data(), later.size()).version, 2U) << "as when there was no third";
}

RC_GTEST_PROP(Regression, is_the_program_that_it_was_written_of, (Bytes bytes)) {
  const Program program = decode(bytes.data(), bytes.size());
  RC_ASSERT(parse_regression(regression_text("a title", program, SizeTable())) == program);
}

TEST(Regression, is_read_by_its_records_alone) {
  const char* const kHeader = "0301000001000000";
  const char* const kMalloc = "000000057b0000e0";
  const std::string text = std::string("# what failed\n\n") + kHeader + "  program\n" + kMalloc;
  const std::optional<Program> program = parse_regression(text);
  ASSERT_TRUE(program);
  EXPECT_EQ(program->ops, std::vector<Op>({{OpCode::malloc_op, 0, 0, 5, literal_size(123)}}));
  for (const char* const wrong :
       {"", "# no record\n", "0301\n", "0301000001000000ff\n", "030100000100000g\n", "malloc\n"}) {
    EXPECT_FALSE(parse_regression(wrong)) << wrong;
  }
}

RC_GTEST_PROP(Mutations, give_whole_records_within_the_limit_and_follow_from_the_seed, (Bytes bytes, unsigned seed)) {
  const std::size_t size = bytes.size();
  const std::size_t limit = size + *rc::gen::inRange<std::size_t>(0, 200);
  bytes.resize(std::max(limit, kRecordBytes));
  Bytes again = bytes;
  const std::size_t mutated = fuzz::mutate_program(bytes.data(), size, limit, seed, nullptr);
  RC_ASSERT(mutated <= limit);
  if (limit >= 2 * kRecordBytes) RC_ASSERT(mutated % kRecordBytes == 0U);
  RC_ASSERT(fuzz::mutate_program(again.data(), size, limit, seed, nullptr) == mutated);
  RC_ASSERT(bytes == again);
}

RC_GTEST_PROP(Mutations, cross_over_takes_records_of_both, (const Bytes& first, const Bytes& second, unsigned seed)) {
  const auto limit = *rc::gen::inRange<std::size_t>(0, 400);
  Bytes out(limit);
  const std::size_t size =
      fuzz::cross_over_programs(first.data(), first.size(), second.data(), second.size(), out.data(), limit, seed);
  RC_ASSERT(size <= limit);
  RC_ASSERT(size % kRecordBytes == 0U);
  for (std::size_t i = 1; i < size / kRecordBytes; ++i) {
    const std::uint8_t* const record = &out[i * kRecordBytes];
    const OpCode code = decode_op(decode_header(out.data(), size), record).code;
    // What a request asks for may have been cut: how many, an alignment, or a size that may be large.
    const auto is_made_of = [&](const std::uint8_t* parent) {
      if (!is_request(code)) return std::equal(record, record + kRecordBytes, parent);
      if (!std::equal(record, record + 3, parent)) return false;
      const bool is_cut =
          code == OpCode::pile_up ? record[3] < parent[3] : code >= OpCode::aligned_alloc_op && parent[3] >> 5U == 6;
      if (record[3] != parent[3] && !is_cut) return false;
      const unsigned kind = parent[7] >> 4U;
      const bool may_be_large = (kind >= 4 && kind <= 12) || kind == 14;
      return may_be_large || std::equal(record + 4, record + kRecordBytes, parent + 4);
    };
    const auto is_in = [&](const Bytes& parent) {
      for (std::size_t j = 1; j <= op_count(parent.size()); ++j) {
        if (is_made_of(&parent[j * kRecordBytes])) return true;
      }
      return false;
    };
    RC_ASSERT(is_in(first) || is_in(second));
  }
}

TEST(Mutations, leave_out_what_takes_as_long_as_many_programs_but_for_few) {
  Program costly;
  costly.header.threads = 2;
  constexpr std::uint8_t kAlign4M = 0xC1;
  for (unsigned i = 0; i != 4; ++i) {
    costly.ops.push_back({OpCode::pile_up, 0, 0, 255, literal_size(65536)});
    costly.ops.push_back({OpCode::memalign_op, 0, 0, kAlign4M, literal_size(16U << 20U)});
    costly.ops.push_back({OpCode::malloc_op, 1, 0, 0, literal_size(32U << 20U)});
    costly.ops.push_back({OpCode::malloc_op, 1, 0, 0, literal_size(100)});
  }
  costly.ops.push_back({OpCode::pile_up, 1, 1, 0, literal_size(100)});
  const Bytes bytes = encode(costly);
  const auto is_cut = [](const Bytes& mutated) {
    static const SizeTable sizes;
    unsigned piled = 0;
    unsigned large = 0;
    std::size_t size = 0;
    std::size_t alignment = 0;
    for (const Op& op : decode(mutated.data(), mutated.size()).ops) {
      if (!is_request(op.code)) continue;
      if (op.code == OpCode::pile_up) piled += pile_count(op);
      // What is refused at once costs nothing.
      const std::size_t align = decode_alignment(op.detail);
      if (op.code == OpCode::memalign_op && is_power_of_two(align)) alignment = std::max(alignment, align);
      const std::size_t asked = sizes.decode(op.argument);
      if (asked >= std::size_t{1} << 30U) continue;
      if (asked > 4096) ++large;
      size = std::max(size, asked);
    }
    return piled <= 32 && large <= 3 && size <= std::size_t{300} << 10U && alignment <= std::size_t{1} << 20U;
  };
  constexpr unsigned kTimes = 2000;
  unsigned crossed = 0;
  unsigned mutated = 0;
  for (unsigned seed = 0; seed != kTimes; ++seed) {
    Bytes out(2 * bytes.size());
    out.resize(fuzz::cross_over_programs(bytes.data(), bytes.size(), bytes.data(), bytes.size(), out.data(), out.size(),
                                         seed));
    crossed += is_cut(out) ? 1 : 0;
    for (const Op& op : decode(out.data(), out.size()).ops) {
      if (op.code == OpCode::pile_up && op.slot == 1) {
        EXPECT_EQ(op.detail, 0) << "a pile has grown";
      }
    }
    out = bytes;
    const auto as_it_is = [](std::uint8_t*, std::size_t size, std::size_t) { return size; };
    out.resize(fuzz::mutate_program(out.data(), out.size(), out.size(), seed, as_it_is));
    mutated += is_cut(out) ? 1 : 0;
  }
  for (const unsigned cut : {crossed, mutated}) {
    EXPECT_GT(cut, kTimes - kTimes / 32);
    EXPECT_LT(cut, kTimes);
  }
}

RC_GTEST_PROP(Mutations, of_any_bytes_run_on_a_reference_allocator, (Bytes bytes)) {
  static FirstFit heap(HeapSetup{std::size_t{64} << 20U, 1, 1, false, kMaxThreads});
  static const SizeTable sizes;
  static Runner<FirstFit, fuzz::FlatModel> runner(heap, sizes, Thoroughness::sampled);
  std::size_t size = bytes.size();
  bytes.resize(512);
  for (unsigned seed = 0; seed < 20; ++seed)
    size = fuzz::mutate_program(bytes.data(), size, bytes.size(), seed, nullptr);
  const Program program = decode(bytes.data(), size);
  heap.reset(setup_for(program.header));
  const Failure failure = run_program(runner, program);
  if (failure) RC_FAIL(std::string(failure.rule) + ": " + failure.detail);
}

/// The C programs are judged by a C compiler and the system's own malloc.
TEST(Language, prints_c_programs_that_compile_and_run) {
  namespace fs = std::filesystem;
  const char* const compiler = std::getenv("CC") != nullptr ? std::getenv("CC") : "cc";
  if (std::system((std::string(compiler) + " --version > /dev/null 2>&1").c_str()) != 0)
    GTEST_SKIP() << "no C compiler";
  const fs::path directory = fs::temp_directory_path() / ("stave_c_" + std::to_string(getpid()));
  fs::create_directories(directory);
  for (unsigned variant = 0; variant < 4; ++variant) {
    Bytes bytes(8 * 60, 0);
    bytes[0] = kVersion;
    bytes[2] = static_cast<std::uint8_t>(variant);  // threads - 1
    std::size_t size = bytes.size();
    for (unsigned seed = 0; seed < 200; ++seed)
      size = fuzz::mutate_program(bytes.data(), size, bytes.size(), variant * 1000 + seed, nullptr);
    Program program = decode(bytes.data(), size);
    program.header.threads = static_cast<std::uint8_t>(variant + 1);
    for (Op& op : program.ops) op.thread = static_cast<std::uint8_t>(op.thread % (variant + 1));
    const fs::path source = directory / "program.c";
    const fs::path binary = directory / "program";
    std::ofstream(source) << to_c(program, SizeTable());
    const std::string compile =
        std::string(compiler) + " -std=gnu11 -w -O0 -pthread -o " + binary.string() + " " + source.string();
    ASSERT_EQ(std::system(compile.c_str()), 0) << to_c(program, SizeTable());
    const int status = std::system(("timeout 60 " + binary.string()).c_str());
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "variant " << variant << ", status " << status << "\n"
                                                               << to_c(program, SizeTable());
  }
  fs::remove_all(directory);
}

}  // namespace
}  // namespace stave::props
