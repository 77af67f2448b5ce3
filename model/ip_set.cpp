#include "model/ip_set.hpp"

#include <fmt/format.h>

#include <charconv>
#include <vector>

namespace ipvsd {
namespace {

struct SetDescription {
  SetKind kind;
  SetType type;
  std::string_view ipv4_name;
  std::string_view ipv6_name;  // KUBE-6-..., cut to 31 characters (IPSET_MAXNAMELEN - 1)
  std::string_view comment;
};

constexpr std::array<SetDescription, set_kind_count> descriptions{{
    {SetKind::loop_back, SetType::hash_ip_port_ip, "KUBE-LOOP-BACK", "KUBE-6-LOOP-BACK",
     "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose"},
    {SetKind::cluster_ip, SetType::hash_ip_port, "KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP",
     "Kubernetes service cluster ip + port for masquerade purpose"},
    {SetKind::external_ip, SetType::hash_ip_port, "KUBE-EXTERNAL-IP", "KUBE-6-EXTERNAL-IP",
     "Kubernetes service external ip + port for masquerade and filter purpose"},
    {SetKind::external_ip_local, SetType::hash_ip_port, "KUBE-EXTERNAL-IP-LOCAL", "KUBE-6-EXTERNAL-IP-LOCAL",
     "Kubernetes service external ip + port with externalTrafficPolicy=local"},
    {SetKind::load_balancer, SetType::hash_ip_port, "KUBE-LOAD-BALANCER", "KUBE-6-LOAD-BALANCER",
     "Kubernetes service lb portal"},
    {SetKind::load_balancer_local, SetType::hash_ip_port, "KUBE-LOAD-BALANCER-LOCAL", "KUBE-6-LOAD-BALANCER-LOCAL",
     "Kubernetes service load balancer ip + port with externalTrafficPolicy=local"},
    {SetKind::load_balancer_fw, SetType::hash_ip_port, "KUBE-LOAD-BALANCER-FW", "KUBE-6-LOAD-BALANCER-FW",
     "Kubernetes service load balancer ip + port for load balancer with sourceRange"},
    {SetKind::load_balancer_source_cidr, SetType::hash_ip_port_net, "KUBE-LOAD-BALANCER-SOURCE-CIDR",
     "KUBE-6-LOAD-BALANCER-SOURCE-CID",
     "Kubernetes service load balancer ip + port + source cidr for packet filter purpose"},
    {SetKind::load_balancer_source_ip, SetType::hash_ip_port_ip, "KUBE-LOAD-BALANCER-SOURCE-IP",
     "KUBE-6-LOAD-BALANCER-SOURCE-IP",
     "Kubernetes service load balancer ip + port + source IP for packet filter purpose"},
    {SetKind::node_port_tcp, SetType::bitmap_port, "KUBE-NODE-PORT-TCP", "KUBE-6-NODE-PORT-TCP",
     "Kubernetes nodeport TCP port for masquerade purpose"},
    {SetKind::node_port_local_tcp, SetType::bitmap_port, "KUBE-NODE-PORT-LOCAL-TCP", "KUBE-6-NODE-PORT-LOCAL-TCP",
     "Kubernetes nodeport TCP port with externalTrafficPolicy=local"},
    {SetKind::node_port_udp, SetType::bitmap_port, "KUBE-NODE-PORT-UDP", "KUBE-6-NODE-PORT-UDP",
     "Kubernetes nodeport UDP port for masquerade purpose"},
    {SetKind::node_port_local_udp, SetType::bitmap_port, "KUBE-NODE-PORT-LOCAL-UDP", "KUBE-6-NODE-PORT-LOCAL-UDP",
     "Kubernetes nodeport UDP port with externalTrafficPolicy=local"},
    {SetKind::node_port_sctp, SetType::hash_ip_port, "KUBE-NODE-PORT-SCTP-HASH", "KUBE-6-NODE-PORT-SCTP-HASH",
     "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'"},
    {SetKind::node_port_local_sctp, SetType::hash_ip_port, "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
     "KUBE-6-NODE-PORT-LOCAL-SCTP-HAS",
     "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'"},
    {SetKind::health_check_node_port, SetType::bitmap_port, "KUBE-HEALTH-CHECK-NODE-PORT",
     "KUBE-6-HEALTH-CHECK-NODE-PORT", "Kubernetes health check node port"},
    {SetKind::ipvs_ips, SetType::hash_ip, "KUBE-IPVS-IPS", "KUBE-6-IPVS-IPS", "Addresses on the ipvs interface"},
    {SetKind::outside, SetType::hash_ip_port, "KUBE-IPVSD-OUTSIDE", "KUBE-6-IPVSD-OUTSIDE",
     "kube-ipvsd: the mark of outside clients, by service ip + port with externalTrafficPolicy=local"},
    {SetKind::marks, SetType::hash_ip, "KUBE-IPVSD-MARKS", "KUBE-6-IPVSD-MARKS", "kube-ipvsd: marks in use"},
}};

const SetDescription& describe(SetKind kind) { return descriptions[static_cast<std::size_t>(kind)]; }

Result<Port> parse_port(std::string_view text) {
  std::uint16_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size())
    return fail(Errc::malformed, fmt::format("\"{}\" is not a port", text.substr(0, 32)));
  return Port{number};
}

}  // namespace

