// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// realloc from every size that matters to every other, by the owner and by another thread, with every property checked.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include "fuzz/flat_model.hpp"
#include "props/generate.hpp"
#include "props/stave_heap.hpp"

namespace stave::props {
namespace {

std::vector<std::size_t> interesting_sizes() {
  std::vector<std::size_t> sizes = {0, 1};
  for (const std::size_t edge : stave_sizes().classes()) {
    sizes.push_back(edge);
    sizes.push_back(edge + 1);
  }
  for (const std::size_t large :
       {std::size_t{300000}, std::size_t{1} << 20U, (std::size_t{1} << 20U) + 1, std::size_t{5} << 20U}) {
    sizes.push_back(large);
  }
  return sizes;
}

class Realloc : public testing::TestWithParam<unsigned> {};

TEST_P(Realloc, keeps_contents_from_every_class_to_every_class) {
  Header header;
  header.profile = static_cast<std::uint8_t>(GetParam());
  header.threads = 2;
  StaveHeap heap(setup_for(header));
  const auto runner = std::make_unique<Runner<StaveHeap, fuzz::FlatModel>>(heap, stave_sizes(), Thoroughness::sampled);
  const std::vector<std::size_t> sizes = interesting_sizes();
  for (const std::size_t from : sizes) {
    HeapSetup setup = setup_for(header);
    setup.seed = from + 1;
    heap.reset(setup);
    runner->begin(header);
    for (const std::size_t to : sizes) {
      for (const std::uint8_t thread : {std::uint8_t{0}, std::uint8_t{1}}) {
        runner->step(Op{OpCode::malloc_op, 0, 0, 0, literal_size(from)});
        runner->step(Op{OpCode::realloc_op, thread, 0, 0, literal_size(to)});
        ASSERT_FALSE(runner->failure()) << from << " -> " << to << " by thread " << unsigned{thread} << ": "
                                        << runner->failure().rule << ": " << runner->failure().detail;
      }
    }
    runner->finish();
    ASSERT_FALSE(runner->failure()) << runner->failure().rule << ": " << runner->failure().detail;
  }
}

TEST_P(Realloc, of_one_block_through_random_sizes_keeps_every_property) {
  rc::detail::checkGTest([] {
    Header header;
    header.profile = static_cast<std::uint8_t>(GetParam());
    header.threads = 3;
    header.seed = *rc::gen::inRange<std::uint32_t>(1, 1U << 30U);
    StaveHeap heap(setup_for(header));
    Session<StaveHeap> session("realloc", heap, stave_sizes(), header);
    const auto steps = *rc::gen::container<std::vector<std::pair<std::uint8_t, std::uint32_t>>>(rc::gen::pair(
        rc::gen::inRange<std::uint8_t>(0, 3), size_argument(static_cast<unsigned>(stave_sizes().classes().size()))));
    for (const auto& [thread, argument] : steps) session.step(Op{OpCode::realloc_op, thread, 0, 0, argument});
    session.finish();
  });
}

constexpr const char* kProfileNames[] = {"light", "default", "strict", "fuzz"};
INSTANTIATE_TEST_SUITE_P(, Realloc, testing::Range(0U, 4U), [](const testing::TestParamInfo<unsigned>& profile) {
  return std::string(kProfileNames[profile.param]);
});

}  // namespace
}  // namespace stave::props
