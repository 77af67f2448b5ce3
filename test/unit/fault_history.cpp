#include "test/unit/fault_history.hpp"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>

#include "test/fake/fake_kernel.hpp"
#include "test/unit/objects.hpp"

namespace ipvsd::test {
namespace {

constexpr std::size_t passes_limit = 450;  // 45 s: the longest pause between retries is 30 s
// Beside what differs, what a retry or two and a change in place cost.
constexpr std::size_t operations_limit = 2000;

// Services and their slices that no history names; the second one's outside clients get a mark, where there are marks.
constexpr std::array steady_addresses{"10.96.99.1", "10.96.99.2", "198.51.100.99"};
std::vector<Object> steady_objects() {
  auto edge = cluster_ip_service("steady-edge", steady_addresses[1]);
  edge.type = ServiceType::load_balancer;
  edge.load_balancer_ips = {ip(steady_addresses[2])};
  edge.external_policy = TrafficPolicy::local;
  const std::vector endpoints{endpoint("10.244.9.1"), endpoint("10.244.9.2")};
  return {cluster_ip_service("steady", steady_addresses[0]), slice("steady", endpoints), edge,
          slice("steady-edge", endpoints)};
}

// One is by a mark of those that we hand out.
std::vector<Operation> foreign_operations() {
  VirtualServer by_address;
  by_address.key = tcp("192.168.77.2", 8443);
  VirtualServer by_mark;
  by_mark.key = {ip("0.0.0.0"), Protocol::none, Port{}, 0x3};
  const Destination theirs{{ip("10.244.8.8"), Port{443}}};
  return {{Verb::add, by_address},
          {Verb::add, DestinationOf{by_address.key, theirs}},
          {Verb::add, by_mark},
          {Verb::add, DestinationOf{by_mark.key, theirs}}};
}
bool foreign(const VirtualServerKey& key) {
  const auto all = foreign_operations();
  return std::any_of(all.begin(), all.end(), [&](const Operation& operation) {
    const auto* server = std::get_if<VirtualServer>(&operation.target);
    return server != nullptr && server->key == key;
  });
}

class FakeSite final : public Site {
 public:
  FakeSite() { kernel_.add_node_address("eth0", "192.168.77.2", 24); }
  Kernel& kernel() override { return kernel_; }
  void remove_link() override { kernel_.remove_link(); }
  void forget() override { (void)kernel_.take_log(); }

 private:
  FakeKernel kernel_;
};

const IpAddress& address_of(const Operation& operation) {
  if (const auto* server = std::get_if<VirtualServer>(&operation.target)) return server->key.address;
  if (const auto* of = std::get_if<DestinationOf>(&operation.target)) return of->server.address;
  if (const auto* bound = std::get_if<BoundAddress>(&operation.target)) return bound->address;
  return std::get<SetEntry>(operation.target).address;
}

bool takes_from_steady(const Operation& operation) {
  const auto& address = address_of(operation);
  if (std::none_of(steady_addresses.begin(), steady_addresses.end(),
                   [&](const char* one) { return address == ip(one); }))
    return false;
  const auto* of = std::get_if<DestinationOf>(&operation.target);
  if (of == nullptr) return operation.verb == Verb::remove;
  if (of->destination.key.address == ip("10.9.9.9")) return false;  // by a foreign hand
  return operation.verb == Verb::remove || of->destination.weight == 0;
}

class Run {
 public:
  Run(const MakeSite& make_site, Policy policy)
      : policy_(std::move(policy)), site_(make_site()), kernel_(site_->kernel()) {
    for (const auto& operation : foreign_operations())
      if (!site_->kernel().execute({&operation, 1}).empty()) fail_with("the kernel takes no foreign virtual server");
    watch();
    for (const auto& object : steady_objects()) put(object);
    start();
    converge();
  }

