#include "daemon/source/common_names.hpp"

#include <fmt/format.h>

#include <iterator>

namespace ipvsd {
namespace {

// More than the nodes of the largest clusters. Beyond it all is forgotten: nothing but room depends on it.
constexpr std::size_t known_limit = 16384;

}  // namespace

Shared<std::string> CommonNames::name(std::string_view text) {
  if (text.empty()) return {};
  if (const auto known = names_.find(text); known != names_.end()) return known->second;
  if (names_.size() >= known_limit) names_.clear();
  return names_.emplace(text, Shared(std::string(text))).first->second;
}

Shared<std::vector<std::string>> CommonNames::list(const std::vector<std::string_view>& texts) {
  if (texts.empty()) return {};
  key_.clear();
  for (const auto text : texts) fmt::format_to(std::back_inserter(key_), "{} {}", text.size(), text);
  if (const auto known = lists_.find(key_); known != lists_.end()) return known->second;
  if (lists_.size() >= known_limit) lists_.clear();
  return lists_.emplace(key_, Shared(std::vector<std::string>(texts.begin(), texts.end()))).first->second;
}

}  // namespace ipvsd
