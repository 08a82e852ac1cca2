// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// threads [n]: threads that come, go, and free what others allocated; n short ones.
#include <gtest/gtest.h>
#include <pthread.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "conformance.hpp"

namespace {

using conformance::opaque;

struct Block {
  unsigned char* start;
  size_t size;
};

Block make_block(size_t size, unsigned char fill) {
  auto* const start = opaque(static_cast<unsigned char*>(malloc(size)));
  memset(start, fill, size);
  return {start, size};
}

bool holds(const Block& block, unsigned char fill) {
  for (size_t i = 0; i != block.size; ++i) {
    if (block.start[i] != fill) return false;
  }
  return true;
}

TEST(Threads, what_an_ended_thread_left_is_whole_and_can_be_freed) {
  std::vector<Block> blocks;
  std::thread([&blocks] {
    for (size_t i = 0; i != 5000; ++i) blocks.push_back(make_block(1 + i % 3000, 7));
    for (size_t i = 0; i != 10; ++i) blocks.push_back(make_block(100000 * (i + 1), 7));
  }).join();
  // The next thread adopts the heap that the first one left, and must not be given what is still live.
  std::vector<Block> adopted;
  std::thread([&adopted] {
    for (size_t i = 0; i != 5000; ++i) adopted.push_back(make_block(1 + i % 3000, 9));
  }).join();
  for (const Block& block : blocks) ASSERT_TRUE(holds(block, 7));
  for (const Block& block : adopted) ASSERT_TRUE(holds(block, 9));
  for (const Block& block : blocks) free(block.start);
  for (const Block& block : adopted) free(block.start);
}

TEST(Threads, frees_while_the_owner_ends) {
  for (int round = 0; round != 300; ++round) {
    std::atomic<void**> passed{nullptr};
    std::thread owner([&passed] {
      static void* pointers[200];
      for (void*& pointer : pointers) pointer = opaque(malloc(64));
      passed.store(pointers);
    });
    void** pointers = nullptr;
    while ((pointers = passed.load()) == nullptr) std::this_thread::yield();
    for (int i = 0; i != 200; ++i) free(pointers[i]);
    owner.join();
  }
}

int g_short_threads = 2000;

// Memory that ended threads leave must be taken over, or 2,000 of them would cost 2,000 heaps.
TEST(Threads, many_short_ones_leave_memory_flat) {
  const auto some = [](int count) {
    for (int i = 0; i != count; ++i) {
      std::thread([i] {
        std::vector<Block> blocks;
        for (size_t k = 0; k != 100; ++k)
          blocks.push_back(make_block(16 + (static_cast<size_t>(i) + k * 37) % 2000, 3));
        for (const Block& block : blocks) free(block.start);
      }).join();
    }
  };
  some(100);
  const size_t before = conformance::resident_bytes();
  some(g_short_threads);
  const size_t after = conformance::resident_bytes();
  EXPECT_LT(after, before + (size_t{4} << 20)) << "grew from " << before << " to " << after;
}

TEST(Threads, short_ones_whose_memory_is_freed_elsewhere_leave_memory_flat) {
  const auto some = [](int count) {
    std::vector<Block> blocks(100);
    for (int i = 0; i != count; ++i) {
      std::thread([&blocks] {
        for (size_t k = 0; k != 100; ++k) blocks[k] = make_block(16 + k * 20, 3);
      }).join();
      for (const Block& block : blocks) {
        ASSERT_TRUE(holds(block, 3));
        free(block.start);
      }
    }
  };
  some(100);
  const size_t before = conformance::resident_bytes();
  some(1000);
  EXPECT_LT(conformance::resident_bytes(), before + (size_t{8} << 20));
}

TEST(Threads, many_at_once_pass_blocks_around) {
  constexpr int kThreads = 8;
  constexpr int kSteps = 15000;
  struct Shelf {
    std::mutex mutex;
    std::deque<Block> blocks;
  };
  std::vector<Shelf> shelves(kThreads);
  std::atomic<bool> broken{false};
  std::vector<std::thread> threads;
  for (int number = 0; number != kThreads; ++number) {
    threads.emplace_back([&, number] {
      std::mt19937 random(static_cast<unsigned>(number));
      for (int step = 0; step != kSteps; ++step) {
        Shelf& shelf = shelves[random() % kThreads];
        const size_t size = random() % 20 == 0 ? random() % 100000 + 1 : random() % 500 + 1;
        const Block block = make_block(size, static_cast<unsigned char>(size));
        Block taken{nullptr, 0};
        {
          const std::lock_guard<std::mutex> locked(shelf.mutex);
          shelf.blocks.push_back(block);
          if (shelf.blocks.size() > 50) {
            taken = shelf.blocks.front();
            shelf.blocks.pop_front();
          }
        }
        if (taken.start != nullptr) {
          if (!holds(taken, static_cast<unsigned char>(taken.size))) broken.store(true);
          if (random() % 4 == 0)
            taken.start = opaque(static_cast<unsigned char*>(realloc(taken.start, taken.size * 2)));
          free(taken.start);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(broken.load());
  for (Shelf& shelf : shelves) {
    for (const Block& block : shelf.blocks) {
      EXPECT_TRUE(holds(block, static_cast<unsigned char>(block.size)));
      free(block.start);
    }
  }
}

TEST(Threads, a_thousand_alive_at_once) {
  constexpr size_t kThreads = 1000;
  std::vector<pthread_t> threads(kThreads);
  static pthread_barrier_t all_are_here;
  pthread_barrier_init(&all_are_here, nullptr, kThreads);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  for (pthread_t& thread : threads) {
    ASSERT_EQ(pthread_create(
                  &thread, &attributes,
                  [](void*) -> void* {
                    void* const pointer = opaque(malloc(100));
                    pthread_barrier_wait(&all_are_here);
                    free(pointer);
                    return nullptr;
                  },
                  nullptr),
              0);
  }
  for (const pthread_t thread : threads) pthread_join(thread, nullptr);
  pthread_barrier_destroy(&all_are_here);
  pthread_attr_destroy(&attributes);
}

}  // namespace

int main(int argc, char** argv) {
  conformance::begin();
  testing::InitGoogleTest(&argc, argv);
  if (argc > 1) g_short_threads = atoi(argv[1]);
  return RUN_ALL_TESTS();
}