  void operator()(const Change& change) {
    if (change.object) return put(*change.object);
    objects_.erase({change.kind, change.key});
    reconciler_->apply(Remove{change.kind, change.key});
  }
  void operator()(const Work&) { pass(); }
  void operator()(const Restart&) { start(); }
  void operator()(const Trouble& trouble) {
    kernel_.trouble(trouble.seed, trouble.rate);
    site_->trouble(trouble.seed, trouble.rate);
  }
  void operator()(const Calm&) { converge(); }
  void operator()(const Hand& hand);

  void put(const Object& object) {
    objects_[{kind_of(object), key_of(object)}] = object;
    if (reconciler_) reconciler_->apply(Upsert{object});
  }
  // Looks at each operation from now on.
  void watch();
  void start();
  void converge();
  void end();
  // After end().
  void again();
  [[nodiscard]] bool failed() const { return !outcome_.failure.empty(); }
  [[nodiscard]] Outcome outcome() {
    outcome_.faults = kernel_.injected();
    return outcome_;
  }

 private:
  void fail_with(const std::string& text) {
    site_->calm();
    if (outcome_.failure.empty()) outcome_.failure = text;
  }
  bool pass();
  void settle();
  void compare(const std::string& when);
  [[nodiscard]] std::optional<Operation> deed(const Hand& hand, const KernelState& state);
  [[nodiscard]] std::string text() {
    auto state = site_->kernel().observe();
    return state ? text_of(with_marks_numbered(std::move(*state))) : state.error().message();
  }

