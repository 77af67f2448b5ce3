#include "ctl/connections.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <memory>

#include "ctl/output.hpp"

namespace ipvsd::ctl {
namespace {

class Words {
 public:
  explicit Words(std::string_view line) : rest_(line) {}
  std::string_view next() {
    const auto start = rest_.find_first_not_of(' ');
    if (start == std::string_view::npos) return {};
    rest_ = rest_.substr(start);
    const auto end = std::min(rest_.find(' '), rest_.size());
    const auto word = rest_.substr(0, end);
    rest_ = rest_.substr(end);
    return word;
  }

 private:
  std::string_view rest_;
};

template <class T>
bool number(std::string_view text, T& value, int base) {
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return ec == std::errc{} && end == text.data() + text.size();
}

// IPv4 as eight hexadecimal digits, IPv6 in full.
bool address(std::string_view text, IpAddress& value) {
  if (text.find(':') != std::string_view::npos) {
    const auto parsed = IpAddress::parse(text);
    if (parsed) value = *parsed;
    return parsed.has_value();
  }
  std::uint32_t bits = 0;
  if (text.size() != 8 || !number(text, bits, 16)) return false;
  const std::array<std::uint8_t, 4> bytes{static_cast<std::uint8_t>(bits >> 24), static_cast<std::uint8_t>(bits >> 16),
                                          static_cast<std::uint8_t>(bits >> 8), static_cast<std::uint8_t>(bits)};
  value = *IpAddress::from_bytes(Family::ipv4, bytes);
  return true;
}

bool socket(Words& words, IpAddress& place, Port& port) {
  return address(words.next(), place) && number(words.next(), port.number, 16);
}

}  // namespace

Result<Connection> parse_connection(std::string_view line) {
  Words words(line);
  Connection connection;
  const auto protocol = words.next();
  if (const auto known = parse_protocol(protocol)) connection.protocol = *known;
  if (!protocol.empty() && socket(words, connection.client, connection.client_port) &&
      socket(words, connection.address, connection.port) &&
      socket(words, connection.destination.address, connection.destination.port)) {
    connection.state = printable(words.next());
    if (!connection.state.empty() && number(words.next(), connection.expires, 10)) return connection;
  }
  return fail(Errc::malformed, fmt::format("no connection: \"{}\"", printable(line.substr(0, 200))));
}

Result<void> read_connections(const std::function<Result<void>(const Connection&)>& visit, const std::string& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> file(std::fopen(path.c_str(), "re"), std::fclose);
  if (!file) return fail_errno(errno, path);
  std::array<char, 1024> buffer{};
  for (bool heading = true; std::fgets(buffer.data(), buffer.size(), file.get()) != nullptr; heading = false) {
    std::string_view line(buffer.data());
    if (heading) continue;
    if (line.ends_with('\n')) line.remove_suffix(1);
    const auto connection = parse_connection(line);
    if (!connection) return fail(connection.error().within(path));
    if (const auto visited = visit(*connection); !visited) return visited;
  }
  if (std::ferror(file.get()) != 0) return fail_errno(errno, path);
  return {};
}

}  // namespace ipvsd::ctl
