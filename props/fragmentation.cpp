// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// The argument for buckets in numbers: a Stave instance, a buddy allocator and a first-fit one serve the same recorded
// requests; what they cost is measured, not computed.
//
//   requested   bytes that the program has asked for and not freed
//   blocks      bytes of the slots or blocks that hold them, headers included: blocks / requested - 1 is internal loss
//   resident    bytes of memory that the kernel has behind the heap's region: resident / blocks - 1 is external loss,
//               with the allocator's own metadata in the region
//
// Every page of every allocation is written when it is handed out, as programs do.
#include <sys/mman.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "props/buddy.hpp"
#include "props/first_fit.hpp"
#include "props/stave_heap.hpp"
#include "props/trace.hpp"

namespace {

using namespace stave::props;
using nlohmann::ordered_json;

constexpr std::size_t kPage = 4096;
constexpr std::size_t kRegion = std::size_t{1} << 30U;
constexpr int kBadInput = 2;

/// An allocator as the replay sees it.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual void* allocate(std::size_t size) = 0;
  virtual void* reallocate(void* pointer, std::size_t size) = 0;
  virtual void deallocate(void* pointer) = 0;
  virtual std::size_t block_bytes(void* pointer) = 0;
  virtual void trim() = 0;
  virtual std::size_t resident() = 0;
};

std::size_t resident_bytes(char* start, std::size_t bytes) {
  static std::vector<unsigned char> pages(kRegion / kPage);
  if (mincore(start, bytes, pages.data()) != 0) return 0;
  const auto end = pages.begin() + static_cast<std::ptrdiff_t>(bytes / kPage);
  return kPage * static_cast<std::size_t>(
                     std::count_if(pages.begin(), end, [](unsigned char page) { return (page & 1U) != 0; }));
}

template <class H>
class SubjectOf final : public Subject {
 public:
  explicit SubjectOf(unsigned profile) : heap_(HeapSetup{kRegion, 1, profile, false, 1}) {}
  void* allocate(std::size_t size) override { return heap_.allocate(0, size); }
  void* reallocate(void* pointer, std::size_t size) override { return heap_.reallocate(0, pointer, size); }
  void deallocate(void* pointer) override { heap_.deallocate(0, pointer); }
  std::size_t block_bytes(void* pointer) override {
    if constexpr (requires { heap_.block_bytes(pointer); }) {
      return heap_.block_bytes(pointer);
    } else {
      return heap_.usable_size(0, pointer);  // a slot has no header
    }
  }
  void trim() override { heap_.trim(0); }
  std::size_t resident() override { return resident_bytes(heap_.region(), heap_.region_bytes()); }

 private:
  H heap_;
};

struct Maker {
  const char* name;
  std::unique_ptr<Subject> (*make)(unsigned profile);
};
template <class H>
std::unique_ptr<Subject> make(unsigned profile) {
  return std::make_unique<SubjectOf<H>>(profile);
}
constexpr Maker kMakers[] = {{"bucket", make<StaveHeap>}, {"buddy", make<Buddy>}, {"first_fit", make<FirstFit>}};

struct Sample {
  std::size_t event = 0;
  std::uint64_t requested = 0;
  std::uint64_t blocks = 0;
  std::uint64_t resident = 0;
};

void touch(void* pointer, std::size_t size) {
  auto* const bytes = static_cast<volatile char*>(pointer);
  for (std::size_t i = 0; i < size; i += kPage) bytes[i] = 1;
  if (size != 0) bytes[size - 1] = 1;
}

/// The live allocations of a replay.
class Replay {
 public:
  explicit Replay(Subject& subject) : subject_(subject) {}

  void allocate(std::size_t size) { enter(subject_.allocate(size), size); }
  void free(std::uint32_t number) {
    leave(number);
    subject_.deallocate(live_[number].address);
    live_[number] = {};
  }
  void resize(std::uint32_t number, std::size_t size) {
    leave(number);
    void* const old = live_[number].address;
    live_[number] = {};
    // realloc to nothing frees; the trace has the number all the same.
    enter(size == 0 ? (subject_.deallocate(old), subject_.allocate(0)) : subject_.reallocate(old, size), size);
  }
  void free_all() {
    for (std::uint32_t number = 0; number < live_.size(); ++number) {
      if (live_[number].address != nullptr) free(number);
    }
  }
  [[nodiscard]] std::uint32_t count() const { return static_cast<std::uint32_t>(live_.size()); }
  [[nodiscard]] Sample sample(std::size_t event) const { return {event, requested_, blocks_, subject_.resident()}; }
  [[nodiscard]] std::uint64_t requested() const { return requested_; }

