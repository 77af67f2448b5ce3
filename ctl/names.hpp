// What the objects of the cluster call the kernel's things: Services by virtual server, pods by address. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/kernel.hpp"
#include "model/objects.hpp"

namespace ipvsd::ctl {

// Where one port of a Service is reached: at an address, or (address unset) at any of the node's, or by a firewall
// mark.
struct Frontend {
  ObjectKey service;
  std::string port;  // its name; its number where it has none
  VirtualServerKey key;
  bool node_port = false;
  [[nodiscard]] std::string to_string() const { return service.to_string() + ":" + port; }  // "default/web:http"
};

class Names {
 public:
  // In any order, each once.
  void add(const Service& service);
  void add(const EndpointSlice& slice);
  // Entries of the sets SetKind::outside; others are passed over. They say which mark outside clients of an address and
  // port get, and so whose the virtual server by that mark is. After the Services.
  void add_marks(std::span<const SetEntry> entries);

  [[nodiscard]] bool empty() const { return frontends_.empty() && pods_.empty(); }

  // The Service port behind a virtual server; of several claimants the oldest, as the daemon has it. Null if unknown.
  [[nodiscard]] const Frontend* of(const VirtualServerKey& key) const;
  // The Services that have the address, ascending.
  [[nodiscard]] std::vector<std::string> at(const IpAddress& address) const;
  // The pod at the address, null if unknown.
  [[nodiscard]] const ObjectKey* pod_at(const IpAddress& address) const;

  // What a word on the command line means: NAME, NAMESPACE/NAME, NAMESPACE/, NAMESPACE, each with :PORT or without. An
  // exact name goes before one that the word only begins, a Service before a namespace. Ascending by Service.
  [[nodiscard]] std::vector<const Frontend*> find(std::string_view word) const;

  // "namespace/name" of all Services, ascending.
  [[nodiscard]] std::vector<std::string> services() const;

 private:
  struct Known {
    std::chrono::sys_seconds created{};
    std::vector<std::uint32_t> frontends;
  };
  void claim(std::uint32_t index, const Service& service);
  [[nodiscard]] bool older(const Service& service, const Frontend& holder) const;

  std::map<ObjectKey, Known> services_;
  std::vector<Frontend> frontends_;
  std::unordered_map<VirtualServerKey, std::uint32_t> by_key_;
  std::map<std::pair<Protocol, Port>, std::uint32_t> by_node_port_;
  std::unordered_map<IpAddress, ObjectKey> pods_;
};

// Whether a word can be one that Names::find understands, rather than a slip of the pen.
[[nodiscard]] bool may_be_name(std::string_view word);

}  // namespace ipvsd::ctl
