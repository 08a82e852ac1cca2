// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// chances <profile> <tries> <seed>: plays attacks, each try against a heap of its own, and prints how often each
// succeeded:
// {"profile": name, "tries": n, "successes": {attack: count, ...}}. ci/probabilities has a sentence for each attack,
// and makes a table of SECURITY.md of the counts. The same arguments give the same counts.
#include <algorithm>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heap/test_instance.hpp"

namespace stave {
namespace {

using test::Place;
using test::TestHeap;

constexpr unsigned kProgram = 0;
constexpr std::size_t kSmall = 64;       // fills its slot, unless there is always a canary
constexpr std::size_t kWithRoom = 100;   // leaves room for a canary
constexpr std::size_t kOtherSize = 128;  // of another class than kSmall, whatever the profile
constexpr std::size_t kLarge = std::size_t{1} << 20;

/// The attacker's dice (splitmix64): not the allocator's, so that neither disturbs the other.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t operator()() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

class Counts {
 public:
  void count(std::string_view attack, bool success) {
    for (auto& [name, successes] : counts_) {
      if (name == attack) {
        successes += success ? 1 : 0;
        return;
      }
    }
    counts_.emplace_back(attack, success ? 1 : 0);
  }
  void print() const {
    const char* separator = "";
    for (const auto& [name, successes] : counts_) {
      std::printf("%s\"%s\": %zu", separator, name.c_str(), successes);
      separator = ", ";
    }
  }

