// kube-ipvsctl dump --raw: the netlink messages of a dump, those asked and those answered, or those of a capture.
#pragma once

#include <string>

#include "ctl/output.hpp"
#include "ctl/selector.hpp"

namespace ipvsd::ctl {

// Asks the kernel for the virtual servers, destinations and addresses that the selection matches and, if it is
// everything, for the sets, and writes the messages as text, or as a pcap file. Errors: as Observer's, and what `out`
// returns.
[[nodiscard]] Result<void> dump_raw(const Selectors& selection, bool as_capture, const Output& out);

// The messages of a file (raw_capture.hpp). Errors: of the file, with its name; malformed.
[[nodiscard]] Result<void> decode_capture(const std::string& path, const Output& out);

}  // namespace ipvsd::ctl
