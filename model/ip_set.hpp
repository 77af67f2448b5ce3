// The ipsets that the iptables rules match on. Names, types and meaning are kube-proxy's, so that either proxy
// can take over from the other; the last two kinds are our own.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "model/ip.hpp"

namespace ipvsd {

enum class SetKind : std::uint8_t {
  loop_back,  // (endpoint, port, endpoint): a pod that reaches itself through a Service
  cluster_ip,
  external_ip,        // externalTrafficPolicy Cluster
  external_ip_local,  // externalTrafficPolicy Local
  load_balancer,
  load_balancer_local,  // in addition to load_balancer
  load_balancer_fw,     // has source ranges
  load_balancer_source_cidr,
  load_balancer_source_ip,
  node_port_tcp,
  node_port_local_tcp,
  node_port_udp,
  node_port_local_udp,
  node_port_sctp,  // by address and port: bitmap:port knows no SCTP
  node_port_local_sctp,
  health_check_node_port,
  ipvs_ips,  // every address that this daemon binds on kube-ipvs0
  // Frontends with externalTrafficPolicy Local; an entry carries the mark that packets from outside the cluster get,
  // and by it the virtual server that holds the local endpoints only.
  outside,
  marks,  // the marks of virtual servers that we made (see mark_entry())
};
inline constexpr std::size_t set_kind_count = 19;

// What an element of a set consists of (the ipset type).
enum class SetType : std::uint8_t { bitmap_port, hash_ip, hash_ip_port, hash_ip_port_ip, hash_ip_port_net };
[[nodiscard]] std::string_view to_string(SetType type);  // "hash:ip,port"

struct IpSet {
  SetKind kind = SetKind::loop_back;
  Family family = Family::ipv4;

  [[nodiscard]] std::string_view name() const;  // "KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP"; 31 characters at most
  [[nodiscard]] SetType type() const;
  // Whether its entries carry marks (extension skbinfo, kernel 3.19).
  [[nodiscard]] bool carries_marks() const { return kind == SetKind::outside; }
  // The comment of the rules that match on the set.
  [[nodiscard]] std::string_view comment() const;

  friend auto operator<=>(const IpSet&, const IpSet&) = default;
};

// All 38, IPv4 first.
[[nodiscard]] std::span<const IpSet> all_ip_sets();
[[nodiscard]] std::optional<IpSet> ip_set_by_name(std::string_view name);

// Packet mark and mask as `-j SET --map-mark` applies them: the bits of the mask are replaced by those of the value.
struct Mark {
  std::uint32_t value = 0;
  std::uint32_t mask = 0;
  friend auto operator<=>(const Mark&, const Mark&) = default;
};

// One element. Which members count depends on the set's type; the others have their default value, so that `==`
// is identity.
struct SetEntry {
  IpSet set;
  Protocol protocol = Protocol::none;
  std::uint8_t prefix = 0;  // hash:ip,port,net only: the length of `second`, 1..32 or 1..128
  Port port;
  IpAddress address;  // not used by bitmap:port
  IpAddress second;   // the third dimension of hash:ip,port,ip and hash:ip,port,net
  Mark mark{};        // of sets that carry marks; there, adding an element again replaces it

  // As `ipset save` prints it: "10.96.0.1,tcp:80". A host prefix is printed without its length, and no mark.
  [[nodiscard]] std::string element() const;

  friend auto operator<=>(const SetEntry&, const SetEntry&) = default;
};

[[nodiscard]] SetEntry bitmap_entry(IpSet set, Port port);
[[nodiscard]] SetEntry ip_entry(IpSet set, const IpAddress& address);
[[nodiscard]] SetEntry ip_port_entry(IpSet set, const IpAddress& address, Protocol protocol, Port port);
[[nodiscard]] SetEntry ip_port_ip_entry(IpSet set, const IpAddress& address, Protocol protocol, Port port,
                                        const IpAddress& second);
[[nodiscard]] SetEntry ip_port_net_entry(IpSet set, const IpAddress& address, Protocol protocol, Port port,
                                         const Cidr& net);
[[nodiscard]] SetEntry outside_entry(const IpAddress& address, Protocol protocol, Port port, Mark mark);
// No type of set holds bare numbers of 32 bits: a mark is entered as the address with that number, "0.0.0.5" or "::5".
[[nodiscard]] SetEntry mark_entry(Family family, std::uint32_t mark);
// The mark that an entry of the set `marks` stands for.
[[nodiscard]] std::uint32_t mark_of(const SetEntry& entry);

// Reads what element() writes; port and protocol also as bare numbers. Error: malformed.
[[nodiscard]] Result<SetEntry> parse_element(IpSet set, std::string_view text);

}  // namespace ipvsd

template <>
struct std::hash<ipvsd::SetEntry> {
  std::size_t operator()(const ipvsd::SetEntry& entry) const noexcept;
};
