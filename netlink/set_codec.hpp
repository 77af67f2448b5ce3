// The messages about ipsets' entries, to bytes and back. Pure.
//
// Source: uapi/linux/netfilter/ipset/ip_set.h (IPSET_CMD_*, IPSET_ATTR_*), net/netfilter/ipset/ip_set_core.c.
#pragma once

#include <functional>
#include <string_view>

#include "model/ip_set.hpp"
#include "model/kernel.hpp"
#include "netlink/message.hpp"

namespace ipvsd::nl {

// Opens a message about a set: the header, and the attributes that all of them have.
void begin_set_message(Batch& batch, std::uint8_t command, std::uint16_t flags, Family family,
                       std::string_view set_name);
// The attribute IPSET_ATTR_DATA: an entry to be added, with its mark where the set carries marks, or removed.
void encode_entry(Batch& batch, Verb verb, const SetEntry& entry);

// The entries in one message of a listing, behind its nlmsghdr. Error: malformed; an entry is never dropped.
[[nodiscard]] Result<void> decode_members(Bytes payload, IpSet set, const std::function<void(const SetEntry&)>& visit);

}  // namespace ipvsd::nl
