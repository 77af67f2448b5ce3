// Addresses, prefixes, ports and protocols as types. All of them are canonical: two values that mean the same
// thing compare equal, whatever text they came from. Byte order is settled in the codecs; numbers here are in
// host order and address bytes in network order, as everybody writes them.
#pragma once

#include <endian.h>

#include <array>
#include <bit>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace ipvsd {

enum class Family : std::uint8_t { ipv4, ipv6 };
inline constexpr std::array families{Family::ipv4, Family::ipv6};
[[nodiscard]] std::string_view to_string(Family family);  // "IPv4", "IPv6" as in the Kubernetes API

// AF_INET or AF_INET6, and back; the kernel's number for a family.
[[nodiscard]] int to_af(Family family);
[[nodiscard]] std::optional<Family> family_of_af(int af);

class IpAddress {
 public:
  // 0.0.0.0
  constexpr IpAddress() = default;

  // The unspecified address of a family.
  [[nodiscard]] static IpAddress any(Family family);

  // Text as Kubernetes accepts it: leading zeros in IPv4 octets are decimal and dropped, an IPv4-mapped IPv6
  // address becomes IPv4, no zone, no surrounding space. Error: malformed.
  [[nodiscard]] static Result<IpAddress> parse(std::string_view text);

  // Network-order bytes: the first 4 (IPv4) or 16 (IPv6) of `bytes`. Error: malformed if fewer.
  [[nodiscard]] static Result<IpAddress> from_bytes(Family family, std::span<const std::uint8_t> bytes);

  [[nodiscard]] constexpr Family family() const { return family_; }
  // 4 or 16 bytes in network order.
  [[nodiscard]] std::span<const std::uint8_t> bytes() const {
    return std::span(bytes_).first(family_ == Family::ipv4 ? 4 : 16);
  }
  [[nodiscard]] std::uint8_t max_prefix() const { return family_ == Family::ipv4 ? 32 : 128; }

  [[nodiscard]] bool is_unspecified() const;
  [[nodiscard]] bool is_loopback() const;    // 127/8, ::1
  [[nodiscard]] bool is_link_local() const;  // 169.254/16, fe80::/10
  [[nodiscard]] std::string to_string() const;

  // IPv4 first, then in the order of the bytes.
  friend std::strong_ordering operator<=>(const IpAddress& a, const IpAddress& b) {
    if (const auto by_family = a.family_ <=> b.family_; by_family != 0) return by_family;
    const auto left = a.words();
    const auto right = b.words();
    if (const auto by_first = be64toh(left[0]) <=> be64toh(right[0]); by_first != 0) return by_first;
    return be64toh(left[1]) <=> be64toh(right[1]);
  }
  friend bool operator==(const IpAddress& a, const IpAddress& b) {
    return a.family_ == b.family_ && a.words() == b.words();
  }

 private:
  friend struct std::hash<IpAddress>;
  // All bytes as two numbers: every table has addresses in its keys, and a call of memcmp is longer than what it does.
  [[nodiscard]] std::array<std::uint64_t, 2> words() const {
    return std::bit_cast<std::array<std::uint64_t, 2>>(bytes_);
  }

  Family family_ = Family::ipv4;
  std::array<std::uint8_t, 16> bytes_{};  // an IPv4 address fills the first four, the rest is zero
};

// An address prefix; host bits are zero.
struct Cidr {
  IpAddress address;
  std::uint8_t prefix = 0;

  // "10.0.0.0/8". A bare address is refused (malformed), as net.ParseCIDR refuses it. Host bits are cleared.
  [[nodiscard]] static Result<Cidr> parse(std::string_view text);
  [[nodiscard]] static Cidr of(const IpAddress& address, std::uint8_t prefix);
  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] Family family() const { return address.family(); }
  [[nodiscard]] std::string to_string() const;

  friend auto operator<=>(const Cidr&, const Cidr&) = default;
};

// 1..65535; 0 means "none" where a field is optional.
struct Port {
  std::uint16_t number = 0;
  friend auto operator<=>(const Port&, const Port&) = default;
};

// The IANA protocol numbers that Services use and IPVS balances.
enum class Protocol : std::uint8_t { none = 0, tcp = 6, udp = 17, sctp = 132 };
[[nodiscard]] std::string_view to_string(Protocol protocol);   // "TCP", as in the Kubernetes API
[[nodiscard]] std::string_view lower_name(Protocol protocol);  // "tcp", as in ipset's text
// Case-insensitive. Error: malformed.
[[nodiscard]] Result<Protocol> parse_protocol(std::string_view text);

// "10.0.0.1:80", "[fd00::1]:80".
[[nodiscard]] std::string format_socket(const IpAddress& address, Port port);

// Mixes a value into a hash; for the std::hash specialisations of this library's keys.
inline void hash_mix(std::size_t& seed, std::size_t value) {
  seed ^= value + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2);
}

}  // namespace ipvsd

template <>
struct std::hash<ipvsd::IpAddress> {
  std::size_t operator()(const ipvsd::IpAddress& address) const noexcept {
    std::size_t seed = static_cast<std::size_t>(address.family());
    for (const auto word : address.words()) ipvsd::hash_mix(seed, word * 0x9e3779b97f4a7c15ULL);
    return seed;
  }
};
