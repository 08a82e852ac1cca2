// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/constants.hpp"

#include <algorithm>
#include <cstdlib>

#include "os/report.hpp"

namespace stave {

void Constants::derive() {
  contents.zero_size_faults = options.zero_size_faults != 0;
  contents.exact = options.exact_size != 0;
  contents.families = options.family != 0;
  contents.sized = options.sized_free != kSizedOff;
  contents.sized_exactly = contents.exact && options.sized_free == kSizedExact;
  shapes = class_shapes(page, contents.exact);
  contents.zero_mask = options.zero_on_free != 0 ? ~std::uint64_t{0} : 0;
  contents.canary_need = options.canary != kCanaryOff ? kCanaryBytes : kLargestSlot + 1;
  contents.canary_extra = options.canary == kCanaryAlways ? kCanaryBytes : 0;
  contents.find_writes = options.write_after_free != 0 && options.zero_on_free != 0;
  contents.neighbours = options.neighbours != 0 && options.canary != kCanaryOff;
  contents.vectors = vectors_here();
  contents.watchful = contents.neighbours || contents.exact || contents.families;
  const bool all_sampled = options.sample_interval == 1;
  const bool more = contents.canary_extra != 0 || contents.find_writes || contents.watchful || all_sampled;
  contents.fast_limit = more ? 0 : kFrequentSize;
  for (SizeClass cls = 0; cls != kClassCount; ++cls) {
    const std::uint32_t count = shapes[cls].slot_count;
    const std::uint64_t limits[] = {options.quarantine_slots, (options.quarantine_size_kb << 10) / kSlotSizes[cls],
                                    count / 8};
    const std::uint64_t hold = std::ranges::min(limits);
    const std::uint32_t choice = std::clamp<std::uint32_t>(count / 8, 1, 8);
    holds[cls] = static_cast<std::uint8_t>(hold);
    few[cls] = static_cast<std::uint8_t>(choice);
    // More are available than all words together may hold back: so one word has some to offer.
    const std::uint64_t usable = hold * shapes[cls].line_count() + choice;
    usable_at[cls] = static_cast<std::uint16_t>(std::clamp<std::uint64_t>(usable, 1, count));
  }
}

void Constants::draw_keys(Random& random) {
  for (Key* const key : {&keys.bitmap, &keys.header, &keys.record, &contents.canary}) {
    *key = {random.take64(), random.take64()};
  }
  // Not of the canary's key: whoever reads behind his allocation learns it. 0x80 to 0xfe: no byte that overflows often.
  contents.slack_word = (0x80 + random.below(0x7f)) * 0x0101'0101'0101'0101;
}

void Constants::die(const FaultRecord& record) const {
  if (on_fault != nullptr) {
    on_fault(context, record);
    std::abort();  // on_fault broke its contract
  }
  report_and_abort(record);
}

}  // namespace stave