 private:
  std::vector<std::pair<std::string, std::size_t>> counts_;  // in the order in which they were first counted
};

char* get(TestHeap& heap, std::size_t size) {
  auto* const object = static_cast<char*>(heap.allocate(kProgram, size));
  if (object == nullptr) {
    std::fprintf(stderr, "chances: out of memory\n");
    std::abort();
  }
  return object;
}

/// What a program has done before the attack: it allocated some hundred objects of one size, and freed a third of them.
std::vector<char*> use(TestHeap& heap, Dice& program, std::size_t size) {
  std::vector<char*> live(200 + program() % 256);
  for (char*& object : live) object = get(heap, size);
  std::erase_if(live, [&](char* object) {
    if (program() % 3 != 0) return false;
    heap.deallocate(kProgram, object);
    return true;
  });
  return live;
}

bool overlap(const char* a, const char* b, std::size_t size_of_a, std::size_t size_of_b) {
  return a < b + size_of_b && b < a + size_of_a;
}

// --- where objects lie
// ------------------------------------------------------------------------------------------------

void spray(Counts& counts, const Options& options, Dice& dice) {
  TestHeap heap({.seed = dice(), .options = options});
  use(heap, dice, kSmall);
  const char* const victim = get(heap, kSmall);
  const std::ptrdiff_t slot = kSlotSizes[heap.place_of(victim).cls];
  int behind = 256;  // the number of the sprayed object that lies there
  int distant = 256;
  for (int i = 0; i != 256; ++i) {
    const char* const sprayed = get(heap, kSmall);
    if (sprayed == victim + slot) behind = i;
    if (sprayed == victim + 64 * slot) distant = i;
  }
  counts.count("next_behind", behind == 0);
  counts.count("spray_16_behind", behind < 16);
  counts.count("spray_256_behind", behind < 256);
  counts.count("spray_256_distant", distant < 256);
}

/// Who counts what he allocates knows when the word that serves has few slots left.
void chosen_moment(Counts& counts, const Options& options, Dice& dice) {
  TestHeap heap({.seed = dice(), .options = options});
  use(heap, dice, kSmall);
  const char* object = get(heap, kSmall);
  const SizeClass cls = heap.place_of(object).cls;
  while (__builtin_popcountll(heap.heap(kProgram).cursors[cls].offered()) != 2) object = get(heap, kSmall);
  const char* const first = get(heap, kSmall);
  counts.count("moment_behind", get(heap, kSmall) == first + kSlotSizes[cls]);
}

void distance_of_two_runs(Counts& counts, const Options& options, Dice& dice) {
  const std::uint64_t program = dice();
  std::ptrdiff_t distances[2];
  for (std::ptrdiff_t& distance : distances) {
    TestHeap heap({.seed = dice(), .options = options});
    Dice same(program);
    use(heap, same, kSmall);
    const char* const first = get(heap, kSmall);
    distance = get(heap, kSmall) - first;
  }
  counts.count("same_distance", distances[0] == distances[1]);
}

void large_blocks(Counts& counts, const Options& options, Dice& dice) {
  std::ptrdiff_t distances[2];
  bool reused = false;
  for (std::ptrdiff_t& distance : distances) {
    TestHeap heap({.units = 1 << 14, .seed = dice(), .options = options});
    char* const first = get(heap, kLarge);
    distance = get(heap, kLarge) - first;
    heap.deallocate(kProgram, first);
    reused = false;
    for (int i = 0; i != 64; ++i) reused |= overlap(get(heap, kLarge), first, kLarge, kLarge);
  }
  counts.count("large_same_distance", distances[0] == distances[1]);
  counts.count("large_reused_64", reused);
}

void reuse(Counts& counts, const Options& options, Dice& dice) {
  TestHeap heap({.seed = dice(), .options = options});
  use(heap, dice, kSmall);
  char* const freed = get(heap, kSmall);
  heap.deallocate(kProgram, freed);
  int reused = 1024;
  for (int i = 0; i != 1024 && reused == 1024; ++i) {
    if (get(heap, kSmall) == freed) reused = i;
  }
  counts.count("reused_1", reused < 1);
  counts.count("reused_nth_64", reused == 63);
  counts.count("reused_64", reused < 64);
  counts.count("reused_256", reused < 256);
  counts.count("reused_1024", reused < 1024);
}

void reuse_by_another_size(Counts& counts, const Options& options, Dice& dice) {
  TestHeap heap({.seed = dice(), .options = options});
  const std::vector<char*> stale = use(heap, dice, kSmall);
  for (char* const object : stale) heap.deallocate(kProgram, object);
  bool reused = false;
  for (int i = 0; i != 256; ++i) {
    const char* const object = get(heap, kOtherSize);
    for (const char* const freed : stale) reused |= overlap(object, freed, kOtherSize, kSmall);
  }
  counts.count("reused_other_size", reused);
}

// --- what the attacker writes
// -----------------------------------------------------------------------------------------

/// Whether the program frees the object, and nothing is noticed.
bool accepted(TestHeap& heap, char* object) {
  return !heap.fault_of([&] { heap.deallocate(kProgram, object); });
}

/// A program's heap of which no chunk is open: words have guard words, and headers are asked for their seals.
struct ClosedHeap : TestHeap {
  ClosedHeap(const Options& options, Dice& dice) : TestHeap({.seed = dice(), .options = options}) {
    live = use(*this, dice, kSmall);
    other = get(*this, kOtherSize);
    close_all(kProgram);
  }
  std::vector<char*> live;
  char* other;
};

void forge_header(Counts& counts, const Options& options, Dice& dice) {
  {  // A chunk is to belong to another heap.
    ClosedHeap heap(options, dice);
    char* const object = heap.live.front();
    (void)heap.allocate(kProgram + 1, kSmall);
    Chunk* const chunk = heap.place_of(object).chunk;
    chunk->owner = &heap.heap(kProgram + 1);
    chunk->seal = dice();
    counts.count("header_guessed", accepted(heap, object));
  }
  {  // And to be what another one is.
    ClosedHeap heap(options, dice);
    char* const object = heap.live.front();
    Chunk* const chunk = heap.place_of(object).chunk;
    const Chunk* const from = heap.place_of(heap.other).chunk;
    chunk->owner = from->owner;
    chunk->seal = from->seal;
    chunk->identity = from->identity;
    counts.count("header_copied", accepted(heap, object));
  }
}

/// Live, held and guard word, as somebody read them who could.
struct Triple {
  explicit Triple(const SlotLine* line) : live(line->live), held(line->held), guard(line->guard) {}
  void write(SlotLine* line) const {
    line->live = live;
    line->held = held;
    line->guard = guard;
  }
  std::uint64_t live;
  std::uint64_t held;
  std::uint64_t guard;
};

/// All else that tells whether an object is live. Its slot's content, without which a free finds no canary, is not
/// keyed to the time either.
class Traces {
 public:
  Traces(const TestHeap& heap, char* object)
      : line_(heap.place_of(object).line),
        canary_(line_->canary),
        object_(object),
        content_(object, object + kSlotSizes[heap.place_of(object).cls]) {}
  void write() const {
    line_->canary = canary_;
    std::memcpy(object_, content_.data(), content_.size());
  }

