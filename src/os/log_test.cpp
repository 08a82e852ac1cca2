// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/log.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <string>

#include "base/test_child.hpp"
#include "base/test_directory.hpp"

namespace stave {
namespace {

TEST(TextBuffer, writes_numbers_as_printf_does) {
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{9}, std::uint64_t{10}, std::uint64_t{0xabc}, ~std::uint64_t{0}}) {
    char expected[64];
    std::snprintf(expected, sizeof expected, "%llu 0x%llx", static_cast<unsigned long long>(value),
                  static_cast<unsigned long long>(value));
    char storage[64];
    TextBuffer out(storage, sizeof storage);
    out.decimal(value).text(" ").hexadecimal(value);
    EXPECT_STREQ(out.data(), expected);
  }
}

TEST(TextBuffer, takes_words_that_are_none) {
  char storage[8];
  TextBuffer out(storage, sizeof storage);
  EXPECT_EQ(out.text("a").text({}).printable({}).text("b").view(), "ab");
}

TEST(TextBuffer, makes_one_printable_line_of_anything) {
  std::string all;
  for (int byte = 0; byte != 256; ++byte) all += static_cast<char>(byte);
  char storage[512];
  TextBuffer out(storage, sizeof storage);
  out.printable(all);
  ASSERT_EQ(out.size(), 256U);
  for (int byte = 0; byte != 256; ++byte) EXPECT_EQ(out.data()[byte], byte >= 32 && byte < 127 ? byte : '?');
}

class Log : public testing::Test {
 protected:
  [[nodiscard]] std::string content() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  test::TemporaryDirectory temporary_;
  const std::string& directory_ = temporary_.path();
  const std::string path_ = directory_ + "/log";
};

TEST_F(Log, is_descriptor_2_at_first_and_a_notice_one_line) {
  const test::Heard heard = test::hear([] {
    notice("started, profile ", "strict");
    notice("alone");
  });
  EXPECT_EQ(heard.end, test::kSurvived);
  EXPECT_EQ(heard.text, "stave: started, profile strict\nstave: alone\n");
}

TEST_F(Log, a_file_is_made_for_its_owner_alone_and_appended_to) {
  for (const char* const words : {"one", "two"}) {
    const test::Heard heard = test::hear([&] {
      if (log_to_file(path_) != 0) _exit(1);
      notice(words);
    });
    EXPECT_EQ(heard.end, test::kSurvived);
    EXPECT_EQ(heard.text, "") << "it was to go to the file";
  }
  EXPECT_EQ(content(), "stave: one\nstave: two\n");
  struct stat status {};
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(Log, a_file_takes_no_low_descriptor_and_does_not_outlive_exec) {
  for (const rlim_t most : {1024, 256, 64, 4}) {
    EXPECT_EQ(test::child_end([&] {
                rlimit limit{};
                getrlimit(RLIMIT_NOFILE, &limit);
                closefrom(3);
                limit.rlim_cur = most;
                setrlimit(RLIMIT_NOFILE, &limit);
                if (log_to_file(path_) != 0) _exit(1);
                int used = 0;
                for (int descriptor = 3; descriptor < static_cast<int>(most); ++descriptor) {
                  if (fcntl(descriptor, F_GETFD) < 0) continue;
                  ++used;
                  if (descriptor < 20 && most > 20) _exit(2);
                  if ((fcntl(descriptor, F_GETFD) & FD_CLOEXEC) == 0) _exit(3);
                }
                if (used != 1) _exit(4);
              }),
              test::kSurvived)
        << most;
  }
}

TEST_F(Log, what_is_no_file_to_write_to_is_refused_and_the_log_stays) {
  const std::string fifo = directory_ + "/fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const test::Heard heard = test::hear([&] {
    alarm(10);
    if (log_to_file(directory_) != EISDIR) _exit(1);
    if (log_to_file(directory_ + "/none/log") != ENOENT) _exit(2);
    if (log_to_file(std::string(5000, 'x')) != ENAMETOOLONG) _exit(3);
    if (log_to_file(fifo) != ENXIO) _exit(4);  // and does not wait for a reader
    if (log_to_descriptor(999) != EBADF) _exit(5);
    if (log_to_descriptor(open("/dev/null", O_RDONLY)) != EBADF) _exit(6);
    notice("here");
  });
  unlink(fifo.c_str());
  EXPECT_EQ(heard.end, test::kSurvived);
  EXPECT_EQ(heard.text, "stave: here\n");
}

TEST_F(Log, never_writes_to_what_took_its_descriptor) {
  const test::Heard heard = test::hear([&] {
    const int descriptor = open(path_.c_str(), O_RDWR | O_CREAT, 0600);
    if (descriptor < 0 || log_to_descriptor(descriptor) != 0) _exit(1);
    notice("first");
    close(descriptor);
    notice("second");
    if (open("/dev/null", O_RDWR) != descriptor) _exit(2);  // the program's own by now
    notice("third");
    log_loudly("fourth\n");
  });
  EXPECT_EQ(heard.end, test::kSurvived);
  EXPECT_EQ(content(), "stave: first\n");
  EXPECT_EQ(heard.text, "stave: second\nstave: third\nfourth\n");
}

}  // namespace
}  // namespace stave
