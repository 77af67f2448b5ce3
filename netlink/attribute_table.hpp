// One table per kind of record drives encoding, decoding and (by its names) the tools that print messages: a row says
// which attribute carries which member, and the member's type says how.
#pragma once

#include <arpa/inet.h>

#include <array>
#include <concepts>
#include <string_view>
#include <utility>

#include "netlink/message.hpp"

namespace ipvsd::nl {

// Types whose form on the wire is not their form in memory.
struct BigEndian16 {
  std::uint16_t value = 0;  // host order
};
struct FlagsAndMask {  // struct ip_vs_flags
  std::uint32_t flags = 0;
  std::uint32_t mask = ~0U;
};
using RawAddress = std::array<std::uint8_t, 16>;  // union nf_inet_addr

inline void encode_field(Batch& batch, std::uint16_t type, const BigEndian16& field) {
  batch.value(type, htons(field.value));
}
inline void encode_field(Batch& batch, std::uint16_t type, std::string_view field) { batch.attribute(type, field); }
template <class T>
requires std::integral<T> || std::same_as<T, FlagsAndMask> || std::same_as<T, RawAddress>
void encode_field(Batch& batch, std::uint16_t type, const T& field) { batch.value(type, field); }

// False if the payload is too short. A longer one is fine: later kernels may append.
[[nodiscard]] inline bool decode_field(Bytes payload, BigEndian16& field) {
  const auto value = load<std::uint16_t>(payload);
  if (value) field.value = ntohs(*value);
  return value.has_value();
}
// The text stays the message's.
[[nodiscard]] inline bool decode_field(Bytes payload, std::string_view& field) {
  const std::string_view text(reinterpret_cast<const char*>(payload.data()), payload.size());
  field = text.substr(0, text.find('\0'));
  return true;
}
// The kernel cuts an IPv4 address's attribute to 16 bytes as well, but 4 would do.
[[nodiscard]] inline bool decode_field(Bytes payload, RawAddress& field) {
  if (payload.size() < 4 || payload.size() > field.size()) return false;
  field = {};
  std::memcpy(field.data(), payload.data(), payload.size());
  return true;
}
template <class T>
requires std::integral<T> || std::same_as<T, FlagsAndMask>
[[nodiscard]] bool decode_field(Bytes payload, T& field) {
  const auto value = load<T>(payload);
  if (value) field = *value;
  return value.has_value();
}

enum class Use : std::uint8_t {
  key,       // identifies the object: sent with every request
  value,     // sent when adding or setting
  observed,  // only ever comes from the kernel
};

template <class Record>
struct AttributeRow {
  std::uint16_t type;
  std::string_view name;  // the uapi symbol
  Use use;
  void (*encode)(Batch&, std::uint16_t, const Record&);
  bool (*decode)(Bytes, Record&);
};

template <auto Member, class Record>
constexpr AttributeRow<Record> row(std::uint16_t type, std::string_view name, Use use) {
  return {type, name, use,
          [](Batch& batch, std::uint16_t attribute, const Record& record) {
            if constexpr (requires { encode_field(batch, attribute, record.*Member); })
              encode_field(batch, attribute, record.*Member);
          },
          [](Bytes payload, Record& record) { return decode_field(payload, record.*Member); }};
}

// Writes the rows of use `key`, and of use `value` if `whole`. The table is an argument of the template, so that what
// it says is known to the compiler and no row is looked up or called by pointer.
template <const auto& table, class Record>
void encode_record(Batch& batch, const Record& record, bool whole) {
  const auto encode = [&]<std::size_t i>(std::integral_constant<std::size_t, i>) {
    constexpr auto attribute = table[i];
    if constexpr (attribute.use == Use::key) attribute.encode(batch, attribute.type, record);
    if constexpr (attribute.use == Use::value)
      if (whole) attribute.encode(batch, attribute.type, record);
  };
  [&]<std::size_t... i>(std::index_sequence<i...>) { (encode(std::integral_constant<std::size_t, i>{}), ...); }
  (std::make_index_sequence<table.size()>{});
}

// Fills what is there; unknown attributes are skipped, absent ones leave their member alone. False if anything does not
// fit.
template <class Record, class Table>
[[nodiscard]] bool decode_record(Bytes bytes, const Table& table, Record& record) {
  std::array<std::uint8_t, 64> row_of{};  // by type, counted from 1
  for (std::size_t row = 0; row < table.size(); ++row) row_of.at(table[row].type) = static_cast<std::uint8_t>(row + 1);
  AttributeCursor cursor(bytes);
  while (const auto attribute = cursor.next()) {
    const std::size_t row = attribute->type < row_of.size() ? row_of[attribute->type] : 0;
    if (row != 0 && !table[row - 1].decode(attribute->payload, record)) return false;
  }
  return !cursor.malformed();
}

}  // namespace ipvsd::nl
