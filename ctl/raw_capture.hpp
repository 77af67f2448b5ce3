// Captures of netlink: what tcpdump -i nlmon0 wrote (pcap, LINKTYPE_NETLINK), or nlmsghdrs one behind the other. Pure.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ctl/raw_tables.hpp"
#include "model/result.hpp"
#include "netlink/message.hpp"

namespace ipvsd::ctl {

// Visits each datagram. A stream without any frame is one datagram, of unknown protocol. Error: malformed, with the
// place, for a pcap file that is cut or of another kind of link; what came before it has been visited.
[[nodiscard]] Result<void> read_capture(nl::Bytes file,
                                        const std::function<void(NetlinkProtocol, nl::Bytes datagram)>& visit);

// A pcap file: its head, and the record of one datagram. `outgoing`: to the kernel.
[[nodiscard]] std::string capture_head();
[[nodiscard]] std::string capture_record(NetlinkProtocol protocol, bool outgoing, nl::Bytes datagram);

}  // namespace ipvsd::ctl
