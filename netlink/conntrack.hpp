// Connection tracking over ctnetlink (NETLINK_NETFILTER).
//
// How IPVS and connection tracking go together, with net.ipv4.vs.conntrack=1; seen on Linux 6.1 and read in
// net/netfilter/ipvs/ip_vs_nfct.c, ip_vs_core.c and ip_vs_conn.c:
// - A flow through a virtual server has an entry whose original tuple is client -> VIP and whose reply tuple starts at
//   the destination: ip_vs_update_conntrack() writes the destination's address and port there while the first packet
//   is on its way. IPS_DST_NAT is not set, so a search by "--dst-nat" finds nothing; the reply's source tells.
// - It does so for a new entry only. An entry from before the virtual server existed keeps its own address as the
//   reply's source and never gets translated: packets go to a destination, the masquerading that a new flow would get
//   is left out, answers do not fit, and every further packet keeps the entry alive. Only deleting it helps; the
//   next packet then makes a right one, although IPVS has a connection for the flow already.
// - IPVS's own connection entry is not found by way of conntrack: deleting the conntrack entry does not move the flow.
//   With net.ipv4.vs.expire_nodest_conn=1 the removal of a destination or virtual server expires its connections at
//   once, conntrack entries included (5.9 and later; before, the next packet of each flow does, and is lost). With 0
//   the packets are dropped until the connection times out, five minutes after the last one for UDP, whatever is
//   done to conntrack: so the sysctl is needed, and this does not replace it.
// - A virtual server without destinations refuses packets before they are confirmed, and leaves no entry. An address
//   that is gone does: packets to it pass through, or are refused by the other side.
#pragma once

#include "model/flows.hpp"
#include "netlink/socket.hpp"

namespace ipvsd::nl {

// Pure. Behind the nlmsghdr: struct nfgenmsg, then attributes. Empty for a protocol other than TCP, UDP and SCTP or a
// family other than IPv4 and IPv6. Error: malformed.
[[nodiscard]] Result<std::optional<Flow>> decode_flow(Bytes payload);
// A dump of what the filter admits, and more: the kernel narrows by family always, and by protocol, port and IPv4
// address from 5.8 on (CTA_FILTER; before, it ignores that). It is not asked to narrow by IPv6 address: there it shows
// all but the ones asked for (seen on 6.1; ctnetlink_filter_match_tuple() takes ipv6_addr_cmp() for a test of
// equality).
void encode_list_flows(Batch& batch, const FlowFilter& filter);
void encode_delete_flow(Batch& batch, const Flow& flow);

class Conntrack final : public Flows {
 public:
  // Loads nf_conntrack_netlink if need be. Error: unsupported or denied, saying what to do.
  [[nodiscard]] static Result<Conntrack> open();

  Result<void> list(const FlowFilter& filter, const Visit& visit) override;
  std::vector<Failure> remove(std::span<const Flow> flows) override;

 private:
  explicit Conntrack(Socket socket) : socket_(std::move(socket)), batch_(0) {}
  [[nodiscard]] Result<void> probe();

  Socket socket_;
  Batch batch_;
};

}  // namespace ipvsd::nl
