// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/report.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/auxv.h>
#include <sys/syscall.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "base/test_child.hpp"

extern "C" char stave_last_report[2048];

namespace stave {
namespace {

std::string program() {
  char path[256] = {};
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  return {path, length > 0 ? static_cast<std::size_t>(length) : 0};
}

std::string report_of(const FaultRecord& record, std::size_t capacity = 1024) {
  std::vector<char> storage(capacity);
  TextBuffer out(storage.data(), capacity);
  format_report(record, out);
  EXPECT_EQ(out.size(), std::strlen(out.data()));
  return out.data();
}

std::string tail(const char* id) {
  return " pid " + std::to_string(getpid()) + " " + program() + " see SECURITY.md#" + id + "\n";
}

const FaultRecord kSlot{.fault = Fault::double_free,
                        .rule = "the slot is not live",
                        .address = reinterpret_cast<const void*>(0x7f3a12c01440),
                        .chunk = reinterpret_cast<const void*>(0x7f3a12c00000),
                        .slot_size = 64,
                        .slot = 17,
                        .state = "held"};

std::string json_of(const FaultRecord& record, const char* name = "/bin/x", std::size_t capacity = 4096) {
  std::vector<char> storage(capacity);
  TextBuffer out(storage.data(), capacity);
  format_json(record, 4711, name, out);
  return out.data();
}

// First, as the name is learnt once.
TEST(Report, names_the_program_as_it_was_started_until_it_knows_better) {
  const auto text = [] {
    char storage[300];
    TextBuffer out(storage, sizeof storage);
    append_process(out);
    return std::string(out.data());
  };
  const std::string pid = "pid " + std::to_string(getpid()) + " ";
  EXPECT_EQ(text(), pid + reinterpret_cast<const char*>(getauxval(AT_EXECFN)));
  remember_program();
  EXPECT_EQ(text(), pid + program());
}

TEST(Report, names_the_program_as_it_was_started_where_proc_is_missing) {
  const test::Heard heard = test::hear([] {
    if (!test::answer_call(SYS_readlinkat, ENOENT)) _exit(1);
    remember_program();
    char storage[300];
    TextBuffer out(storage, sizeof storage);
    append_process(out);
    (void)!write(2, out.data(), out.size());
  });
  if (heard.end == 1) GTEST_SKIP() << "no seccomp";
  EXPECT_EQ(heard.text.substr(heard.text.find(' ', 4) + 1), reinterpret_cast<const char*>(getauxval(AT_EXECFN)));
}

TEST(Json, has_what_is_known_and_no_more) {
  EXPECT_EQ(json_of({.fault = Fault::no_entropy}),
            "{\"stave\":\"report 1\",\"fault\":\"no-entropy\",\"address\":\"0x0\",\"kind\":\"unknown\",\"cause\":\"" +
                std::string(fault_cause(Fault::no_entropy)) + "\",\"pid\":4711,\"program\":\"/bin/x\"}\n");
  FaultRecord record = kSlot;
  record.requested = 40;
  record.family = "new[]";
  record.changed = reinterpret_cast<const void*>(0x7f3a12c01440 + 48);
  record.written = {.count = 3, .told = 5, .bytes = {65, 0, 255}};
  EXPECT_EQ(json_of(record),
            "{\"stave\":\"report 1\",\"fault\":\"double-free\",\"rule\":\"the slot is not "
            "live\",\"address\":\"0x7f3a12c01440\","
            "\"kind\":\"slot\",\"chunk\":\"0x7f3a12c00000\",\"bytes_of_place\":64,\"slot\":17,\"state\":\"held\","
            "\"requested\":40,"
            "\"family\":\"new[]\",\"changed_offset\":48,\"written\":[65,null,255],\"cause\":\"" +
                std::string(fault_cause(Fault::double_free)) + "\",\"pid\":4711,\"program\":\"/bin/x\"}\n");
}

TEST(Json, is_json_whatever_the_program_is_called) {
  const std::string text = json_of(kSlot, "/tmp/a \"b\\c\n\xff");
  EXPECT_NE(text.find("\"program\":\"/tmp/a \\\"b\\\\c\\u000a\\u00ff\"}"), std::string::npos) << text;
}

TEST(Json, fits_at_its_longest) {
  CallStack calls{.thread = UINTPTR_MAX, .count = CallStack::kMost, .frames = {}};
  for (std::uintptr_t& frame : calls.frames) frame = UINTPTR_MAX;
  FaultRecord record{.fault = Fault::use_after_free,
                     .rule = "memory that was freed and has no access any more was touched",
                     .address = reinterpret_cast<const void*>(UINTPTR_MAX),
                     .chunk = reinterpret_cast<const void*>(UINTPTR_MAX),
                     .slot_size = SIZE_MAX,
                     .state = "never-used",
                     .changed = reinterpret_cast<const void*>(8),
                     .requested = SIZE_MAX,
                     .family = "aligned new",
                     .function = "__memcpy_chk",
                     .access = "write",
                     .bytes = SIZE_MAX,
                     .allocation = reinterpret_cast<const void*>(UINTPTR_MAX),
                     .allocation_bytes = SIZE_MAX,
                     .touched = &calls,
                     .sample = UINT64_MAX,
                     .sample_seed = UINT64_MAX,
                     .allocated = &calls,
                     .freed = &calls};
  record.written = {.count = Written::kMost, .told = 0xffff, .bytes = {}};
  const std::string program(255, '\xff');
  const std::string text = json_of(record, program.c_str());
  EXPECT_EQ(text, json_of(record, program.c_str(), 8192));
  EXPECT_EQ(text.back(), '\n');
}

TEST(Report, says_what_stands_where_it_should_not) {
  FaultRecord record{.fault = Fault::overflow,
                     .address = reinterpret_cast<const void*>(0x1000),
                     .slot_size = 48,
                     .changed = reinterpret_cast<const void*>(0x1000 + 41),
                     .requested = 40,
                     .family = "malloc"};
  record.written = {.count = 3, .told = 5, .bytes = {0x41, 0, 0xf0}};
  const std::string text = report_of(record);
  EXPECT_NE(text.find("stave:   first changed byte: at offset 41, where now is 41 .. f0\n"), std::string::npos) << text;
  EXPECT_NE(text.find("stave:   the allocation: 40 bytes by malloc\n"), std::string::npos) << text;
  EXPECT_NE(text.find("stave:   STAVE_OPTIONS=canary=off:exact_size=0 leaves this check out\n"), std::string::npos);
  record.access = "write";  // which no option would have allowed
  EXPECT_EQ(report_of(record).find("leaves this check out"), std::string::npos);
}

TEST(Report, tells_how_far_away_a_byte_is_wherever_it_lies) {
  FaultRecord record{.fault = Fault::overflow,
                     .address = reinterpret_cast<const void*>(1),
                     .changed = reinterpret_cast<const void*>((std::uintptr_t{1} << 63) + 1)};
  EXPECT_NE(report_of(record).find("at offset -9223372036854775808\n"), std::string::npos) << report_of(record);
  record.changed = reinterpret_cast<const void*>(std::uintptr_t{1} << 63);
  EXPECT_NE(report_of(record).find("at offset 9223372036854775807\n"), std::string::npos) << report_of(record);
}

TEST(Report, shows_no_more_calls_than_there_is_room_for) {
  const CallStack damaged{.thread = 1, .count = SIZE_MAX, .frames = {0x1111}};
  FaultRecord record = kSlot;
  record.sample = 1;
  record.freed = &damaged;
  const std::string zeros = " 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n";
  EXPECT_NE(report_of(record).find("stave:   freed by thread 0x1, from 0x1111" + zeros), std::string::npos);
  EXPECT_NE(json_of(record).find("\"0x1111\",\"0x0\""), std::string::npos);
}

TEST(Report, is_lines_of_stave_whatever_the_program_is_called) {
  char storage[1024];
  TextBuffer out(storage, sizeof storage);
  format_report(kSlot, 4711, "/tmp/x\nstave: all is well\x1b[2J\xff", out);
  EXPECT_NE(out.view().find(") pid 4711 /tmp/x?stave: all is well?[2J? see SECURITY.md#double-free\n"),
            std::string::npos)
      << out.data();
}

TEST(Report, says_what_is_known_of_a_sample) {
  const CallStack allocated{.thread = 0x7f00, .count = 2, .frames = {0x1111, 0x2222}};
  const CallStack freed{.thread = 0x7f01, .count = 0, .frames = {}};
  const CallStack touched{.thread = 0x7f02, .count = 1, .frames = {0x3333}};
  FaultRecord record{.fault = Fault::overflow,
                     .address = reinterpret_cast<const void*>(0x20000),
                     .slot_size = 41,
                     .state = "live",
                     .access = "write",
                     .allocation = reinterpret_cast<const void*>(0x1ffd0),
                     .touched = &touched,
                     .sample = 17,
                     .sample_seed = 99,
                     .allocated = &allocated,
                     .freed = &freed};
  EXPECT_EQ(report_of(record), "stave: overflow: 0x20000 (sample 17, 41 bytes, state live)" + tail("overflow") +
                                   "stave:   the access: write, at offset 48 of the allocation at 0x1ffd0\n"
                                   "stave:   touched by thread 0x7f02, from 0x3333\n"
                                   "stave:   likely cause: " +
                                   fault_cause(Fault::overflow) + "\n" +
                                   "stave:   sample_seed=99 makes it a sample again\n"
                                   "stave:   allocated by thread 0x7f00, from 0x1111 0x2222\n");
  record.access = nullptr;
  record.address = reinterpret_cast<const void*>(0x1ffcf);
  EXPECT_NE(report_of(record).find("the access: unknown, at offset -1 of"), std::string::npos);
}

TEST(Report, of_a_sample_with_all_its_calls_fits) {
  CallStack calls{.thread = UINTPTR_MAX, .count = CallStack::kMost, .frames = {}};
  for (std::uintptr_t& frame : calls.frames) frame = UINTPTR_MAX;
  const FaultRecord record{.fault = Fault::use_after_free,
                           .rule = "memory that was freed and has no access any more was touched",
                           .address = reinterpret_cast<const void*>(UINTPTR_MAX),
                           .slot_size = SIZE_MAX,
                           .state = "never-used",
                           .access = "write",
                           .allocation = reinterpret_cast<const void*>(8),
                           .touched = &calls,
                           .sample = UINT64_MAX,
                           .sample_seed = UINT64_MAX,
                           .allocated = &calls,
                           .freed = &calls};
  EXPECT_EQ(report_of(record, sizeof stave_last_report), report_of(record, 2 * sizeof stave_last_report));
}

TEST(Report, first_line_has_the_documented_order) {
  EXPECT_EQ(report_of(kSlot),
            "stave: double-free: 0x7f3a12c01440 (chunk 0x7f3a12c00000, size class 64, slot 17, state held)" +
                tail("double-free") + "stave:   check: the slot is not live\n" +
                "stave:   likely cause: " + fault_cause(Fault::double_free) + "\n");
}

TEST(Report, says_what_it_knows_of_large_blocks_and_of_strangers) {
  EXPECT_EQ(report_of({.fault = Fault::interior_pointer,
                       .address = reinterpret_cast<const void*>(0x10008),
                       .chunk = reinterpret_cast<const void*>(0x10000),
                       .slot_size = 1 << 20,
                       .large = true,
                       .state = "live"}),
            "stave: interior-pointer: 0x10008 (large block 0x10000, 1048576 bytes, state live)" +
                tail("interior-pointer") + "stave:   likely cause: " + fault_cause(Fault::interior_pointer) + "\n");
  EXPECT_EQ(report_of({.fault = Fault::foreign_pointer}),
            "stave: foreign-pointer: 0x0 (not in a chunk or large block)" + tail("foreign-pointer") +
                "stave:   likely cause: " + fault_cause(Fault::foreign_pointer) + "\n" +
                "stave:   STAVE_OPTIONS=foreign_pointer=warn leaves this check out\n");
}

TEST(Report, says_what_a_memory_function_would_have_done) {
  FaultRecord record = kSlot;
  record.fault = Fault::out_of_bounds_copy;
  record.function = "strcpy";
  record.access = "write";
  record.bytes = 100;
  EXPECT_NE(report_of(record).find("\nstave:   strcpy would write 100 bytes there\n"), std::string::npos);
  record.access = nullptr;  // which is not known
  EXPECT_NE(report_of(record).find("\nstave:   strcpy would access 100 bytes there\n"), std::string::npos);
  record.access = "write";
  record.allocation = static_cast<const char*>(record.address) - 16;
  record.allocation_bytes = 56;
  EXPECT_NE(
      report_of(record).find("\nstave:   strcpy would write 100 bytes there, 60 beyond the end of the allocation of 56 "
                             "bytes at 0x7f3a12c01430\n"),
      std::string::npos);
}

TEST(Report, every_fault_has_one) {
  for (std::size_t i = 0; i != kFaultCount; ++i) {
    const auto fault = static_cast<Fault>(i);
    const std::string text = report_of({.fault = fault, .address = &fault});
    EXPECT_EQ(text.rfind("stave: " + std::string(fault_id(fault)) + ": 0x", 0), 0U) << text;
    EXPECT_NE(text.find(" see SECURITY.md#" + std::string(fault_id(fault)) + "\n"), std::string::npos) << text;
    EXPECT_EQ(text.back(), '\n');
  }
}

TEST(Report, is_cut_off_where_the_buffer_ends) {
  const std::string whole = report_of(kSlot);
  for (std::size_t capacity = 1; capacity != whole.size() + 3; ++capacity) {
    std::vector<char> storage(capacity + 8, '#');
    TextBuffer out(storage.data(), capacity);
    format_report(kSlot, out);
    ASSERT_EQ(std::string(out.data(), out.size()), whole.substr(0, capacity - 1));
    ASSERT_EQ(out.data()[out.size()], '\0');
    for (std::size_t i = capacity; i != storage.size(); ++i) ASSERT_EQ(storage[i], '#') << "wrote behind its storage";
  }
}

TEST(ReportAndAbort, writes_one_report_and_ends_by_sigabrt) {
  for (std::size_t i = 0; i != kFaultCount; ++i) {
    FaultRecord record = kSlot;
    record.fault = static_cast<Fault>(i);
    const test::Heard heard = test::hear([&] { report_and_abort(record); });
    EXPECT_EQ(heard.end, -SIGABRT);
    EXPECT_EQ(heard.text.rfind("stave: " + std::string(fault_id(record.fault)) + ": 0x7f3a12c01440 (", 0), 0U)
        << heard.text;
    EXPECT_EQ(heard.text.find("stave: ", 1), heard.text.find("\nstave:   check") + 1);
  }
}

TEST(ReportAndAbort, leaves_the_text_for_core_dumps) {
  EXPECT_STREQ(stave_last_report, "");
  const test::Heard heard = test::hear([&] {
    // The handler of SIGABRT stands for whoever looks at the core dump.
    std::signal(SIGABRT, [](int) {
      (void)!write(2, "|", 1);
      (void)!write(2, stave_last_report, std::strlen(stave_last_report));
      _exit(3);
    });
    report_and_abort(kSlot);
  });
  EXPECT_EQ(heard.end, 3);
  const std::size_t middle = heard.text.find('|');
  ASSERT_NE(middle, std::string::npos);
  EXPECT_EQ(heard.text.substr(0, middle), heard.text.substr(middle + 1));
  EXPECT_GT(middle, 100U);
}

TEST(ReportAndAbort, writes_to_the_log_as_well) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const test::Heard heard = test::hear([&] {
    if (log_to_descriptor(ends[1]) != 0) _exit(1);
    report_and_abort(kSlot);
  });
  EXPECT_EQ(heard.end, -SIGABRT);
  close(ends[1]);
  char logged[2048] = {};
  ASSERT_GT(read(ends[0], logged, sizeof logged - 1), 0);
  close(ends[0]);
  EXPECT_EQ(heard.text.substr(0, std::strlen(logged)), logged);  // an emulator has a word to add
  EXPECT_EQ(heard.text.rfind("stave: double-free", 0), 0U);
  EXPECT_NE(std::strstr(logged, "likely cause"), nullptr);
}

TEST(ReportAndAbort, dies_all_the_same_when_descriptor_2_is_closed) {
  EXPECT_EQ(test::child_end([] {
              close(2);
              report_and_abort(kSlot);
            }),
            -SIGABRT);
}

TEST(ReportAndAbort, does_not_hang_on_a_full_pipe_that_would_block) {
  EXPECT_EQ(test::child_end([] {
              int ends[2];
              if (pipe2(ends, O_NONBLOCK) != 0) _exit(1);
              char block[4096] = {};
              while (write(ends[1], block, sizeof block) > 0) {
              }
              if (errno != EAGAIN) _exit(2);
              dup2(ends[1], 2);
              alarm(5);
              report_and_abort(kSlot);
            }),
            -SIGABRT);
}

TEST(ReportAndAbort, does_not_hang_on_a_full_pipe_that_nobody_reads) {
  if (test::kEmulated) GTEST_SKIP() << "the emulator has more to say on descriptor 2, and waits";
  EXPECT_EQ(test::child_end([] {
              int ends[2];
              if (pipe2(ends, O_NONBLOCK) != 0) _exit(1);
              char block[4096] = {};
              while (write(ends[1], block, sizeof block) > 0) {
              }
              if (fcntl(ends[1], F_SETFL, 0) != 0) _exit(2);  // blocking, as a program's descriptor 2 is
              dup2(ends[1], 2);
              alarm(10);
              report_and_abort(kSlot);
            }),
            -SIGABRT);
}

TEST(ReportAndAbort, a_reader_that_went_away_changes_nothing_of_how_it_ends) {
  const int end = test::child_end([] {
    int ends[2];
    if (pipe(ends) != 0) _exit(1);
    close(ends[0]);
    dup2(ends[1], 2);
    report_and_abort(kSlot);
  });
  EXPECT_EQ(end, -SIGABRT) << "and not SIGPIPE";
}

TEST(ReportAndAbort, a_fault_inside_a_report_ends_at_once) {
  const test::Heard heard = test::hear([] {
    std::signal(SIGABRT, [](int) {
      std::signal(SIGABRT, SIG_DFL);
      report_and_abort({.fault = Fault::internal});
    });
    report_and_abort(kSlot);
  });
  EXPECT_EQ(heard.end, -SIGABRT);
  EXPECT_EQ(heard.text.find("stave: internal"), std::string::npos) << "the first report stands";
  EXPECT_EQ(heard.text.rfind("stave: double-free", 0), 0U);
}

}  // namespace
}  // namespace stave
