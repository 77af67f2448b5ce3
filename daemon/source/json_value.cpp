#include "daemon/source/json_value.hpp"

#include <fmt/format.h>

namespace ipvsd {
namespace {

std::string describe(const std::optional<simdjson::dom::element>& element) {
  if (!element) return "nothing";
  if (element->is_object()) return "an object";
  if (element->is_array()) return "a list";
  const std::string text = simdjson::minify(*element);
  if (text.size() <= 64) return text;
  // Cut between characters: the text goes to logs and to Events, which want UTF-8.
  std::size_t end = 64;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

void Reading::warn(const std::string& path, std::string_view text) {
  if (warnings_.size() < warning_limit)
    warnings_.push_back(path.empty() ? std::string(text) : fmt::format("{}: {}", path, text));
  else
    ++unsaid_;
}

std::vector<std::string> Reading::take_warnings() {
  if (unsaid_ > 0) warnings_.push_back(fmt::format("and {} more", unsaid_));
  unsaid_ = 0;
  return std::move(warnings_);
}

JsonValue JsonValue::field(std::string_view key) const& {
  simdjson::dom::element element;
  simdjson::dom::object object;
  if (!element_) return {*this, key, 0};
  if (element_->get(object) != simdjson::SUCCESS) {
    refuse_type("an object");
    return {*this, key, 0};
  }
  if (object.at_key(key).get(element) != simdjson::SUCCESS) return {*this, key, 0};
  return {*this, key, 0, element};
}

bool JsonValue::has(std::string_view key) const {
  simdjson::dom::object object;
  return element_ && element_->get(object) == simdjson::SUCCESS && object.at_key(key).error() == simdjson::SUCCESS;
}

std::string_view JsonValue::text() const {
  std::string_view text;
  if (element_ && element_->get(text) != simdjson::SUCCESS) refuse_type("a string");
  return text;
}

std::string_view JsonValue::name() const {
  const auto name = text();
  if (name.size() <= name_limit) return name;
  refuse(fmt::format("expected at most {} characters, got {}", name_limit, name.size()));
  return {};
}

std::optional<bool> JsonValue::boolean() const {
  bool value = false;
  if (!element_) return {};
  if (element_->get(value) == simdjson::SUCCESS) return value;
  refuse_type("true or false");
  return {};
}

std::optional<std::int64_t> JsonValue::integer(std::int64_t min, std::int64_t max) const {
  std::int64_t value = 0;
  if (!element_) return {};
  if (element_->get(value) == simdjson::SUCCESS && value >= min && value <= max) return value;
  refuse_type(fmt::format("an integer from {} to {}", min, max));
  return {};
}

Port JsonValue::port(std::int64_t min) const {
  return Port{static_cast<std::uint16_t>(integer(min, 65535).value_or(0))};
}

std::size_t JsonValue::size() const {
  simdjson::dom::array array;
  if (!element_ || element_->get_array().get(array) != simdjson::SUCCESS) return 0;
  return array.size();
}

std::optional<simdjson::dom::array> JsonValue::list(std::size_t limit) const {
  simdjson::dom::array array;
  if (!element_) return {};
  if (element_->get(array) != simdjson::SUCCESS) {
    refuse_type("a list");
    return {};
  }
  // size() saturates at 2^24 - 1, far above any limit.
  if (array.size() > limit) {
    refuse(fmt::format("expected at most {} elements, got {}", limit, array.size()));
    return {};
  }
  return array;
}

std::string JsonValue::path() const {
  if (parent_ == nullptr) return {};
  std::string path = parent_->path();
  if (key_.empty()) return path + fmt::format("[{}]", index_);
  return path.empty() ? std::string(key_) : fmt::format("{}.{}", path, key_);
}

void JsonValue::refuse_type(std::string_view what) const {
  refuse(fmt::format("expected {}, got {}", what, describe(element_)));
}

}  // namespace ipvsd
