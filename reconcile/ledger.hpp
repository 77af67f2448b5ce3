// Desired beside actual, object by object. The diff is by kernel object and not by Service: an address, a set entry or
// a virtual server that several Services claim is one row here, and when it moves from one to another it is updated in
// place. "Actual" is what the kernel acknowledged or showed, never what was sent.
//
// Pure; one thread.
#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "reconcile/desired.hpp"
#include "reconcile/plan.hpp"
#include "reconcile/routes.hpp"

namespace ipvsd {

// A row: the thing that is planned, can fail, and is retried, as one.
using ObjectId = std::variant<VirtualServerKey, BoundAddress, SetEntry, Cidr>;  // Cidr: a local route
[[nodiscard]] std::string to_string(const ObjectId& id);
// The row that an operation belongs to.
[[nodiscard]] ObjectId object_of(const Operation& operation);

// Two Services want the same address, port and protocol. The older one (by creation, then by name) has it.
struct Conflict {
  VirtualServerKey server;
  ObjectKey owner;
  ObjectKey loser;
  friend bool operator==(const Conflict&, const Conflict&) = default;
};

using Instant = std::chrono::steady_clock::time_point;

class Ledger {
 public:
  // Virtual servers in `exclude_cidrs` are never removed, and nothing at all of a family that is not served.
  explicit Ledger(std::vector<Cidr> exclude_cidrs, std::array<bool, 2> serves = {true, true})
      : exclude_cidrs_(std::move(exclude_cidrs)), serves_(serves) {}

  // --- desired: all a Service wants replaces what it wanted before --------------------------------------------------
  void contribute(const Service& service, Contribution contribution);
  void withdraw(const ObjectKey& service);

  // The local routes; see reconcile/routes.hpp.
  void want_routes(const std::vector<LocalRoute>& routes) { routes_.want(routes); }
  [[nodiscard]] const RouteRows& routes() const { return routes_; }

  // --- actual -------------------------------------------------------------------------------------------------------
  // Everything, at start. What is not ours (see owned() in reconcile/ownership.hpp) is remembered, and touched only if
  // something desired has the same key.
  void observed(const KernelState& state, const std::unordered_set<VirtualServerKey>& owned);
  // One virtual server, at any time; returns whether it differed from what was known.
  bool observed(const VirtualServerKey& key, const std::optional<ObservedVirtualServer>& found);
  // Whether this is what is known.
  [[nodiscard]] bool agrees(const ObservedVirtualServer& found) const;
  // A pass over all virtual servers: whether what the kernel showed just now is what is known; and then, of the next
  // `rows` or so, those known to be there that were neither confirmed so nor observed since the pass began. False at
  // the end; what is added meanwhile may be left to the next pass.
  void start_pass();
  [[nodiscard]] bool confirmed(const ObservedVirtualServer& found);
  [[nodiscard]] bool next_unconfirmed(std::size_t rows, std::vector<VirtualServerKey>& into);
  // The members of one set; returns how many differed.
  std::size_t observed(IpSet set, const std::vector<SetEntry>& members);
  // To compare a set piece by piece, one that carries no marks: how many of these the kernel is known to hold, and how
  // many it should hold in all.
  [[nodiscard]] std::size_t known_members(std::span<const SetEntry> members) const;
  [[nodiscard]] std::size_t actual_members(IpSet set) const;
  // An address on kube-ipvs0 that appeared or went; returns whether that was news.
  bool observed(const IpAddress& address, bool bound);
  // All addresses on kube-ipvs0; returns how many of ours were missing.
  std::size_t observed_bound(const std::unordered_set<IpAddress>& bound);
  // All routes of ours; returns how many were missing or different.
  std::size_t observed_routes(const std::vector<LocalRoute>& routes) { return routes_.observed(routes); }
  // An operation that the kernel acknowledged.
  void performed(const Operation& operation);
  // An operation on this row may or may not have happened. Until it is seen again or written successfully, the row is
  // taken for neither present nor absent, and never forgotten.
  void doubt(const Operation& operation);
  [[nodiscard]] std::vector<VirtualServerKey> doubtful_servers() const {
    return {doubtful_servers_.begin(), doubtful_servers_.end()};
  }

