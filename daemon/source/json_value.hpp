// A cursor over a parsed JSON object that knows where it stands, so that a decoder reads straight through and the
// message names the field. The first refused field ends up in the Reading; what follows it reads as absent.
//
// Null and missing are the same thing, as they are to the API server.
#pragma once

#include <simdjson.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/ip.hpp"

namespace ipvsd {

// What was wrong with one object.
class Reading {
 public:
  struct Refusal {
    std::string path;
    std::string text;
  };

  void refuse(std::string path, std::string text) {
    if (!refusal_) refusal_ = Refusal{std::move(path), std::move(text)};
  }
  // At most warning_limit are kept; a last one counts the rest.
  void warn(const std::string& path, std::string_view text);

  [[nodiscard]] bool refused() const { return refusal_.has_value(); }
  [[nodiscard]] const Refusal& refusal() const { return *refusal_; }
  [[nodiscard]] std::vector<std::string> take_warnings();

 private:
  static constexpr std::size_t warning_limit = 20;
  std::optional<Refusal> refusal_;
  std::vector<std::string> warnings_;
  std::size_t unsaid_ = 0;
};

// Refers to its parent and to the document: both outlive it, and a temporary has no fields.
class JsonValue {
 public:
  static constexpr std::size_t name_limit = 253;  // DNS subdomain, the longest name of the API
  static constexpr std::size_t list_limit = 10000;

  JsonValue(Reading& reading, simdjson::dom::element root) : reading_(&reading), element_(root) {}

  // Refuses what is there but no object.
  [[nodiscard]] JsonValue field(std::string_view key) const&;
  JsonValue field(std::string_view key) const&& = delete;

  [[nodiscard]] bool present() const { return element_.has_value(); }
  // Whether the object has the key, be its value null.
  [[nodiscard]] bool has(std::string_view key) const;

  // The accessors refuse another type or a value out of range; absent (or refused) is "" or empty.
  [[nodiscard]] std::string_view text() const;
  [[nodiscard]] std::string_view name() const;  // text of at most name_limit bytes
  [[nodiscard]] std::optional<bool> boolean() const;
  [[nodiscard]] std::optional<std::int64_t> integer(std::int64_t min, std::int64_t max) const;
  // 0 if absent.
  [[nodiscard]] Port port(std::int64_t min) const;

  // Of a list; 0 for all else.
  [[nodiscard]] std::size_t size() const;
  // Calls `visit(const JsonValue&)` for each element; refuses more than `limit`.
  template <class Visit>
  void each(Visit&& visit, std::size_t limit = list_limit) const {
    const auto array = list(limit);
    if (!array) return;
    std::size_t index = 0;
    for (const auto element : *array) {
      visit(JsonValue(*this, {}, index++, element));
      if (reading_->refused()) return;
    }
  }

  [[nodiscard]] std::string path() const;  // "spec.ports[0].port"
  void refuse(std::string text) const { reading_->refuse(path(), std::move(text)); }
  // "expected WHAT, got ...".
  void refuse_type(std::string_view what) const;
  void warn(std::string_view text) const { reading_->warn(path(), text); }

 private:
  JsonValue(const JsonValue& parent, std::string_view key, std::size_t index)
      : reading_(parent.reading_), parent_(&parent), key_(key), index_(index) {}
  JsonValue(const JsonValue& parent, std::string_view key, std::size_t index, simdjson::dom::element element)
      : JsonValue(parent, key, index) {
    if (!element.is_null()) element_ = element;
  }
  [[nodiscard]] std::optional<simdjson::dom::array> list(std::size_t limit) const;

  Reading* reading_;
  const JsonValue* parent_ = nullptr;
  std::string_view key_;  // empty: an element of a list
  std::size_t index_ = 0;
  std::optional<simdjson::dom::element> element_;
};

}  // namespace ipvsd