 private:
  struct Live {
    void* address = nullptr;
    std::size_t size = 0;
    std::size_t block = 0;
  };

  void enter(void* address, std::size_t size) {
    if (address == nullptr) {
      std::cerr << "an allocator refused " << size << " bytes\n";
      std::exit(1);
    }
    touch(address, size);
    live_.push_back({address, size, subject_.block_bytes(address)});
    requested_ += size;
    blocks_ += live_.back().block;
  }
  void leave(std::uint32_t number) {
    requested_ -= live_[number].size;
    blocks_ -= live_[number].block;
  }

  Subject& subject_;
  std::vector<Live> live_;
  std::uint64_t requested_ = 0;
  std::uint64_t blocks_ = 0;
};

double ratio(std::uint64_t a, std::uint64_t b) { return b == 0 ? 0 : static_cast<double>(a) / static_cast<double>(b); }

/// Index of the event at which the program held most.
std::size_t peak_of(const Trace& trace) {
  std::vector<std::uint64_t> sizes;
  std::uint64_t live = 0;
  std::uint64_t most = 0;
  std::size_t at = 0;
  for (std::size_t i = 0; i < trace.events.size(); ++i) {
    const TraceEvent& event = trace.events[i];
    if (event.kind == TraceKind::free_event || event.kind == TraceKind::realloc_event) live -= sizes[event.subject];
    if (event.kind != TraceKind::free_event) {
      sizes.push_back(event.size);
      live += event.size;
    }
    if (live > most) {
      most = live;
      at = i;
    }
  }
  return at;
}

/// Replays a trace. What is measured at the peak is measured when the program held most, whatever the samples.
ordered_json replay_trace(const Trace& trace, const Maker& maker, unsigned profile, std::size_t samples,
                          ordered_json& requested) {
  const std::size_t peak_event = peak_of(trace);
  const auto subject = maker.make(profile);
  Replay replay(*subject);
  ordered_json footprint = ordered_json::array();
  requested = ordered_json::array();
  Sample peak;
  std::uint64_t peak_resident = 0;
  const std::size_t stride = std::max<std::size_t>(1, trace.events.size() / std::max<std::size_t>(samples, 1));
  for (std::size_t i = 0; i < trace.events.size(); ++i) {
    const TraceEvent& event = trace.events[i];
    switch (event.kind) {
      case TraceKind::malloc_event:
      case TraceKind::calloc_event:
        replay.allocate(event.size);
        break;
      case TraceKind::realloc_event:
        replay.resize(event.subject, event.size);
        break;
      case TraceKind::free_event:
        replay.free(event.subject);
        break;
    }
    if (i % stride == 0 || i == peak_event || i + 1 == trace.events.size()) {
      const Sample sample = replay.sample(i);
      footprint.push_back({i, sample.resident});
      requested.push_back({i, sample.requested});
      peak_resident = std::max(peak_resident, sample.resident);
      if (i == peak_event) peak = sample;
    }
  }
  const Sample end = replay.sample(trace.events.size());
  replay.free_all();
  const std::uint64_t freed = subject->resident();
  subject->trim();
  const std::uint64_t trimmed = subject->resident();
  // The unused end of a block may be on pages that nobody touched: what is not resident is not lost.
  const std::uint64_t in_blocks = std::min(peak.blocks, peak.resident);
  const std::uint64_t in_use = std::min(peak.requested, in_blocks);
  return {{"internal", ratio(in_blocks - in_use, peak.resident)},
          {"external", ratio(peak.resident - in_blocks, peak.resident)},
          {"peak", peak_resident},
          {"end", freed},
          {"end_trimmed", trimmed},
          {"requested_at_peak", peak.requested},
          {"blocks_at_peak", peak.blocks},
          {"resident_at_peak", peak.resident},
          {"resident_at_end", end.resident},
          {"footprint", footprint}};
}

/// The worst case of power-of-two blocks: so many requests of exactly `size` bytes, all live.
ordered_json power_of_two(std::size_t size, const Maker& maker, unsigned profile) {
  const auto subject = maker.make(profile);
  Replay replay(*subject);
  const std::size_t count = (std::size_t{8} << 20U) / size;
  for (std::size_t i = 0; i < count; ++i) replay.allocate(size);
  const Sample sample = replay.sample(count);
  return {{"allocator", maker.name},
          {"request", size},
          {"count", count},
          {"blocks_per_requested", ratio(sample.blocks, sample.requested)},
          {"resident_per_requested", ratio(sample.resident, sample.requested)}};
}

