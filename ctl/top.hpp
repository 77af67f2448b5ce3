// kube-ipvsctl top: the Services by what goes through them. Pure: what was observed -> rows, keys -> state, state ->
// a screen. The rates are the kernel's own (its estimator renews them every two seconds), so that one look suffices.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/names.hpp"
#include "ctl/observation.hpp"
#include "ctl/output.hpp"

namespace ipvsd::ctl {

enum class TopOrder : std::uint8_t { connections, packets, bytes, name };
inline constexpr std::array top_orders{TopOrder::connections, TopOrder::packets, TopOrder::bytes, TopOrder::name};
[[nodiscard]] std::string_view to_string(TopOrder order);
// Error: malformed, naming what is accepted.
[[nodiscard]] Result<TopOrder> parse_top_order(std::string_view text);

// A Service with its virtual servers; a virtual server of no known Service stands for itself.
struct TopService {
  std::string label;  // "default/web", "10.96.0.1:443/TCP"
  nl::Statistics sum;
  std::vector<VirtualServerKey> servers;
};

// Ascending by label.
[[nodiscard]] std::vector<TopService> top_services(const ServerRecords& records, const Names& names);
// The busiest first, equal ones by label.
void sort_services(std::vector<TopService>& services, TopOrder order);

// One endpoint of a Service, over all of its virtual servers.
struct TopEndpoint {
  std::string label;  // "10.244.1.11:8080"
  std::string pod;    // "" if unknown
  std::uint32_t weight = 0;
  std::uint64_t active = 0;
  std::uint64_t inactive = 0;
  nl::Statistics sum;
};
[[nodiscard]] std::vector<TopEndpoint> top_endpoints(std::span<const ObservedServer> servers, const Names& names);

enum class Key : std::uint8_t { none, up, down, page_up, page_down, home, end, enter, escape, erase, other };
struct KeyPress {
  Key key = Key::none;
  char letter = 0;  // with Key::other
  friend bool operator==(const KeyPress&, const KeyPress&) = default;
};
// Takes one key off the front of what a terminal sent; Key::none for bytes that are no key of ours. `text` must not be
// empty.
[[nodiscard]] KeyPress take_key(std::string_view& text);

// What the user has chosen. rows: of the screen, for Services and endpoints.
struct TopState {
  TopOrder order = TopOrder::connections;
  std::string search;      // part of the label
  bool searching = false;  // keys go to `search`
  bool help = false;
  bool quit = false;
  std::size_t cursor = 0;  // among the Services shown
  std::size_t first = 0;   // shown at the top
  std::set<std::string> unfolded;
  std::size_t rows = 20;

  void press(const KeyPress& key, std::span<const TopService> shown);
};

// Those that the search leaves.
[[nodiscard]] std::vector<TopService> searched(std::vector<TopService> services, std::string_view search);
// Keeps cursor and first row within what is there.
void settle(TopState& state, std::size_t services);

using TopEndpoints = std::map<std::string, std::vector<TopEndpoint>>;  // by the Service's label
[[nodiscard]] std::string top_screen(const TopState& state, std::span<const TopService> shown,
                                     const TopEndpoints& endpoints, const Terminal& terminal);
// All of them, once, for scripts.
[[nodiscard]] std::string top_table(std::span<const TopService> services, const TopEndpoints& endpoints,
                                    const Terminal& terminal);
[[nodiscard]] std::string top_json(std::span<const TopService> services, const TopEndpoints& endpoints);

}  // namespace ipvsd::ctl
