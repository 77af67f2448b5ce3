// The names that come again and again in a list of EndpointSlices, each held once.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "model/shared.hpp"

namespace ipvsd {

// One thread; what it hands out may live longer, and anywhere.
class CommonNames {
 public:
  [[nodiscard]] Shared<std::string> name(std::string_view text);
  [[nodiscard]] Shared<std::vector<std::string>> list(const std::vector<std::string_view>& texts);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  template <class T>
  using Known = std::unordered_map<std::string, Shared<T>, Hash, std::equal_to<>>;

  Known<std::string> names_;
  Known<std::vector<std::string>> lists_;  // by their texts, each with its length before it
  std::string key_;
};

}  // namespace ipvsd
