#include "ctl/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <set>

namespace ipvsd::ctl {
namespace {

struct Word {
  std::string_view ns;
  std::string_view name;
  std::string_view port;
  bool has_ns = false;
};

Word split(std::string_view text) {
  Word word;
  if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    word.port = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  const auto slash = text.find('/');
  word.has_ns = slash != std::string_view::npos;
  word.ns = word.has_ns ? text.substr(0, slash) : std::string_view{};
  word.name = word.has_ns ? text.substr(slash + 1) : text;
  return word;
}

using Test = std::function<bool(const ObjectKey&)>;

// What is tried one after the other, until one of them finds something.
std::vector<Test> readings(const Word& word) {
  const auto name_is = [word](const ObjectKey& key) { return key.name == word.name; };
  const auto name_begins = [word](const ObjectKey& key) { return key.name.starts_with(word.name); };
  if (!word.has_ns)
    return {name_is, [word](const ObjectKey& key) { return key.ns == word.name; }, name_begins,
            [word](const ObjectKey& key) { return key.ns.starts_with(word.name); }};
  const auto ns_is = [word](const ObjectKey& key) { return key.ns == word.ns; };
  const auto ns_begins = [word](const ObjectKey& key) { return key.ns.starts_with(word.ns); };
  return {[=](const ObjectKey& key) { return ns_is(key) && name_is(key); },
          [=](const ObjectKey& key) { return ns_is(key) && name_begins(key); },
          [=](const ObjectKey& key) { return ns_begins(key) && name_begins(key); }};
}

}  // namespace

bool Names::older(const Service& service, const Frontend& holder) const {
  const auto& known = services_.at(holder.service);
  return std::pair(service.created, service.key) < std::pair(known.created, holder.service);
}

void Names::claim(std::uint32_t index, const Service& service) {
  const auto& frontend = frontends_[index];
  const auto settle = [&](auto& claims, const auto& key) {
    const auto [claim, fresh] = claims.try_emplace(key, index);
    if (!fresh && older(service, frontends_[claim->second])) claim->second = index;
  };
  if (frontend.node_port)
    settle(by_node_port_, std::pair(frontend.key.protocol, frontend.key.port));
  else
    settle(by_key_, frontend.key);
}

void Names::add(const Service& service) {
  if (service.ignored) return;
  auto& known = services_[service.key];
  known.created = service.created;
  for (const auto& port : service.ports) {
    const auto name = port.name.empty() ? fmt::format("{}", port.port.number) : port.name;
    const auto put = [&](const IpAddress& address, Port number, bool node_port) {
      const auto index = static_cast<std::uint32_t>(frontends_.size());
      frontends_.push_back({service.key, name, {address, port.protocol, number, 0}, node_port});
      known.frontends.push_back(index);
      claim(index, service);
    };
    for (const auto* addresses : {&service.cluster_ips, &service.external_ips, &service.load_balancer_ips})
      for (const auto& address : *addresses) put(address, port.port, false);
    if (port.node_port.number != 0) put({}, port.node_port, true);
  }
}

void Names::add(const EndpointSlice& slice) {
  if (slice.ignored) return;
  for (const auto& endpoint : slice.endpoints)
    if (const auto pod = slice.pod_of(endpoint); !pod.empty())
      pods_.insert_or_assign(endpoint.address, ObjectKey{slice.key.ns, std::string(pod)});
}

void Names::add_marks(std::span<const SetEntry> entries) {
  for (const auto& entry : entries) {
    if (entry.set.kind != SetKind::outside || entry.mark.value == 0) continue;
    const auto* marked = of({entry.address, entry.protocol, entry.port, 0});
    if (marked == nullptr) continue;
    Frontend frontend{marked->service, marked->port, {}, false};
    frontend.key = {IpAddress::any(entry.set.family), Protocol::none, Port{}, entry.mark.value};
    // One mark serves all addresses of a Service port.
    const auto index = static_cast<std::uint32_t>(frontends_.size());
    if (!by_key_.try_emplace(frontend.key, index).second) continue;
    services_.at(frontend.service).frontends.push_back(index);
    frontends_.push_back(std::move(frontend));
  }
}

const Frontend* Names::of(const VirtualServerKey& key) const {
  if (const auto found = by_key_.find(key); found != by_key_.end()) return &frontends_[found->second];
  if (key.fwmark != 0) return nullptr;
  const auto found = by_node_port_.find(std::pair(key.protocol, key.port));
  return found == by_node_port_.end() ? nullptr : &frontends_[found->second];
}

std::vector<std::string> Names::at(const IpAddress& address) const {
  std::set<std::string> found;
  for (const auto& frontend : frontends_)
    if (!frontend.node_port && frontend.key.address == address) found.insert(frontend.service.to_string());
  return {found.begin(), found.end()};
}

const ObjectKey* Names::pod_at(const IpAddress& address) const {
  const auto found = pods_.find(address);
  return found == pods_.end() ? nullptr : &found->second;
}

std::vector<const Frontend*> Names::find(std::string_view text) const {
  const auto word = split(text);
  std::vector<const Frontend*> found;
  for (const auto& test : readings(word)) {
    for (const auto& [key, known] : services_)
      if (test(key))
        for (const auto index : known.frontends) found.push_back(&frontends_[index]);
    if (!found.empty()) break;
  }
  if (word.port.empty()) return found;
  const auto keep = [&](auto test) {
    std::vector<const Frontend*> kept;
    std::copy_if(found.begin(), found.end(), std::back_inserter(kept), test);
    return kept;
  };
  auto exact = keep([&](const Frontend* frontend) {
    return frontend->port == word.port || fmt::format("{}", frontend->key.port.number) == word.port;
  });
  // A mark has no number of its own: it goes with the port that it stands for.
  std::copy_if(found.begin(), found.end(), std::back_inserter(exact), [&](const Frontend* frontend) {
    return frontend->key.fwmark != 0 && frontend->port != word.port &&
           std::any_of(exact.begin(), exact.end(), [&](const Frontend* one) {
             return one->service == frontend->service && one->port == frontend->port;
           });
  });
  if (!exact.empty()) return exact;
  return keep([&](const Frontend* frontend) { return frontend->port.starts_with(word.port); });
}

std::vector<std::string> Names::services() const {
  std::vector<std::string> names;
  names.reserve(services_.size());
  for (const auto& [key, known] : services_) names.push_back(key.to_string());
  return names;
}

bool may_be_name(std::string_view text) {
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto name = [&](std::string_view part) {
    return part.size() <= 253 && std::all_of(part.begin(), part.end(), [&](char c) {
             return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
           });
  };
  const auto word = split(text);
  if (!name(word.ns) || !name(word.port) || !name(word.name)) return false;
  return word.has_ns ? !word.ns.empty() : !word.name.empty() && letter(word.name.front());
}

}  // namespace ipvsd::ctl
