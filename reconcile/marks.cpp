#include "reconcile/marks.hpp"

#include <algorithm>

namespace ipvsd {
namespace {

// The next larger number that has bits of the mask only; 0 after the largest.
std::uint32_t next_within(std::uint32_t mask, std::uint32_t mark) { return ((mark | ~mask) + 1) & mask; }

bool same_port(const PortMark& mark, Family family, std::string_view port, Protocol protocol) {
  return mark.family == family && mark.protocol == protocol && mark.port == port;
}

}  // namespace

std::uint32_t mark_of(const std::vector<PortMark>& marks, Family family, const ServicePort& port) {
  for (const auto& mark : marks)
    if (same_port(mark, family, port.name, port.protocol)) return mark.mark;
  return 0;
}

void Marks::observed(const std::vector<SetEntry>& entries) {
  for (const auto& entry : entries)
    if (entry.set.kind == SetKind::outside && entry.mark.mask == mask_)
      observed_[{entry.address, entry.protocol, entry.port, 0}] = entry.mark.value;
}

bool Marks::taken(Family family, std::uint32_t mark) const {
  return taken_[static_cast<std::size_t>(family)].contains(mark);
}

std::uint32_t Marks::choose(const OutsidePort& port, const InKernel& in_kernel) {
  for (const auto& frontend : port.frontends) {
    const auto had = observed_.find(frontend);
    if (had == observed_.end() || had->second == 0 || (had->second & ~mask_) != 0) continue;
    if (!taken(port.family, had->second)) return had->second;
  }
  auto& last = last_[static_cast<std::size_t>(port.family)];
  const std::uint32_t first = last;
  do {
    last = next_within(mask_, last);
    if (last != 0 && !taken(port.family, last) && !in_kernel(port.family, last)) return last;
  } while (last != first);
  return 0;
}

std::vector<PortMark> Marks::assign(const ObjectKey& service, const std::vector<OutsidePort>& ports,
                                    const InKernel& in_kernel) {
  const bool was_refused = refused_.erase(service) > 0;
  if (ports.empty() && !assigned_.contains(service)) return {};
  const auto had = std::exchange(assigned_[service], {});
  std::vector<PortMark> marks;
  const auto wanted = [&](const PortMark& mark) {
    return std::any_of(ports.begin(), ports.end(),
                       [&](const OutsidePort& port) { return same_port(mark, port.family, port.port, port.protocol); });
  };
  for (const auto& mark : had) {
    if (wanted(mark))
      marks.push_back(mark);
    else
      free(mark);
  }
  for (const auto& port : ports) {
    if (std::any_of(marks.begin(), marks.end(),
                    [&](const PortMark& mark) { return same_port(mark, port.family, port.port, port.protocol); }))
      continue;
    const auto mark = choose(port, in_kernel);
    if (mark == 0) {
      if (!was_refused && !refused_.contains(service)) newly_refused_.push_back(service);
      ++refused_[service][static_cast<std::size_t>(port.family)];
      continue;
    }
    taken_[static_cast<std::size_t>(port.family)].insert(mark);
    marks.push_back({port.family, port.port, port.protocol, mark});
  }
  if (marks.empty())
    assigned_.erase(service);
  else
    assigned_[service] = marks;
  return marks;
}

void Marks::release(const ObjectKey& service) {
  refused_.erase(service);
  const auto held = assigned_.find(service);
  if (held == assigned_.end()) return;
  for (const auto& mark : held->second) free(mark);
  assigned_.erase(held);
}

}  // namespace ipvsd
