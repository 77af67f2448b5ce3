// The kernel's side of a Service: virtual servers, destinations, bound addresses and set entries; the operations
// that change them; and the interface behind which the real kernel and the fake one stand.
//
// Sources: uapi/linux/ip_vs.h (IPVS_SVC_ATTR_*, IPVS_DEST_ATTR_*, IP_VS_SVC_F_*, IP_VS_CONN_F_FWD_MASK).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "model/ip_set.hpp"

namespace ipvsd {

// The dummy link that carries the VIPs.
inline constexpr std::string_view ipvs_link_name = "kube-ipvs0";

// Identity of a virtual server: (family, protocol, address, port), or (family, fwmark) with the rest unset.
struct VirtualServerKey {
  IpAddress address;  // for a firewall mark: the unspecified address of its family
  Protocol protocol = Protocol::none;
  Port port;
  std::uint32_t fwmark = 0;

  [[nodiscard]] Family family() const { return address.family(); }
  [[nodiscard]] std::string to_string() const;  // "10.96.0.1:443/TCP", "fwmark 7 IPv4"
  friend auto operator<=>(const VirtualServerKey&, const VirtualServerKey&) = default;
};

inline constexpr std::uint32_t flag_persistent = 0x1;  // IP_VS_SVC_F_PERSISTENT
inline constexpr std::uint32_t flag_hashed = 0x2;      // IP_VS_SVC_F_HASHED: the kernel's own, never compared
inline constexpr std::uint32_t flag_one_packet = 0x4;  // IP_VS_SVC_F_ONEPACKET
inline constexpr std::uint32_t flag_sched1 = 0x8;      // sh: fallback; mh: fallback
inline constexpr std::uint32_t flag_sched2 = 0x10;     // sh, mh: hash the source port too
inline constexpr std::uint32_t flag_sched3 = 0x20;

struct VirtualServer {
  VirtualServerKey key;
  std::string scheduler = "rr";
  std::uint32_t flags = 0;    // IP_VS_SVC_F_* without flag_hashed
  std::uint32_t timeout = 0;  // persistence, seconds; 0 unless flag_persistent
  // Which clients share a persistence template: as a prefix length, 32 or 128 = each its own.
  std::uint8_t client_prefix = 32;

  friend bool operator==(const VirtualServer&, const VirtualServer&) = default;
};

// IP_VS_CONN_F_FWD_MASK
enum class ForwardMethod : std::uint8_t { masquerade = 0, local = 1, tunnel = 2, direct_route = 3, bypass = 4 };

struct DestinationKey {
  IpAddress address;
  Port port;
  [[nodiscard]] std::string to_string() const { return format_socket(address, port); }
  friend auto operator<=>(const DestinationKey&, const DestinationKey&) = default;
};

struct Destination {
  DestinationKey key;
  ForwardMethod method = ForwardMethod::masquerade;
  std::uint32_t weight = 1;  // 0: no new connections
  std::uint32_t upper_threshold = 0;
  std::uint32_t lower_threshold = 0;
  friend bool operator==(const Destination&, const Destination&) = default;
};

// A destination as the kernel has it. The counters move by themselves and are no part of what is desired.
struct ObservedDestination {
  Destination destination;
  std::uint32_t active_connections = 0;
  std::uint32_t inactive_connections = 0;
  std::uint32_t persistent_connections = 0;
};

struct ObservedVirtualServer {
  VirtualServer server;
  std::vector<ObservedDestination> destinations;
};

// A local route on kube-ipvs0: each address of `destination` is the node's own although no link has it.
struct LocalRoute {
  Cidr destination;
  // What the node's own connections to these bear as their source; empty: the very address they go to.
  std::optional<IpAddress> source;
  friend auto operator<=>(const LocalRoute&, const LocalRoute&) = default;
};

struct KernelState {
  std::vector<ObservedVirtualServer> servers;
  std::vector<IpAddress> bound;    // on kube-ipvs0, without IPv6 link-local
  std::vector<LocalRoute> routes;  // ours (see Kernel::routes())
  std::vector<SetEntry> entries;   // of the sets of all_ip_sets()
};

struct LinkAddress {
  std::string link;
  IpAddress address;
  std::uint8_t prefix = 32;
  friend auto operator<=>(const LinkAddress&, const LinkAddress&) = default;
};

// --- operations ------------------------------------------------------------------------------------------------

enum class Verb : std::uint8_t { add, set, remove };

struct DestinationOf {
  VirtualServerKey server;
  Destination destination;  // only the key counts when removing
  friend bool operator==(const DestinationOf&, const DestinationOf&) = default;
};

// An address on kube-ipvs0, /32 or /128.
struct BoundAddress {
  IpAddress address;
  friend auto operator<=>(const BoundAddress&, const BoundAddress&) = default;
};

using Target = std::variant<VirtualServer, DestinationOf, BoundAddress, SetEntry, LocalRoute>;
inline constexpr std::size_t target_kinds = std::variant_size_v<Target>;

// `set` exists for virtual servers, destinations and routes only.
struct Operation {
  Verb verb = Verb::add;
  Target target;
  friend bool operator==(const Operation&, const Operation&) = default;
};

// One line per operation, the language of --dry-run, logs and tests:
//   "add virtual server 10.96.0.1:443/TCP rr", "remove address 10.96.0.1", "add KUBE-CLUSTER-IP 10.96.0.1,tcp:443"
[[nodiscard]] std::string to_string(const Operation& operation);

struct Failure {
  std::size_t index;  // into the executed operations
  Error error;
};

struct AddressChange {
  bool present = true;  // appeared or changed, else disappeared
  LinkAddress address;
};
// A link came, went or changed its name or state.
struct LinkChange {
  std::string link;
  bool present = true;
};
// One of our routes went, whoever removed it.
struct RouteRemoved {};
// Notifications were lost (ENOBUFS): observe anew.
struct ChangesLost {};
using Notification = std::variant<AddressChange, LinkChange, RouteRemoved, ChangesLost>;

// The kernel of this network namespace. Not thread-safe: one thread owns it. Every call ends within a deadline.
class Kernel {
 public:
  virtual ~Kernel() = default;

