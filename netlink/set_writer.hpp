// Adds and removes entries of ipsets. Those of one set travel in one message, many messages to a send. The kernel stops
// at the first entry of a message that it refuses, and does not say which that was: the entries of a refused message
// are sent once more, each in one of its own. (libipset, which makes the sets, sends a page at a time.)
//
// Source: uapi/linux/netfilter/ipset/ip_set.h and ip_set_hash.h (IPSET_ERR_*); net/netfilter/ipset/ip_set_core.c,
// ip_set_ad(): without NLM_F_EXCL what is there already is no error, nor is what is not there to be removed.
#pragma once

#include <string_view>
#include <vector>

#include "model/ip_set.hpp"
#include "model/kernel.hpp"
#include "netlink/socket.hpp"

namespace ipvsd::nl {

// Error.sys_errno of an entry for which a set has no room (IPSET_ERR_HASH_FULL).
extern const int set_is_full;

// One thread.
class SetWriter {
 public:
  [[nodiscard]] static Result<SetWriter> open();

  // Adds and removes entries. All targets must be SetEntry, and the verbs add or remove. Idempotent. What fails does
  // not stop the others, but may be tried after them. `name`: of the set, where it is not that of the entries. Returns
  // the failures by ascending index: not_found if the set does not exist, unsupported with `set_is_full` or what the
  // kernel has against the element, overrun and timed_out where an answer was lost.
  [[nodiscard]] std::vector<Failure> execute(std::span<const Operation> operations, std::string_view name = {});

 private:
  // Operations that share a message, and what came of it.
  struct Run {
    std::size_t first;
    std::size_t count;
    Error error;
  };
  explicit SetWriter(Socket socket) : socket_(std::move(socket)), batch_(0) {}
  // Those that failed; `entries`: at most so many to a message.
  [[nodiscard]] std::vector<Run> write(std::span<const Operation> operations, std::string_view name,
                                       std::size_t entries);

  Socket socket_;
  Batch batch_;
};

}  // namespace ipvsd::nl
