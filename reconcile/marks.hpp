// Firewall marks for outside clients. Where externalTrafficPolicy is Local, packets from outside the cluster get a
// mark, and a virtual server by that mark holds the local endpoints only, while the ordinary one serves everybody else
// with all of them. There is one mark per Service port and family on a node, whatever the number of its addresses.
//
// IPVS compares the whole mark (net/netfilter/ipvs/ip_vs_ctl.c, __ip_vs_svc_fwm_find), so that a mark is a value within
// the configured mask, whose bits nobody else may use.
//
// Pure; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "model/kernel.hpp"
#include "model/objects.hpp"

namespace ipvsd {

// A Service port that wants a mark in a family, and where outside clients address it.
struct OutsidePort {
  Family family = Family::ipv4;
  std::string port;  // ServicePort::name
  Protocol protocol = Protocol::tcp;
  std::vector<VirtualServerKey> frontends;
};

struct PortMark {
  Family family = Family::ipv4;
  std::string port;
  Protocol protocol = Protocol::tcp;
  std::uint32_t mark = 0;  // never 0
};

class Marks {
 public:
  // mask 0: there are no marks.
  explicit Marks(std::uint32_t mask) : mask_(mask) {}

  // What was in the kernel at the start: a frontend gets the mark that it had.
  void observed(const std::vector<SetEntry>& entries);
  // The first complete view is written: marks that nobody has taken up again are free.
  void forget_observed() { observed_.clear(); }

  // The marks of a Service, which keeps those it has; what it wants no longer is free from now on. `in_kernel`: whether
  // there is, or may be, a virtual server by that mark; a new mark is one for which there is none. A port for which
  // there is no mark left is not in the result.
  using InKernel = std::function<bool(Family, std::uint32_t)>;
  [[nodiscard]] std::vector<PortMark> assign(const ObjectKey& service, const std::vector<OutsidePort>& ports,
                                             const InKernel& in_kernel);
  void release(const ObjectKey& service);

  // Services that wanted more marks than there were, and how many of their ports have none, by Family.
  using PerFamily = std::array<std::size_t, 2>;
  [[nodiscard]] const std::unordered_map<ObjectKey, PerFamily>& refused() const { return refused_; }
  // Those that have come to be refused since the last call.
  [[nodiscard]] std::vector<ObjectKey> take_newly_refused() { return std::exchange(newly_refused_, {}); }
  [[nodiscard]] std::uint32_t mask() const { return mask_; }

 private:
  [[nodiscard]] std::uint32_t choose(const OutsidePort& port, const InKernel& in_kernel);
  [[nodiscard]] bool taken(Family family, std::uint32_t mark) const;
  void free(const PortMark& mark) { taken_[static_cast<std::size_t>(mark.family)].erase(mark.mark); }

  std::uint32_t mask_;
  std::unordered_map<ObjectKey, std::vector<PortMark>> assigned_;
  std::array<std::unordered_set<std::uint32_t>, 2> taken_;  // by Family
  std::array<std::uint32_t, 2> last_{0, 0};                 // handed out, by Family
  std::unordered_map<VirtualServerKey, std::uint32_t> observed_;
  std::unordered_map<ObjectKey, PerFamily> refused_;
  std::vector<ObjectKey> newly_refused_;
};

// The mark of a port, 0 if it has none.
[[nodiscard]] std::uint32_t mark_of(const std::vector<PortMark>& marks, Family family, const ServicePort& port);

}  // namespace ipvsd