  Policy policy_;
  std::unique_ptr<Site> site_;
  FaultyKernel kernel_;
  Objects objects_;
  std::optional<Reconciler> reconciler_;
  Instant now_{};
  std::size_t operations_ = 0;
  Outcome outcome_;
};

void Run::watch() {
  kernel_.seen = [this](const Operation& operation) {
    ++operations_;
    if (takes_from_steady(operation)) fail_with("taken from a healthy Service: " + to_string(operation));
    const auto id = object_of(operation);
    if (const auto* key = std::get_if<VirtualServerKey>(&id); key != nullptr && foreign(*key))
      fail_with("not ours: " + to_string(operation));
  };
}

void Run::start() {
  for (int attempt = 0; attempt < 1000; ++attempt) {
    reconciler_.emplace(
        kernel_, policy_, std::nullopt, 1, [](const std::string&) {}, 2);
    if (!reconciler_->start()) continue;
    for (const auto kind : {Kind::service, Kind::endpoint_slice, Kind::node}) {
      reconciler_->apply(ReplaceBegin{kind});
      for (const auto& [key, object] : objects_)
        if (kind_of(object) == kind) reconciler_->apply(Upsert{object});
      reconciler_->apply(ReplaceEnd{kind});
    }
    return;
  }
  fail_with("does not start");
}

// One turn of the loop; 100 ms pass.
bool Run::pass() {
  for (const auto& notification : kernel_.notifications()) reconciler_->notice(notification);
  const bool more = reconciler_->step(now_);
  (void)reconciler_->poll_drains(now_, 64);
  (void)reconciler_->take_unsettled_flows();
  (void)reconciler_->take_health_checks();
  (void)reconciler_->take_notices();
  (void)reconciler_->take_written();
  now_ += std::chrono::milliseconds(100);
  return more;
}

void Run::settle() {
  const std::size_t before = operations_;
  for (std::size_t passes = 1; passes <= passes_limit; ++passes) {
    const bool more = pass();
    if (more || !reconciler_->idle() || reconciler_->draining()) continue;
    outcome_.most_passes = std::max(outcome_.most_passes, passes);
    outcome_.most_operations = std::max(outcome_.most_operations, operations_ - before);
    if (operations_ - before > operations_limit) fail_with(fmt::format("{} operations", operations_ - before));
    return;
  }
  fail_with(fmt::format(
      "not settled after {} passes: {} objects wait, first: {}", passes_limit, reconciler_->retries().entries().size(),
      reconciler_->retries().entries().empty() ? "-"
                                               : reconciler_->retries().entries().begin()->second.error.message()));
}

void Run::compare(const std::string& when) {
  FakeKernel fresh;
  fresh.add_node_address("eth0", "192.168.77.2", 24);
  for (const auto& operation : foreign_operations()) fresh.foreign(operation);
  SimulatedNode node(fresh, policy_);
  node.objects = objects_;
  node.start();
  const auto have = text();
  const auto want = node.text();
  if (have != want) fail_with(fmt::format("{}\n--- wanted\n{}--- found\n{}", when, want, have));
}

void Run::converge() {
  site_->forget();
  kernel_.calm();
  site_->calm();
  settle();
  if (failed()) return;
  // What was changed or left out of a listing behind our back is the audit's; a second pass finds what the first one's
  // repairs brought to light.
  for (int round = 0; round < 2; ++round) {
    for (int i = 0; i < 1000 && !reconciler_->audit(16, 4); ++i) {
    }
    settle();
  }
  if (!failed()) compare("after the faults");
}

std::optional<Operation> Run::deed(const Hand& hand, const KernelState& state) {
  const auto pick = [&](const auto& from) { return from[hand.choice % from.size()]; };
  std::vector<ObservedVirtualServer> servers = state.servers;
  std::erase_if(servers, [](const auto& found) { return foreign(found.server.key); });
  switch (hand.what) {
    case Hand::What::removes_server:
      if (!servers.empty()) return Operation{Verb::remove, pick(servers).server};
      break;
    case Hand::What::removes_destination:
      std::erase_if(servers, [](const auto& found) { return found.destinations.empty(); });
      if (servers.empty()) break;
      return Operation{Verb::remove,
                       DestinationOf{pick(servers).server.key, pick(pick(servers).destinations).destination}};
    case Hand::What::adds_destination:
      if (servers.empty() || pick(servers).server.key.family() != Family::ipv4) break;
      return Operation{Verb::add, DestinationOf{pick(servers).server.key, {{ip("10.9.9.9"), Port{9}}}}};
    case Hand::What::removes_address:
      if (!state.bound.empty()) return Operation{Verb::remove, BoundAddress{pick(state.bound)}};
      break;
    case Hand::What::removes_entry: {
      // The others say what is ours: without them, and a daemon, it is nobody's.
      std::vector<SetEntry> entries = state.entries;
      std::erase_if(entries, [](const SetEntry& entry) {
        return entry.set.kind != SetKind::cluster_ip && entry.set.kind != SetKind::loop_back &&
               entry.set.kind != SetKind::outside;
      });
      if (!entries.empty()) return Operation{Verb::remove, pick(entries)};
      break;
    }
    case Hand::What::removes_link: break;
  }
  return {};
}

void Run::operator()(const Hand& hand) {
  site_->calm();
  if (hand.what == Hand::What::removes_link) return site_->remove_link();
  const auto state = site_->kernel().observe();
  if (!state) return fail_with(state.error().message());
  if (const auto operation = deed(hand, *state)) (void)site_->kernel().execute({&*operation, 1});
}

// All objects go but the node.
void Run::end() {
  kernel_.seen = nullptr;
  for (auto entry = objects_.begin(); entry != objects_.end();) {
    const auto [kind, key] = entry->first;
    if (kind == Kind::node) {
      ++entry;
      continue;
    }
    entry = objects_.erase(entry);
    reconciler_->apply(Remove{kind, key});
  }
  converge();
  if (failed()) return;
  const auto size = reconciler_->ledger().actual_size();
  const std::size_t foreign_servers = foreign_operations().size() / 2;
  const bool empty = size.addresses == 0 && size.entries == 0 && size.services == 0 && size.servers <= foreign_servers;
  if (!empty || reconciler_->ledger().server_count() > foreign_servers || !reconciler_->retries().entries().empty())
    fail_with("the daemon remembers what is gone");
}

void Run::again() {
  watch();
  for (const auto& object : steady_objects()) put(object);
  converge();
}

}  // namespace

std::size_t bytes_in_use() { return ::mallinfo2().uordblks; }

std::unique_ptr<Site> fake_site() { return std::make_unique<FakeSite>(); }

History random_fault_history(std::uint32_t seed, int length) {
  std::mt19937 random(seed);
  const auto below = [&](unsigned end) { return static_cast<unsigned>(random() % end); };
  History history;
  for (int n = 0; n < length; ++n) {
    switch (below(16)) {
      case 0: history.emplace_back(Trouble{static_cast<std::uint32_t>(random()), 3 + below(20)}); break;
      case 1:
        if (below(3) == 0) history.emplace_back(Calm{});
        break;
      case 2:
        if (below(2) == 0) history.emplace_back(Restart{});
        break;
      case 3:
        if (below(2) == 0)
          history.emplace_back(Hand{static_cast<Hand::What>(below(6)), static_cast<std::uint32_t>(random())});
        break;
      case 4:
      case 5:
      case 6:
      case 7: history.emplace_back(Work{}); break;
      default: history.emplace_back(random_change(random));
    }
  }
  history.emplace_back(Calm{});
  return history;
}

std::string to_text(const History& history) {
  static constexpr std::array hands{"removes a virtual server", "removes a destination", "removes an address",
                                    "removes a set entry",      "adds a destination",    "removes the link"};
  struct Line {
    std::string operator()(const Change& change) const {
      return fmt::format("{} {} {}", change.object ? "put" : "delete", ipvsd::to_string(change.kind),
                         change.key.to_string());
    }
    std::string operator()(const Work&) const { return "work"; }
    std::string operator()(const Restart&) const { return "restart"; }
    std::string operator()(const Trouble& trouble) const {
      return fmt::format("trouble, seed {}, one in {}", trouble.seed, trouble.rate);
    }
    std::string operator()(const Calm&) const { return "calm"; }
    std::string operator()(const Hand& hand) const {
      return fmt::format("somebody {} ({})", hands[static_cast<std::size_t>(hand.what)], hand.choice);
    }
  };
  std::string text;
  for (const auto& step : history) text += "  " + std::visit(Line{}, step) + "\n";
  return text;
}

Policy policy_of(std::uint32_t seed) { return seed % 2 == 0 ? marking_policy() : plain_policy(); }

Outcome carry_out(const History& history, const MakeSite& make_site, const Policy& policy) {
  Run run(make_site, policy);
  for (const auto& step : history) {
    if (run.failed()) return run.outcome();
    std::visit(run, step);
  }
  if (!run.failed()) run.end();
  return run.outcome();
}

Lives live_through(const History& history, int times, const MakeSite& make_site, const Policy& policy) {
  Run run(make_site, policy);
  Lives lives;
  for (int life = 0; life < times && !run.failed(); ++life) {
    if (life > 0) run.again();
    for (const auto& step : history)
      if (!run.failed() && !std::holds_alternative<Restart>(step)) std::visit(run, step);
    if (!run.failed()) run.end();
    lives.bytes.push_back(bytes_in_use());
  }
  lives.outcome = run.outcome();
  return lives;
}

History minimised(History history, const MakeSite& make_site, const Policy& policy) {
  const auto fails = [&](const History& shorter) { return !carry_out(shorter, make_site, policy).failure.empty(); };
  for (std::size_t piece = std::max<std::size_t>(history.size() / 2, 1);; piece /= 2) {
    for (std::size_t at = 0; at < history.size();) {
      History shorter = history;
      const auto first = shorter.begin() + static_cast<std::ptrdiff_t>(at);
      shorter.erase(first, first + static_cast<std::ptrdiff_t>(std::min(piece, history.size() - at)));
      if (fails(shorter))
        history = std::move(shorter);
      else
        at += piece;
    }
    if (piece == 1) return history;
  }
}

}  // namespace ipvsd::test