/// A peak of 64 MiB in mixed sizes, of which every `keep`-th allocation stays: what goes back to the kernel.
ordered_json after_peak(std::uint32_t keep, const Maker& maker, unsigned profile) {
  const auto subject = maker.make(profile);
  Replay replay(*subject);
  std::mt19937_64 random(1);
  while (replay.requested() < (std::uint64_t{64} << 20U)) {
    const unsigned power = 4 + static_cast<unsigned>(random() % 12);
    replay.allocate((std::size_t{1} << power) + random() % (std::size_t{1} << power));
  }
  const Sample peak = replay.sample(0);
  std::vector<std::uint32_t> gone;
  for (std::uint32_t i = 0; i < replay.count(); ++i) {
    if (i % keep != 0) gone.push_back(i);
  }
  std::shuffle(gone.begin(), gone.end(), random);
  for (const std::uint32_t number : gone) replay.free(number);
  const Sample freed = replay.sample(1);
  subject->trim();
  const Sample trimmed = replay.sample(2);
  return {{"allocator", maker.name},
          {"kept_every", keep},
          {"requested_at_peak", peak.requested},
          {"resident_at_peak", peak.resident},
          {"requested_after", freed.requested},
          {"resident_after_free", freed.resident},
          {"resident_after_trim", trimmed.resident}};
}

std::vector<std::uint8_t> read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::cerr << path << ": cannot be opened\n";
    std::exit(kBadInput);
  }
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return {text.begin(), text.end()};
}

Trace read_trace(const std::string& path) {
  Trace trace;
  TraceError error;
  if (!decode_trace(read_file(path), trace, error)) {
    std::cerr << path << ": " << to_text(error) << "\n";
    std::exit(kBadInput);
  }
  trace.name = std::filesystem::path(path).stem().string();
  return trace;
}

int convert(const std::string& from, const std::string& to, std::size_t limit) {
  const std::vector<std::uint8_t> bytes = read_file(from);
  if (bytes.empty() || bytes.size() % sizeof(RawEvent) != 0) {
    std::cerr << from << ": is not the recorder's output\n";
    return kBadInput;
  }
  std::vector<RawEvent> raw(bytes.size() / sizeof(RawEvent));
  std::memcpy(raw.data(), bytes.data(), bytes.size());
  const Trace trace = trace_from_raw(raw, limit);
  std::vector<std::uint8_t> out;
  encode_trace(trace, out);
  std::ofstream file(to, std::ios::binary);
  file.write(reinterpret_cast<const char*>(out.data()), static_cast<std::streamsize>(out.size()));
  if (!file.flush()) {
    std::cerr << to << ": cannot be written\n";
    return kBadInput;
  }
  std::cout << to << ": " << trace.events.size() << " events, " << out.size() << " bytes\n";
  return 0;
}

/// A flat table of everything but the samples: one line per measurement.
void print_csv(const ordered_json& result) {
  std::cout << "workload,allocator,measure,value\n";
  const auto row = [](const std::string& workload, const std::string& allocator, const ordered_json& values) {
    for (const auto& [measure, value] : values.items()) {
      if (value.is_number()) std::cout << workload << "," << allocator << "," << measure << "," << value << "\n";
    }
  };
  for (const auto& trace : result["traces"]) {
    for (const auto& [allocator, values] : trace["allocators"].items()) {
      row("trace:" + trace["name"].get<std::string>(), allocator, values);
    }
  }
  for (const auto& entry : result["power_of_two"]) {
    row("power_of_two:" + std::to_string(entry["request"].get<std::size_t>()), entry["allocator"], entry);
  }
  for (const auto& entry : result["after_peak"]) {
    row("after_peak:" + std::to_string(entry["kept_every"].get<std::size_t>()), entry["allocator"], entry);
  }
}