  // --- the difference -----------------------------------------------------------------------------------------------
  // From now on what was there at the start and nobody desires goes, too. Before the first complete view of the API,
  // its absence from that means nothing.
  void start_pruning();
  // The operations for every row touched since the last call. Into a plan that is used again and again it costs no
  // memory: pages that go back to the system at each step are dearer than what is written to them.
  void plan(Plan& into);
  [[nodiscard]] Plan plan() {
    Plan fresh;
    plan(fresh);
    return fresh;
  }
  // Plans the row again although nothing about it changed (after a failure).
  void touch(const ObjectId& id);
  // What is touched now is planned later, as one piece, behind the pieces put off before, unless it is touched again;
  // also what of it was put off before. All rows of a Service stay in one piece, or all but its missing addresses: a
  // piece of these comes behind all others, which costs the kernel less (docs/performance.md).
  enum class MissingAddresses { with_the_rest, last };
  void put_off(MissingAddresses missing);
  // The oldest piece is in the next plan.
  void take_up();
  [[nodiscard]] bool has_put_off() const { return !put_off_.empty() || !addresses_put_off_.empty(); }

  // --- draining -----------------------------------------------------------------------------------------------------
  // Virtual servers with destinations at weight 0 that wait for their connections to end; and since when each of these
  // was seen to wait.
  using DrainStarts = std::map<DestinationKey, Instant>;
  [[nodiscard]] const std::unordered_map<VirtualServerKey, DrainStarts>& draining() const { return draining_; }
  // Of what was just observed: the removals of destinations that are unwanted, at weight 0, and idle or seen so for as
  // long as the `limit`.
  [[nodiscard]] Plan plan_removals(const ObservedVirtualServer& found, Instant now,
                                   std::optional<std::chrono::seconds> limit);

  // --- what a reader asks -------------------------------------------------------------------------------------------
  [[nodiscard]] std::vector<Conflict> conflicts() const;
  // Those that arose since the last call.
  [[nodiscard]] std::vector<Conflict> take_new_conflicts() { return std::exchange(new_conflicts_, {}); }
  [[nodiscard]] std::size_t conflict_count() const { return contested_.size(); }
  [[nodiscard]] std::vector<VirtualServerKey> servers() const;
  [[nodiscard]] std::size_t server_count() const { return servers_.size(); }
  // The Services that want this row, at most `limit`; of a virtual server the one that has it first. O(Services) unless
  // it is a virtual server.
  [[nodiscard]] std::vector<ObjectKey> claimants(const ObjectId& id, std::size_t limit) const;
  [[nodiscard]] bool is_actual(const VirtualServerKey& key) const;
  [[nodiscard]] const VirtualServer* actual(const VirtualServerKey& key) const;  // nullptr: it is not known to be there
  // Whether it is, may be, or should be in the kernel.
  [[nodiscard]] bool knows(const VirtualServerKey& key) const { return servers_.contains(key); }
  [[nodiscard]] bool has_destinations(const VirtualServerKey& key) const;  // actual ones
  // What the rightful claimant wants behind it, for outside clients too, sorted; nothing where nobody claims it.
  [[nodiscard]] std::vector<DestinationKey> wanted(const VirtualServerKey& key) const;
  // The address is desired on kube-ipvs0, and not known to be there.
  [[nodiscard]] bool awaits_binding(const IpAddress& address) const;
  struct Size {
    std::size_t servers = 0, destinations = 0, addresses = 0, entries = 0, services = 0, routes = 0;
    friend bool operator==(const Size&, const Size&) = default;
  };
  [[nodiscard]] Size actual_size() const;
  // The kernel has acknowledged all that the Service wants, or the older claimant of what it shares. False for a
  // Service that has contributed nothing.
  [[nodiscard]] bool is_written(const ObjectKey& service) const;
  // Desired and actual agree, up to draining destinations.
  [[nodiscard]] bool settled() const;