std::string_view to_string(SetType type) {
  switch (type) {
    case SetType::bitmap_port: return "bitmap:port";
    case SetType::hash_ip: return "hash:ip";
    case SetType::hash_ip_port: return "hash:ip,port";
    case SetType::hash_ip_port_ip: return "hash:ip,port,ip";
    case SetType::hash_ip_port_net: return "hash:ip,port,net";
  }
  return "unknown";
}

std::string_view IpSet::name() const {
  const auto& description = describe(kind);
  return family == Family::ipv4 ? description.ipv4_name : description.ipv6_name;
}

SetType IpSet::type() const { return describe(kind).type; }
std::string_view IpSet::comment() const { return describe(kind).comment; }

std::span<const IpSet> all_ip_sets() {
  static constexpr auto sets = [] {
    std::array<IpSet, 2 * set_kind_count> all{};
    for (std::size_t i = 0; i < all.size(); ++i)
      all[i] = {descriptions[i % set_kind_count].kind, families[i / set_kind_count]};
    return all;
  }();
  return sets;
}

std::optional<IpSet> ip_set_by_name(std::string_view name) {
  for (const auto& set : all_ip_sets())
    if (set.name() == name) return set;
  return {};
}

SetEntry bitmap_entry(IpSet set, Port port) {
  SetEntry entry;
  entry.set = set;
  entry.port = port;
  return entry;
}

SetEntry ip_entry(IpSet set, const IpAddress& address) {
  SetEntry entry;
  entry.set = set;
  entry.address = address;
  return entry;
}

SetEntry ip_port_entry(IpSet set, const IpAddress& address, Protocol protocol, Port port) {
  SetEntry entry = ip_entry(set, address);
  entry.protocol = protocol;
  entry.port = port;
  return entry;
}

SetEntry ip_port_ip_entry(IpSet set, const IpAddress& address, Protocol protocol, Port port, const IpAddress& second) {
  SetEntry entry = ip_port_entry(set, address, protocol, port);
  entry.second = second;
  return entry;
}

SetEntry ip_port_net_entry(IpSet set, const IpAddress& address, Protocol protocol, Port port, const Cidr& net) {
  SetEntry entry = ip_port_ip_entry(set, address, protocol, port, net.address);
  entry.prefix = net.prefix;
  return entry;
}

SetEntry outside_entry(const IpAddress& address, Protocol protocol, Port port, Mark mark) {
  SetEntry entry = ip_port_entry({SetKind::outside, address.family()}, address, protocol, port);
  entry.mark = mark;
  return entry;
}

SetEntry mark_entry(Family family, std::uint32_t mark) {
  std::array<std::uint8_t, 16> bytes{};
  const std::size_t size = family == Family::ipv4 ? 4 : 16;
  for (std::size_t i = 0; i < 4; ++i) bytes[size - 1 - i] = static_cast<std::uint8_t>(mark >> (8 * i));
  return ip_entry({SetKind::marks, family}, *IpAddress::from_bytes(family, bytes));
}

