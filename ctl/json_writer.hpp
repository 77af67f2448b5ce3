// Writes JSON text member by member: a dump of 100,000 destinations has no time to build values first. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
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

  // Of the next value. None of its characters needs an escape.
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
    Piece piece;
    if (!fresh_) piece.put(',');
    piece.number(number);
    piece.append_to(out_);
    fresh_ = false;
    return *this;
  }
  template <class T>
  JsonWriter& member(std::string_view name, const T& of) {
    if constexpr (std::integral<T> && !std::same_as<T, bool>) {  // most members of a dump are these
      if (name.size() <= name_limit) {
        Piece piece;
        piece.key(name, !fresh_);
        piece.number(of);
        piece.append_to(out_);
        fresh_ = false;
        return *this;
      }
    }
    return key(name).value(of);
  }

 private:
  static constexpr std::size_t name_limit = 40;
  // Put together on the stack, so that it is appended at once.
  class Piece {
   public:
    void put(char c) { *end_++ = c; }
    void key(std::string_view name, bool comma) {
      if (comma) put(',');
      put('"');
      end_ = std::copy_n(name.data(), name.size(), end_);
      put('"');
      put(':');
    }
    template <std::integral T>
    void number(T value) {
      end_ = std::to_chars(end_, text_.data() + text_.size(), value).ptr;
    }
    void append_to(std::string& out) const { out.append(text_.data(), static_cast<std::size_t>(end_ - text_.data())); }

   private:
    std::array<char, name_limit + 32> text_;
    char* end_ = text_.data();
  };

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