 private:
  // When a row is planned: not until it is touched, in the next plan, or with the piece that has this number.
  using Turn = std::uint16_t;
  static constexpr Turn untouched = 0;
  static constexpr Turn next_plan = 1;

  struct Owner {
    const ObjectKey* key = nullptr;  // in owners_
    std::chrono::sys_seconds created{};
    std::vector<VirtualServerKey> servers;
    std::vector<IpAddress> addresses;
    std::vector<SetEntry> entries;
  };
  struct Claim {
    const Owner* owner;
    VirtualServer server;
    std::vector<Destination> destinations;  // sorted by key
    Mark outside{};
  };
  // A frontend: a virtual server, its destinations, and the set entry that leads outside clients past it.
  struct ServerRow {
    std::vector<Claim> claims;  // the rightful owner first
    std::optional<VirtualServer> actual;
    std::vector<Destination>
        differing;           // the actual destinations, sorted by key, where they differ from what is wanted
    bool as_wanted = false;  // they are those of the first claim: most rows are so for most of their time
    Mark actual_outside{};
    bool outside_doubtful = false;
    Protocol protocol = Protocol::none;  // of the traffic, as its last owner said; none: not known
    bool ours = false;                   // may be removed when nobody claims it
    bool inherited = false;              // was there at the start, and nobody has claimed it since
    Turn turn = untouched;
    std::uint16_t listed = 0;        // in how many lists of touched rows it is; there it may not be forgotten
    std::uint32_t confirmed_in = 0;  // the last pass that did

    [[nodiscard]] const std::vector<Destination>& destinations() const {
      return as_wanted ? claims.front().destinations : differing;
    }
    // The actual destinations, to be changed; and before what is wanted changes.
    std::vector<Destination>& own_destinations();
    // Gives up what is equal to what is wanted.
    void compare_destinations();
    void set_destinations(std::vector<Destination> found);
  };
  struct CountedRow {
    std::uint32_t claims = 0;
    bool actual = false;
    bool doubtful = false;
    bool ours = false;
    bool inherited = false;
    Turn turn = untouched;
    std::uint16_t listed = 0;
  };
  template <class Key>
  using Counted = std::unordered_map<Key, CountedRow>;
  using Servers = std::unordered_map<VirtualServerKey, ServerRow>;
  // Rows to be planned; of a piece, those whose turn it still is.
  struct Touched {
    Turn turn = next_plan;
    std::vector<Servers::value_type*> servers;
    std::vector<Counted<IpAddress>::value_type*> addresses;
    std::vector<Counted<SetEntry>::value_type*> entries;
    [[nodiscard]] bool empty() const { return servers.empty() && addresses.empty() && entries.empty(); }
  };

  [[nodiscard]] bool is_written(const ServerRow& row) const;
  void claim(const Owner& owner, Frontend frontend);
  void unclaim(const Owner& owner, const VirtualServerKey& key);
  void touch(Servers::value_type& entry) { touch(touched_.servers, entry); }
  void touch(Counted<IpAddress>::value_type& entry) { touch(touched_.addresses, entry); }
  void touch(Counted<SetEntry>::value_type& entry) { touch(touched_.entries, entry); }
  template <class Entry>
  static void touch(std::vector<Entry*>& list, Entry& entry) {
    if (std::exchange(entry.second.turn, next_plan) == next_plan) return;
    ++entry.second.listed;
    list.push_back(&entry);
  }
  template <class Map, class Key>
  void touch_known(Map& rows, const Key& key);
  void take_out(const Owner& owner);
  template <class Key>
  void count(Counted<Key>& rows, const Key& key, int change);
  template <class Key>
  void recount(Counted<Key>& rows, const std::vector<Key>& before, const std::vector<Key>& now);
  template <class Key>
  void performed_counted(Counted<Key>& rows, Verb verb, const Key& key);

