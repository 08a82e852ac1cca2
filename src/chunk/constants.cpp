// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "chunk/constants.hpp"

#include <bit>
#include <cstdlib>

#include "os/report.hpp"

namespace stave {

void Constants::derive() {
  shapes = class_shapes(page);
  ring_total = 0;
  for (SizeClass cls = 0; cls != kClassCount; ++cls) {
    const std::uint64_t by_bytes = (options.quarantine_size_kb << 10) / kSlotSizes[cls];
    const std::uint64_t wanted = by_bytes < options.quarantine_slots ? by_bytes : options.quarantine_slots;
    const auto length = static_cast<std::uint32_t>(std::bit_floor(wanted < 1 ? 1 : wanted));
    ring_masks[cls] = static_cast<std::uint8_t>(length - 1);
    ring_offsets[cls] = static_cast<std::uint16_t>(ring_total);
    ring_total += length;
  }
}

void Constants::die(const FaultRecord& record) const {
  if (on_fault != nullptr) {
    on_fault(context, record);
    std::abort();  // on_fault broke its contract
  }
  report_and_abort(record);
}

}  // namespace stave