std::uint32_t mark_of(const SetEntry& entry) {
  std::uint32_t mark = 0;
  for (const auto byte : entry.address.bytes().last(4)) mark = mark << 8 | byte;
  return mark;
}

std::string SetEntry::element() const {
  const auto ip_port = [this] {
    return fmt::format("{},{}:{}", address.to_string(), lower_name(protocol), port.number);
  };
  switch (set.type()) {
    case SetType::bitmap_port: return fmt::format("{}", port.number);
    case SetType::hash_ip: return address.to_string();
    case SetType::hash_ip_port: return ip_port();
    case SetType::hash_ip_port_ip: return fmt::format("{},{}", ip_port(), second.to_string());
    case SetType::hash_ip_port_net:
      return prefix == second.max_prefix() ? fmt::format("{},{}", ip_port(), second.to_string())
                                           : fmt::format("{},{}/{}", ip_port(), second.to_string(), prefix);
  }
  return {};
}

Result<SetEntry> parse_element(IpSet set, std::string_view text) {
  const auto malformed = [&](std::string_view why) {
    return fail(Errc::malformed, fmt::format("{}: element \"{}\": {}", set.name(), text.substr(0, 128), why));
  };
  const SetType type = set.type();
  if (type == SetType::bitmap_port) {
    const auto port = parse_port(text);
    if (!port) return malformed(port.error().context);
    return bitmap_entry(set, *port);
  }
  std::vector<std::string_view> parts;
  for (std::string_view rest = text;;) {
    const auto comma = rest.find(',');
    parts.push_back(rest.substr(0, comma));
    if (comma == std::string_view::npos || parts.size() > 3) break;
    rest.remove_prefix(comma + 1);
  }
  const std::size_t dimensions = type == SetType::hash_ip ? 1 : type == SetType::hash_ip_port ? 2 : 3;
  if (parts.size() != dimensions) return malformed(fmt::format("expected {}", to_string(type)));
  const auto address = IpAddress::parse(parts[0]);
  if (!address) return malformed(address.error().context);
  if (address->family() != set.family) return malformed("address of the other family");
  if (type == SetType::hash_ip) return ip_entry(set, *address);

  const auto colon = parts[1].find(':');
  if (colon == std::string_view::npos) return malformed("expected protocol:port");
  auto protocol = parse_protocol(parts[1].substr(0, colon));
  if (!protocol) {
    const auto number = parse_port(parts[1].substr(0, colon));
    for (const auto known : {Protocol::tcp, Protocol::udp, Protocol::sctp})
      if (number && number->number == static_cast<std::uint16_t>(known)) protocol = known;
  }
  if (!protocol) return malformed(protocol.error().context);
  const auto port = parse_port(parts[1].substr(colon + 1));
  if (!port) return malformed(port.error().context);
  if (type == SetType::hash_ip_port) return ip_port_entry(set, *address, *protocol, *port);

  const bool has_prefix = parts[2].find('/') != std::string_view::npos;
  if (type == SetType::hash_ip_port_net && has_prefix) {
    const auto net = Cidr::parse(parts[2]);
    if (!net) return malformed(net.error().context);
    if (net->family() != set.family) return malformed("network of the other family");
    return ip_port_net_entry(set, *address, *protocol, *port, *net);
  }
  const auto second = IpAddress::parse(parts[2]);
  if (!second) return malformed(second.error().context);
  if (second->family() != set.family) return malformed("address of the other family");
  if (type == SetType::hash_ip_port_net)
    return ip_port_net_entry(set, *address, *protocol, *port, Cidr::of(*second, second->max_prefix()));
  return ip_port_ip_entry(set, *address, *protocol, *port, *second);
}

}  // namespace ipvsd

std::size_t std::hash<ipvsd::SetEntry>::operator()(const ipvsd::SetEntry& entry) const noexcept {
  std::size_t seed = (static_cast<std::size_t>(entry.set.kind) << 32) | entry.port.number;
  ipvsd::hash_mix(seed, static_cast<std::size_t>(entry.protocol));
  ipvsd::hash_mix(seed, std::hash<ipvsd::IpAddress>{}(entry.address));
  ipvsd::hash_mix(seed, std::hash<ipvsd::IpAddress>{}(entry.second));
  return seed;
}