  // Whether a row that nobody claims may go, if it is ours.
  template <class Row>
  [[nodiscard]] bool unneeded(const Row& row, Family family) const {
    return (pruning_ || !row.inherited) && serves_[static_cast<std::size_t>(family)];
  }
  template <class Row>
  [[nodiscard]] bool removable(const Row& row, Family family) const {
    return row.ours && unneeded(row, family);
  }
  void plan_server(const VirtualServerKey& key, ServerRow& row, Plan& plan);
  void plan_address(const IpAddress& address, const CountedRow& row, Plan& plan) const;
  void plan_entry(const SetEntry& entry, CountedRow& row, Plan& plan);
  [[nodiscard]] bool proves_inherited(const SetEntry& entry) const;
  void plan_outside(const VirtualServerKey& key, const ServerRow& row, Plan& plan);
  void plan_destinations(const VirtualServerKey& key, const ServerRow& row, Plan& plan);
  void plan_end(const VirtualServerKey& key, const ServerRow& row, Plan& plan);
  [[nodiscard]] bool marks_ownership(const SetEntry& entry) const;
  [[nodiscard]] bool proves_ownership(const SetEntry& entry) const;
  [[nodiscard]] bool excluded(const VirtualServerKey& key) const;

  void note_actual(const SetEntry& entry, bool before, bool now);
  void note_actual(const IpAddress&, bool, bool) {}
  ServerRow& performed_row(const VirtualServerKey& key);
  void performed_server(Verb verb, const VirtualServer& server);
  void performed_destination(Verb verb, const DestinationOf& of);
  void performed_outside(Verb verb, const SetEntry& entry);
  bool observed_outside(Servers::value_type& entry, Mark found);
  std::size_t observed_outside(Family family, const std::vector<SetEntry>& members);
  void forget_if_empty(Servers::value_type& entry);
  void forget_if_empty(const VirtualServerKey& key);
  void forget_if_empty(Counted<IpAddress>::value_type& entry) { forget_counted(addresses_, entry); }
  void forget_if_empty(Counted<SetEntry>::value_type& entry) { forget_counted(entries_, entry); }
  template <class Key>
  static void forget_counted(Counted<Key>& rows, typename Counted<Key>::value_type& entry) {
    const CountedRow& row = entry.second;
    if (row.claims == 0 && !row.actual && !row.doubtful && row.listed == 0) rows.erase(rows.find(entry.first));
  }

  std::vector<Cidr> exclude_cidrs_;
  std::array<bool, 2> serves_;
  bool pruning_ = false;
  std::unordered_map<ObjectKey, Owner> owners_;
  Servers servers_;
  Servers::value_type* last_performed_ = nullptr;  // in servers_: destinations of one virtual server come in a row
  Counted<IpAddress> addresses_;
  Counted<SetEntry> entries_;
  RouteRows routes_;
  std::uint32_t pass_ = 1;
  std::size_t buckets_passed_ = 0;                                           // of servers_
  std::array<std::array<std::size_t, set_kind_count>, 2> actual_members_{};  // by family and kind: of entries_
  // What was there at the start; until pruning begins.
  std::vector<VirtualServerKey> inherited_servers_;
  std::vector<IpAddress> inherited_addresses_;
  std::vector<SetEntry> inherited_entries_;
  Touched touched_;
  std::deque<Touched> put_off_;
  std::deque<Touched> addresses_put_off_;
  Turn last_piece_ = next_plan;  // the number of the piece put off last
  std::unordered_map<VirtualServerKey, DrainStarts> draining_;
  std::unordered_set<VirtualServerKey> doubtful_servers_;
  std::unordered_set<VirtualServerKey> contested_;
  std::vector<Conflict> new_conflicts_;
};

}  // namespace ipvsd
