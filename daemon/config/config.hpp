// The configuration: KubeProxyConfiguration v1alpha1 (kubeproxy.config.k8s.io) as kube-proxy reads it, plus one
// section of our own, `ipvsd`. Every field here has kube-proxy's default; all values are validated.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/ip.hpp"

namespace ipvsd {

struct SocketAddress {
  IpAddress address;
  Port port;
  [[nodiscard]] std::string to_string() const { return format_socket(address, port); }
  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
};

// How traffic from this cluster's pods is told from traffic from outside (detectLocalMode).
enum class DetectLocalMode : std::uint8_t { cluster_cidr, node_cidr, bridge_interface, interface_name_prefix };

enum class IptablesChoice : std::uint8_t { automatic, legacy, nft };

// How the VIPs in a Service CIDR become local.
enum class ServiceAddresses : std::uint8_t {
  bind,   // each is an address of kube-ipvs0
  route,  // one local route for all
};

struct IpvsConfig {
  std::chrono::milliseconds sync_period{30'000};  // accepted; we do not resync; never below min_sync_period
  std::chrono::milliseconds min_sync_period{0};   // accepted; changes are written as they come
  std::string scheduler;                          // "" means rr
  std::vector<Cidr> exclude_cidrs;                // virtual servers in these are never touched
  bool strict_arp = false;
  std::chrono::seconds tcp_timeout{0};  // 0: leave the kernel's
  std::chrono::seconds tcp_fin_timeout{0};
  std::chrono::seconds udp_timeout{0};
};

struct ConntrackConfig {
  std::optional<std::uint32_t> max_per_core{32768};  // 0: leave nf_conntrack_max
  std::optional<std::uint32_t> min{131072};
  std::chrono::seconds tcp_established_timeout{86400};
  std::chrono::seconds tcp_close_wait_timeout{3600};
  bool tcp_be_liberal = false;
  std::chrono::seconds udp_timeout{0};
  std::chrono::seconds udp_stream_timeout{0};
};

// Our own section, `ipvsd:`.
struct OwnConfig {
  IptablesChoice iptables_backend = IptablesChoice::automatic;  // ipvsd.iptablesBackend: auto|legacy|nft
  std::chrono::seconds rules_audit_period{30};                  // ipvsd.rulesAuditPeriod
  std::chrono::seconds audit_period{300};                       // ipvsd.auditPeriod: one pass over all of IPVS
  std::uint32_t external_mark_mask = 0x307f;                    // ipvsd.externalMarkMask; 0: no marks
  std::chrono::seconds drain_timeout{0};                        // ipvsd.drainTimeout; 0: none
  ServiceAddresses service_addresses = ServiceAddresses::bind;  // ipvsd.serviceAddresses
  std::vector<Cidr> service_cidrs;  // ipvsd.serviceCIDRs; empty: those of the cluster, where there is one to ask
  std::string ctl_socket = "/run/kube-ipvsd/ctl.sock";  // ipvsd.ctlSocket: where kube-ipvsctl asks; or "none"
};

struct Config {
  IpvsConfig ipvs;
  ConntrackConfig conntrack;
  OwnConfig own;

  std::uint32_t masquerade_bit = 14;                       // iptables.masqueradeBit, 0..31
  bool masquerade_all = false;                             // iptables.masqueradeAll
  std::chrono::milliseconds iptables_sync_period{30'000};  // twice this is the health timeout, in ipvs mode too
  std::chrono::milliseconds iptables_min_sync_period{1'000};

  DetectLocalMode detect_local_mode = DetectLocalMode::cluster_cidr;
  std::string bridge_interface;       // detectLocal.bridgeInterface
  std::string interface_name_prefix;  // detectLocal.interfaceNamePrefix
  std::vector<Cidr> cluster_cidrs;    // at most one per family

  std::vector<Cidr> node_port_addresses;     // empty: all node addresses
  bool node_port_addresses_primary = false;  // the special value "primary"; may stand beside CIDRs

  std::string hostname_override;
  std::optional<IpAddress> bind_address;  // empty: 0.0.0.0 or ::, the node's own
  std::optional<SocketAddress> healthz;   // empty: disabled
  std::optional<SocketAddress> metrics;
  bool bind_address_hard_fail = false;
  int oom_score_adj = -999;
  std::chrono::milliseconds config_sync_period{900'000};

  std::string kubeconfig;  // clientConnection.kubeconfig; "" in a cluster
};

}  // namespace ipvsd
