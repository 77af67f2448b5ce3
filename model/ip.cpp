#include "model/ip.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <strings.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace ipvsd {
namespace {

std::optional<std::uint32_t> decimal(std::string_view text, std::uint32_t max) {
  std::uint32_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size() || value > max) return {};
  return value;
}

std::optional<std::array<std::uint8_t, 4>> parse_ipv4(std::string_view text) {
  std::array<std::uint8_t, 4> octets{};
  std::size_t place = 0;
  std::uint32_t octet = 0;
  bool digits = false;  // of this octet, any number of them
  for (const char c : text) {
    if (c >= '0' && c <= '9') {
      octet = 10 * octet + static_cast<std::uint32_t>(c - '0');
      if (octet > 255) return {};
      octets[place] = static_cast<std::uint8_t>(octet);
      digits = true;
    } else {
      if (c != '.' || !digits || ++place == octets.size()) return {};
      octet = 0;
      digits = false;
    }
  }
  if (!digits || place != octets.size() - 1) return {};
  return octets;
}

constexpr std::array<std::uint8_t, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::string_view to_string(Family family) { return family == Family::ipv4 ? "IPv4" : "IPv6"; }

int to_af(Family family) { return family == Family::ipv4 ? AF_INET : AF_INET6; }

std::optional<Family> family_of_af(int af) {
  if (af == AF_INET) return Family::ipv4;
  if (af == AF_INET6) return Family::ipv6;
  return {};
}

IpAddress IpAddress::any(Family family) {
  IpAddress address;
  address.family_ = family;
  return address;
}

Result<IpAddress> IpAddress::from_bytes(Family family, std::span<const std::uint8_t> bytes) {
  const std::size_t size = family == Family::ipv4 ? 4 : 16;
  if (bytes.size() < size) return fail(Errc::malformed, fmt::format("{} bytes are no address", bytes.size()));
  IpAddress address = any(family);
  std::copy_n(bytes.begin(), size, address.bytes_.begin());
  return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  if (const auto ipv4 = parse_ipv4(text)) return from_bytes(Family::ipv4, *ipv4);
  std::array<std::uint8_t, 16> bytes{};
  // inet_pton wants a terminated string; the longest address has 45 characters.
  if (text.size() < INET6_ADDRSTRLEN && text.find(':') != std::string_view::npos &&
      text.find('\0') == std::string_view::npos &&
      ::inet_pton(AF_INET6, std::string(text).c_str(), bytes.data()) == 1) {
    if (std::equal(mapped_prefix.begin(), mapped_prefix.end(), bytes.begin()))
      return from_bytes(Family::ipv4, std::span(bytes).subspan(12));
    return from_bytes(Family::ipv6, bytes);
  }
  return fail(Errc::malformed, fmt::format("\"{}\" is not an IP address", text.substr(0, 64)));
}

bool IpAddress::is_unspecified() const {
  return std::all_of(bytes_.begin(), bytes_.end(), [](std::uint8_t byte) { return byte == 0; });
}

bool IpAddress::is_loopback() const {
  if (family_ == Family::ipv4) return bytes_[0] == 127;
  return std::all_of(bytes_.begin(), bytes_.end() - 1, [](std::uint8_t b) { return b == 0; }) && bytes_[15] == 1;
}

bool IpAddress::is_link_local() const {
  if (family_ == Family::ipv4) return bytes_[0] == 169 && bytes_[1] == 254;
  return bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

std::string IpAddress::to_string() const {
  if (family_ == Family::ipv4) {  // inet_ntop prints it by way of printf
    std::array<char, INET_ADDRSTRLEN> text{};
    char* end = text.data();
    for (std::size_t i = 0; i < 4; ++i) {
      if (i > 0) *end++ = '.';
      end = std::to_chars(end, text.data() + text.size(), bytes_[i]).ptr;
    }
    return {text.data(), end};
  }
  char text[INET6_ADDRSTRLEN];
  ::inet_ntop(to_af(family_), bytes_.data(), text, sizeof text);
  return text;
}

Cidr Cidr::of(const IpAddress& address, std::uint8_t prefix) {
  std::array<std::uint8_t, 16> bytes{};
  const auto source = address.bytes();
  for (std::size_t i = 0; i < source.size(); ++i) {
    const int bits = std::clamp(static_cast<int>(prefix) - static_cast<int>(8 * i), 0, 8);
    bytes[i] = static_cast<std::uint8_t>(source[i] & (0xff00 >> bits));
  }
  return {*IpAddress::from_bytes(address.family(), bytes), std::min(prefix, address.max_prefix())};
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto address = IpAddress::parse(text.substr(0, slash));
    // Digits only: from_chars on an unsigned takes no sign.
    const auto prefix = decimal(text.substr(slash + 1), 128);
    if (address && prefix && *prefix <= address->max_prefix()) return of(*address, static_cast<std::uint8_t>(*prefix));
  }
  return fail(Errc::malformed, fmt::format("\"{}\" is not a CIDR such as 10.0.0.0/8", text.substr(0, 64)));
}

bool Cidr::contains(const IpAddress& other) const {
  return other.family() == address.family() && of(other, prefix).address == address;
}

std::string Cidr::to_string() const { return fmt::format("{}/{}", address.to_string(), prefix); }

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::none: return "none";
    case Protocol::tcp: return "TCP";
    case Protocol::udp: return "UDP";
    case Protocol::sctp: return "SCTP";
  }
  return "unknown";
}

std::string_view lower_name(Protocol protocol) {
  switch (protocol) {
    case Protocol::none: return "none";
    case Protocol::tcp: return "tcp";
    case Protocol::udp: return "udp";
    case Protocol::sctp: return "sctp";
  }
  return "unknown";
}

Result<Protocol> parse_protocol(std::string_view text) {
  for (const auto protocol : {Protocol::tcp, Protocol::udp, Protocol::sctp}) {
    const auto name = lower_name(protocol);
    if (text.size() == name.size() && ::strncasecmp(text.data(), name.data(), name.size()) == 0) return protocol;
  }
  return fail(Errc::malformed, fmt::format("\"{}\" is not TCP, UDP or SCTP", text.substr(0, 32)));
}

std::string format_socket(const IpAddress& address, Port port) {
  return address.family() == Family::ipv4 ? fmt::format("{}:{}", address.to_string(), port.number)
                                          : fmt::format("[{}]:{}", address.to_string(), port.number);
}

}  // namespace ipvsd
