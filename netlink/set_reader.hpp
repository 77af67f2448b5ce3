// Reads the members of ipsets, as numbers. libipset, which makes the sets, lists them as text that has to be made and
// taken apart again: twenty times the work.
#pragma once

#include <optional>
#include <vector>

#include "model/ip_set.hpp"
#include "netlink/socket.hpp"

namespace ipvsd::nl {

// One thread.
class SetReader {
 public:
  [[nodiscard]] static Result<SetReader> open();

  // Appends the next members of the set to `into`, `enough` or a few hundred more; true if there are more to come. With
  // another set than before, after an end, or after an error it begins at the beginning. What is added or removed
  // between two pieces may be missing or not. Error: not_found; as Socket::query.
  [[nodiscard]] Result<bool> next(IpSet set, std::size_t enough, std::vector<SetEntry>& into);

 private:
  explicit SetReader(Socket socket) : socket_(std::move(socket)), batch_(0) {}
  [[nodiscard]] Result<bool> read_piece(IpSet set, std::vector<SetEntry>& into);
  [[nodiscard]] Result<void> drain();

  Socket socket_;
  Batch batch_;
  std::optional<IpSet> open_;  // whose listing is under way
};

}  // namespace ipvsd::nl
