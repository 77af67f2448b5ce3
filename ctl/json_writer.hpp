// Writes JSON text member by member: a dump of 100,000 destinations has no time to build values first. Pure.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <string>
#include <string_view>

namespace ipvsd::ctl {

class JsonWriter {
 public:
  // Appends to `out`, which outlives this.
  explicit JsonWriter(std::string& out) : out_(out) {}

  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }

  // Of the next value.
  JsonWriter& key(std::string_view name) {
    separate();
    (out_ += '"').append(name) += "\":";
    fresh_ = true;
    return *this;
  }
  // Bytes that are no UTF-8 are replaced.
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(bool truth) {
    separate();
    out_ += truth ? "true" : "false";
    return *this;
  }
  template <std::integral T>
  JsonWriter& value(T number) {
    separate();
    const fmt::format_int digits(number);
    out_.append(digits.data(), digits.size());
    return *this;
  }
  template <class T>
  JsonWriter& member(std::string_view name, const T& of) {
    return key(name).value(of);
  }

 private:
  JsonWriter& open(char bracket) {
    separate();
    out_ += bracket;
    fresh_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {
    out_ += bracket;
    fresh_ = false;
    return *this;
  }
  void separate() {
    if (!fresh_) out_ += ',';
    fresh_ = false;
  }

  std::string& out_;
  bool fresh_ = true;  // no comma goes before the next value
};

}  // namespace ipvsd::ctl