/// The claims of the design that these numbers must bear out. Returns how many do not hold.
int check(const ordered_json& result) {
  int broken = 0;
  const auto claim = [&](bool holds, const std::string& what) {
    std::cerr << (holds ? "holds:  " : "BROKEN: ") << what << "\n";
    broken += holds ? 0 : 1;
  };
  for (const auto& trace : result["traces"]) {
    const auto loss = [&](const char* allocator) {
      const auto& values = trace["allocators"][allocator];
      return ratio(values["blocks_at_peak"], values["requested_at_peak"]);
    };
    claim(loss("bucket") < loss("buddy"),
          trace["name"].get<std::string>() + ": buckets lose less inside of blocks than a buddy allocator");
  }
  for (const auto& entry : result["power_of_two"]) {
    const std::string request = std::to_string(entry["request"].get<std::size_t>());
    if (entry["allocator"] == "bucket")
      claim(entry["blocks_per_requested"] <= 1.0, request + " bytes exactly: buckets lose nothing");
    if (entry["allocator"] == "buddy")
      claim(entry["blocks_per_requested"] >= 2.0, request + " bytes exactly: a buddy allocator doubles");
  }
  for (const auto& entry : result["after_peak"]) {
    if (entry["allocator"] != "bucket") continue;
    claim(entry["resident_after_trim"] < entry["resident_at_peak"],
          "of 64 MiB every " + std::to_string(entry["kept_every"].get<std::size_t>()) +
              ". allocation kept: buckets return memory");
  }
  return broken;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Fragmentation of buckets (a Stave instance), a buddy allocator and a first-fit one over recorded request "
      "traces.\n"
      "--json prints {\"traces\": [{\"name\", \"operations\", \"requested\": [[operation, bytes]...],\n"
      "\"allocators\": {\"bucket\"|\"buddy\"|\"first_fit\": {\"internal\", \"external\", \"peak\", \"end\", ...,\n"
      "\"footprint\": [[operation, bytes]...]}}}], \"power_of_two\": [...], \"after_peak\": [...]}. internal and "
      "external\n"
      "are fractions of the footprint at the moment when the program held most; end is what is resident after\n"
      "everything was freed. See props/trace.hpp for the format of traces and props/trace_recorder.cpp for how to\n"
      "record one.");
  std::vector<std::string> paths;
  bool json = false;
  bool csv = false;
  bool claims = false;
  std::size_t samples = 200;
  unsigned profile = 1;
  std::string raw;
  std::string to;
  std::size_t limit = 120000;
  app.add_option("trace", paths, "trace files; without any, those of corpus/traces");
  app.add_flag("--json", json, "print everything, samples over time included, as JSON");
  app.add_flag("--csv", csv, "print the summary as CSV (the default)");
  app.add_flag("--check", claims, "fail unless the design's claims hold");
  app.add_option("--samples", samples, "moments per trace at which memory is measured");
  app.add_option("--profile", profile, "profile of the Stave instance: light, default, strict, fuzz")
      ->transform(CLI::CheckedTransformer(
          std::map<std::string, unsigned>{{"light", 0}, {"default", 1}, {"strict", 2}, {"fuzz", 3}}));
  auto* const convert_option = app.add_option("--convert", raw, "make a trace of this output of the recorder");
  app.add_option("--to", to, "where the trace goes")->needs(convert_option);
  app.add_option("--limit", limit, "events of a converted trace, at most");
  try {
    app.parse(argc, argv);
    if (!raw.empty() && to.empty()) throw CLI::RequiredError("--to");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kBadInput;
  }
  if (!raw.empty()) return convert(raw, to, limit);

  // Huge pages would be counted whole for whoever touches one byte.
  prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  if (paths.empty()) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(STAVE_TRACES_DIR, error)) {
      if (entry.path().extension() == ".trace") paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());
    if (paths.empty()) {
      std::cerr << STAVE_TRACES_DIR << ": no traces\n";
      return kBadInput;
    }
  }
  ordered_json result;
  result["traces"] = ordered_json::array();
  for (const std::string& path : paths) {
    const Trace trace = read_trace(path);
    ordered_json entry = {{"name", trace.name}, {"operations", trace.events.size()}};
    for (const Maker& maker : kMakers) {
      ordered_json requested;
      entry["allocators"][maker.name] = replay_trace(trace, maker, profile, samples, requested);
      entry["requested"] = requested;
    }
    result["traces"].push_back(entry);
  }
  for (const std::size_t size : {std::size_t{64}, std::size_t{1024}, std::size_t{4096}}) {
    for (const Maker& maker : kMakers) result["power_of_two"].push_back(power_of_two(size, maker, profile));
  }
  for (const std::uint32_t keep : {10U, 1000U, 1000000U}) {
    for (const Maker& maker : kMakers) result["after_peak"].push_back(after_peak(keep, maker, profile));
  }
  if (json) std::cout << result.dump(1) << "\n";
  if (csv || (!json && !claims)) print_csv(result);
  return claims && check(result) != 0 ? 1 : 0;
}
