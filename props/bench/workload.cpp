// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Something to compile, for ci/bench: much of the standard library and many instantiations.
#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <ranges>
#include <regex>
#include <string>
#include <tuple>
#include <unordered_map>
#include <variant>
#include <vector>

template <int N>
struct Level {
  std::map<std::string, std::vector<std::tuple<int, std::string, std::optional<double>>>> rows;
  std::unordered_map<int, std::shared_ptr<Level<N - 1>>> below;
  std::variant<int, std::string, std::vector<int>> value{N};

  int visit(const std::function<int(int)>& use) const {
    int sum = std::visit([](const auto& held) { return static_cast<int>(sizeof held); }, value);
    for (const auto& [name, row] : rows) sum += use(static_cast<int>(name.size() + row.size()));
    for (const auto& [key, next] : below) sum += key + next->visit(use);
    return sum;
  }
};
template <>
struct Level<0> {
  int visit(const std::function<int(int)>& use) const { return use(0); }
};

int main() {
  const std::regex pattern("([a-z]+)=([0-9]+)");
  std::smatch match;
  std::string text = "width=42";
  int sum = std::regex_match(text, match, pattern) ? std::stoi(match[2]) : 0;
  auto even = std::views::iota(1, 100) | std::views::filter([](int i) { return i % 2 == 0; }) |
              std::views::transform([](int i) { return i * i; });
  for (const int value : even) sum += value;
  std::vector<std::string> words{"c", "a", "b"};
  std::ranges::sort(words);
  std::cout << sum + Level<12>{}.visit([](int i) { return i; }) << words.front() << '\n';
}
