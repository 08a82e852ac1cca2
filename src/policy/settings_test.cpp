// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "policy/settings.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/test_directory.hpp"

namespace stave {
namespace {

class OptionsOfFile : public testing::Test {
 protected:
  OptionsOfFile() { before_.seed = 77; }

  Options read(const std::string& path) {
    said_.clear();
    return options_of_file(
        path.c_str(), before_,
        [](void* said, const char* line) { static_cast<std::vector<std::string>*>(said)->push_back(line); }, &said_);
  }
  Options read_text(const std::string& text) {
    std::ofstream(path_) << text;
    return read(path_);
  }
  void expect_refused(const Options& options, const std::string& line) {
    ASSERT_EQ(said_.size(), 1U);
    EXPECT_EQ(said_[0].rfind(line, 0), 0U) << said_[0];
    EXPECT_EQ(said_[0].substr(said_[0].size() - 22), "; the file is not used");
    EXPECT_EQ(said_[0].find('\n'), std::string::npos);
    EXPECT_EQ(options.profile, Profile::standard);
    EXPECT_EQ(options.seed, 77U);
    EXPECT_EQ(options.stats, 0U);
  }

  test::TemporaryDirectory temporary_;
  const std::string& directory_ = temporary_.path();
  const std::string path_ = directory_ + "/stave.conf";
  Options before_;
  std::vector<std::string> said_;
};

TEST_F(OptionsOfFile, come_on_top_of_those_before) {
  const Options options = read_text("# for all\n\nquarantine_slots=5\nlog_file=/var/log/stave:1\n");
  EXPECT_TRUE(said_.empty());
  EXPECT_EQ(options.quarantine_slots, 5U);
  EXPECT_EQ(options.log_file, "/var/log/stave:1");
  EXPECT_EQ(options.seed, 77U);
}

TEST_F(OptionsOfFile, no_file_and_an_empty_one_say_nothing) {
  EXPECT_EQ(read(path_).seed, 77U);
  EXPECT_TRUE(said_.empty());
  EXPECT_EQ(read("/dev/null/stave.conf").seed, 77U);
  EXPECT_TRUE(said_.empty());
  EXPECT_EQ(read_text("").seed, 77U);
  EXPECT_TRUE(said_.empty());
}

TEST_F(OptionsOfFile, one_bad_line_and_nothing_of_it_is_used) {
  expect_refused(read_text("stats=1\nguard_pages=2\nnonsense=1\nseed=1\n"), path_ + ": bad value in 'guard_pages=2'");
  expect_refused(read_text("stats=1\nprofile=strickt\n"), path_ + ": unknown profile 'strickt'");
  expect_refused(read_text("stats=1:verbose=1\n"), path_ + ": bad value in 'stats=1:verbose=1'");
  expect_refused(read_text("stats=1\n\x7f"
                           "ELF\x01\xff=\n"),
                 path_ +
                     ": unknown option '?ELF?"
                     "?'");
  expect_refused(read_text(std::string("stats=1\n") + '\0' + "\n"), path_ + ": no value given to option '?'");
  expect_refused(read_text("stats=1\n" + std::string(4000, 'x')), path_ + ": no value given to option 'xxxx");
}

TEST_F(OptionsOfFile, what_cannot_be_read_is_said_and_not_used) {
  expect_refused(read(directory_), directory_ + ": not a plain file");
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  expect_refused(read(path_), path_ + ": not a plain file");  // and nobody waits for a writer
  unlink(path_.c_str());
  expect_refused(read("/dev/null"), "/dev/null: not a plain file");
  ASSERT_EQ(symlink("stave.conf", path_.c_str()), 0);
  expect_refused(read(path_), path_ + ": cannot be read, errno 40");  // ELOOP
  unlink(path_.c_str());
  if (geteuid() == 0) return;  // who may read everything
  std::ofstream(path_) << "stats=1\n";
  ASSERT_EQ(chmod(path_.c_str(), 0), 0);
  expect_refused(read(path_), path_ + ": cannot be read, errno 13");
}

TEST_F(OptionsOfFile, may_have_4096_bytes_and_not_one_more) {
  const std::string line = "seed=3\n";
  EXPECT_EQ(read_text(line + std::string(4096 - line.size(), '\n')).seed, 3U);
  EXPECT_TRUE(said_.empty());
  expect_refused(read_text(line + std::string(4097 - line.size(), '\n')), path_ + ": larger than 4096 bytes");
}

}  // namespace
}  // namespace stave