 private:
  SlotLine* line_;
  std::uint64_t canary_;
  char* object_;
  std::vector<char> content_;
};

/// An object that was freed is to be live again, so that its second free is accepted; in the end the other way round.
void forge_bitmap(Counts& counts, const Options& options, Dice& dice) {
  for (const bool guess : {true, false}) {
    ClosedHeap heap(options, dice);
    char* const object = heap.live.front();
    const Place place = heap.place_of(object);
    const Traces traces(heap, object);
    const Triple before(place.line);
    heap.deallocate(kProgram, object);
    heap.close_all(kProgram);
    traces.write();
    Triple forged(place.line);
    forged.live |= place.bit;
    forged.held &= ~place.bit;
    forged.guard = dice();
    (guess ? forged : before).write(place.line);
    counts.count(guess ? "bitmap_guessed" : "bitmap_replayed", accepted(heap, object));
  }
  {  // By the words of 64 other slots.
    ClosedHeap heap(options, dice);
    const Place from = heap.place_of(heap.live.front());
    const auto other = std::find_if(heap.live.begin(), heap.live.end(),
                                    [&](char* object) { return heap.place_of(object).line != from.line; });
    const Place to = heap.place_of(*other);
    auto* const object = static_cast<char*>(heap.slot_of(to, to.line_index * 64 + from.index % 64));
    Triple(from.line).write(to.line);
    counts.count("bitmap_copied", accepted(heap, object));
  }
  {  // While the chunk is open a copy lies elsewhere, for each word.
    TestHeap heap({.seed = dice(), .options = options});
    use(heap, dice, kSmall);
    const Place framed = heap.place_of(get(heap, kSmall));
    char* object = get(heap, kSmall);
    while (heap.place_of(object).line != framed.line) object = get(heap, kSmall);
    framed.line->live &= ~framed.bit;
    counts.count("bitmap_open", accepted(heap, object));
  }
}

void forge_canary(Counts& counts, const Options& options, Dice& dice) {
  TestHeap guessed({.seed = dice(), .options = options});
  char* const object = use(guessed, dice, kWithRoom).front();
  *canary_place(object, kSlotSizes[guessed.place_of(object).cls]) = dice() << 8;
  counts.count("canary_guessed", accepted(guessed, object));

  TestHeap copied({.seed = dice(), .options = options});
  const std::vector<char*> live = use(copied, dice, kWithRoom);
  const std::size_t slot = kSlotSizes[copied.place_of(live[0]).cls];
  *canary_place(live[0], slot) = *canary_place(live[1], slot);
  counts.count("canary_copied", accepted(copied, live[0]));
}

// --- overflows
// --------------------------------------------------------------------------------------------------------

sigjmp_buf g_after_touch;

void leave_touch(int /*signal*/) { siglongjmp(g_after_touch, 1); }

/// false: a guard was met. Out of line and without variables that change: a jump leaves nothing undefined.
[[gnu::noinline]] bool write_behind(char* end, std::size_t bytes) {
  if (sigsetjmp(g_after_touch, 1) != 0) return false;
  std::memset(end, 'A', bytes);
  return true;
}

void overflow(Counts& counts, const Options& options, Dice& dice, std::size_t bytes) {
  TestHeap heap({.seed = dice(), .options = options});
  const std::size_t size = 1 + dice() % 1024;
  use(heap, dice, size);
  char* const object = get(heap, size);
  const bool guard = !write_behind(object + size, bytes);
  const std::string attack = "overflow_" + std::to_string(bytes);
  if (bytes >= 4096) counts.count(attack + "_guard", guard);
  counts.count(attack + "_found", guard || !accepted(heap, object));
}

int run(Profile profile, std::uint64_t tries, std::uint64_t seed) {
  struct sigaction action = {};
  action.sa_handler = leave_touch;
  action.sa_flags = 0;
  if (sigaction(SIGSEGV, &action, nullptr) != 0) return 2;
  const Options options = options_of(profile);
  Counts counts;
  for (std::uint64_t n = 0; n != tries; ++n) {
    // A try is the same whatever is tried before it, and with however many others.
    Dice dice((seed + n) * 4 + static_cast<std::uint64_t>(profile));
    spray(counts, options, dice);
    chosen_moment(counts, options, dice);
    distance_of_two_runs(counts, options, dice);
    reuse(counts, options, dice);
    reuse_by_another_size(counts, options, dice);
    large_blocks(counts, options, dice);
    forge_header(counts, options, dice);
    forge_bitmap(counts, options, dice);
    forge_canary(counts, options, dice);
    for (const std::size_t bytes : {1, 16, 256, 4096, 65536}) overflow(counts, options, dice, bytes);
  }
  std::printf("{\"profile\": \"%s\", \"tries\": %llu, \"successes\": {", profile_name(profile),
              static_cast<unsigned long long>(tries));
  counts.print();
  std::printf("}}\n");
  return 0;
}

}  // namespace
}  // namespace stave

int main(int argc, char** argv) {
  if (argc == 4) {
    for (const stave::Profile profile : stave::test::kAllProfiles) {
      if (std::string_view(argv[1]) == stave::profile_name(profile)) {
        return stave::run(profile, std::strtoull(argv[2], nullptr, 10), std::strtoull(argv[3], nullptr, 10));
      }
    }
  }
  std::fprintf(stderr, "chances <profile> <tries> <seed>; profiles: %s\n", stave::profile_names());
  return 2;
}