  // Makes kube-ipvs0 and all ipsets exist, with the right types. Idempotent. Error: unsupported where the kernel
  // lacks a part, naming it; already_exists where a set of that name has another type.
  virtual Result<void> prepare() = 0;
  // Removes what prepare() made; fails where a rule still refers to a set (busy).
  virtual Result<void> unprepare() = 0;

  // Performs the operations in order; a failing one does not stop the others. Returns the failures in ascending
  // order of index. Strict: `add` of something that exists is already_exists and `set` or `remove` of something that
  // does not is not_found; set entries, bound addresses and routes alone are idempotent (a route that is added replaces
  // the one to the same destination, so that setting is the same). An outcome that could not be
  // learned is timed_out or overrun; an operation is then neither known to have happened nor not.
  [[nodiscard]] virtual std::vector<Failure> execute(std::span<const Operation> operations) = 0;

  // Everything. IPVS dumps are no snapshots and never say that they were disturbed: what others change meanwhile may be
  // missing. So an absence is a hint; adding what is there shows it (already_exists).
  [[nodiscard]] virtual Result<KernelState> observe() = 0;
  // One virtual server and its destinations; empty if it does not exist.
  [[nodiscard]] virtual Result<std::optional<ObservedVirtualServer>> observe(const VirtualServerKey& key) = 0;

  // The destinations of one; none if it does not exist.
  [[nodiscard]] virtual Result<std::vector<ObservedDestination>> destinations(const VirtualServerKey& key) = 0;
  // The virtual servers in pieces: appends the next `enough`, or some hundred more, to `into`, and returns whether there
  // are more. After an end or an error, from the beginning. What others or we ourselves change meanwhile may be missing,
  // or be as it was.
  [[nodiscard]] virtual Result<bool> servers(std::size_t enough, std::vector<VirtualServer>& into) = 0;

  // The members of one set.
  [[nodiscard]] virtual Result<std::vector<SetEntry>> members(IpSet set) = 0;
  // The same in pieces: appends the next `enough` members, or some hundred more, to `into`, and returns whether there
  // are more. With another set than in the call before, or after an end or an error, from the beginning. What changes
  // between two pieces may be missing.
  [[nodiscard]] virtual Result<bool> members(IpSet set, std::size_t enough, std::vector<SetEntry>& into) = 0;

  // Addresses on all links, kube-ipvs0 included.
  [[nodiscard]] virtual Result<std::vector<LinkAddress>> addresses() = 0;
  // The local routes on kube-ipvs0 that bear our protocol number; nobody else's.
  [[nodiscard]] virtual Result<std::vector<LocalRoute>> routes() = 0;
  // Becomes readable when notifications() has something to say.
  [[nodiscard]] virtual int notification_fd() const = 0;
  // What changed since the last call, by whomever, ourselves included, but for addresses that appear on kube-ipvs0:
  // those are our own doing. Never blocks.
  [[nodiscard]] virtual std::vector<Notification> notifications() = 0;
};

}  // namespace ipvsd

template <>
struct std::hash<ipvsd::VirtualServerKey> {
  std::size_t operator()(const ipvsd::VirtualServerKey& key) const noexcept {
    std::size_t seed = std::hash<ipvsd::IpAddress>{}(key.address);
    ipvsd::hash_mix(seed, (static_cast<std::size_t>(key.fwmark) << 32) |
                              (static_cast<std::size_t>(key.protocol) << 16) | key.port.number);
    return seed;
  }
};
