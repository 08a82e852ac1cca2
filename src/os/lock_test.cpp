// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "os/lock.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <set>
#include <thread>
#include <vector>

#include "base/test_child.hpp"

namespace stave {
namespace {

using namespace std::chrono_literals;

TEST(Lock, excludes_threads_from_one_another) {
  Lock lock;
  constexpr int kThreads = 4;
  constexpr int kTurns = 20'000;
  long count = 0;  // not atomic: ThreadSanitizer judges the lock by it
  std::atomic<int> inside{0};
  std::vector<std::thread> threads;
  for (int i = 0; i != kThreads; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn != kTurns; ++turn) {
        ASSERT_TRUE(lock.acquire());
        ASSERT_EQ(inside.fetch_add(1), 0);
        ++count;
        inside.fetch_sub(1);
        lock.release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, kThreads * kTurns);
}

TEST(Lock, wakes_whoever_slept) {
  Lock lock;
  for (int round = 0; round != 50; ++round) {
    ASSERT_TRUE(lock.acquire());
    std::atomic<int> passed{0};
    std::vector<std::thread> sleepers;
    for (int i = 0; i != 3; ++i) {
      sleepers.emplace_back([&] {
        ASSERT_TRUE(lock.acquire());
        passed.fetch_add(1);
        lock.release();
      });
    }
    std::this_thread::sleep_for(500us);
    EXPECT_EQ(passed.load(), 0);
    lock.release();
    for (std::thread& sleeper : sleepers) sleeper.join();
    EXPECT_EQ(passed.load(), 3);
  }
}

TEST(Lock, answers_its_holder_that_enters_again) {
  Lock lock;
  ASSERT_TRUE(lock.acquire());
  EXPECT_FALSE(lock.acquire());
  EXPECT_FALSE(lock.acquire());  // an answer, not a state: asking has no effect
  lock.release();
  EXPECT_TRUE(lock.acquire());
  lock.release();
}

TEST(Lock, lets_its_holder_in_again_during_a_fork) {
  Lock lock;
  ASSERT_TRUE(lock.acquire());
  lock.hold_for_fork();
  ASSERT_TRUE(lock.acquire());
  ASSERT_TRUE(lock.acquire());
  lock.release();
  lock.release();
  // Still held: another thread waits.
  std::atomic<bool> entered{false};
  std::thread other([&] {
    ASSERT_TRUE(lock.acquire());
    entered.store(true);
    lock.release();
  });
  std::this_thread::sleep_for(20ms);
  EXPECT_FALSE(entered.load());
  lock.release();
  other.join();
  EXPECT_TRUE(entered.load());
  // The permission ended with the fork.
  ASSERT_TRUE(lock.acquire());
  EXPECT_FALSE(lock.acquire());
  lock.release();
}

TEST(Lock, is_free_in_the_child_after_reset) {
  Lock lock;
  ASSERT_TRUE(lock.acquire());
  lock.hold_for_fork();
  ASSERT_TRUE(lock.acquire());
  EXPECT_EQ(test::child_end([&] {
              lock.reset_in_child();
              if (!lock.acquire()) _exit(1);
              if (lock.acquire()) _exit(2);  // forgot the fork
              lock.release();
              if (!lock.acquire()) _exit(3);
            }),
            test::kSurvived);
  lock.release();
  lock.release();
}

TEST(Lock, threads_have_distinct_names) {
  std::vector<std::uintptr_t> names(8);
  std::vector<std::thread> threads;
  std::atomic<int> arrived{0};
  for (std::uintptr_t& name : names) {
    threads.emplace_back([&] {
      name = this_thread();
      arrived.fetch_add(1);
      while (arrived.load() != 8) std::this_thread::yield();  // all live at once: a name is free again after its thread
    });
  }
  for (std::thread& thread : threads) thread.join();
  names.push_back(this_thread());
  EXPECT_EQ(std::set<std::uintptr_t>(names.begin(), names.end()).size(), names.size());
  EXPECT_EQ(this_thread(), names.back());
  for (const std::uintptr_t name : names) EXPECT_NE(name, 0U);
}

std::atomic<int> g_signals{0};

TEST(SignalsBlocked, keeps_signals_until_it_ends) {
  g_signals.store(0);
  struct sigaction action = {};
  action.sa_handler = [](int) { g_signals.fetch_add(1); };
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  {
    const SignalsBlocked outer(true);
    {
      const SignalsBlocked inner(true);
      ASSERT_EQ(raise(SIGUSR1), 0);
    }
    EXPECT_EQ(g_signals.load(), 0) << "the inner one restored what the outer one had set";
  }
  EXPECT_EQ(g_signals.load(), 1);
  {
    const SignalsBlocked no(false);
    ASSERT_EQ(raise(SIGUSR1), 0);
    EXPECT_EQ(g_signals.load(), 2);
  }
  sigset_t mask;
  ASSERT_EQ(pthread_sigmask(SIG_BLOCK, nullptr, &mask), 0);
  EXPECT_EQ(sigismember(&mask, SIGUSR1), 0);
  ASSERT_EQ(sigaction(SIGUSR1, &before, nullptr), 0);
}

}  // namespace
}  // namespace stave
