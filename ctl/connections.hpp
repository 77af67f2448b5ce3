// The kernel's table of IPVS connections, /proc/net/ip_vs_conn: the only interface to it. Line by line, because there
// may be millions.
//
// Source: net/netfilter/ipvs/ip_vs_conn.c, ip_vs_conn_seq_show.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "ctl/observation.hpp"

namespace ipvsd::ctl {

// Pure. Error: malformed, with the line.
[[nodiscard]] Result<Connection> parse_connection(std::string_view line);

// Visits every connection; a line that is not understood is an error. The table is no snapshot. Errors: denied,
// not_found, malformed, and what `visit` returns.
[[nodiscard]] Result<void> read_connections(const std::function<Result<void>(const Connection&)>& visit,
                                            const std::string& path = "/proc/net/ip_vs_conn");

}  // namespace ipvsd::ctl
