#include "daemon/loop/rules_keeper.hpp"

#include <algorithm>

#include "daemon/config/service_cidrs.hpp"

namespace ipvsd {
namespace {

std::optional<std::string> not_from_first(const std::vector<Cidr>& cidrs, Family family) {
  const auto cidr = std::find_if(cidrs.begin(), cidrs.end(), [&](const Cidr& c) { return c.family() == family; });
  return cidr == cidrs.end() ? std::nullopt : std::optional(not_from(*cidr));
}

std::optional<std::string> local_match(const Config& config, const Node* node, Family family) {
  switch (config.detect_local_mode) {
    case DetectLocalMode::cluster_cidr: return not_from_first(config.cluster_cidrs, family);
    case DetectLocalMode::node_cidr: return node == nullptr ? std::nullopt : not_from_first(node->pod_cidrs, family);
    case DetectLocalMode::bridge_interface:
    case DetectLocalMode::interface_name_prefix: {
      const bool bridge = config.detect_local_mode == DetectLocalMode::bridge_interface;
      const auto match = not_via(bridge ? config.bridge_interface : config.interface_name_prefix + "+");
      return match ? std::optional(*match) : std::nullopt;
    }
  }
  return {};
}

}  // namespace

RulesConfig rules_config(const Config& config, const Node* node, Family family, const std::vector<Cidr>& routed) {
  RulesConfig rules;
  rules.masquerade_mark = 1U << config.masquerade_bit;
  rules.masquerade_all = config.masquerade_all;
  rules.local_match = local_match(config, node, family);
  rules.outside_mask = config.own.external_mark_mask;
  auto& cidrs = rules.service_cidrs;
  cidrs = routed_cidrs(config);
  cidrs.insert(cidrs.end(), routed.begin(), routed.end());
  std::erase_if(cidrs, [&](const Cidr& cidr) { return cidr.family() != family; });
  std::sort(cidrs.begin(), cidrs.end());
  cidrs.erase(std::unique(cidrs.begin(), cidrs.end()), cidrs.end());
  return rules;
}

RulesKeeper::RulesKeeper(Iptables iptables, std::chrono::seconds audit_period, Report report,
                         std::function<bool()> may_write)
    : iptables_(std::move(iptables)),
      audit_period_(audit_period),
      report_(std::move(report)),
      may_write_(std::move(may_write)),
      thread_([this] { run(); }) {}

void RulesKeeper::want(Family family, RulesConfig config) {
  const std::lock_guard lock(mutex_);
  auto& entry = families_[static_cast<std::size_t>(family)];
  if (entry.wanted == config) return;
  entry.wanted = std::move(config);
  entry.dirty = true;
  changed_.notify_all();
}

bool RulesKeeper::ready() const {
  const std::lock_guard lock(mutex_);
  const auto wanted = [](const PerFamily& entry) { return entry.wanted.has_value(); };
  return std::any_of(families_.begin(), families_.end(), wanted) &&
         std::all_of(families_.begin(), families_.end(),
                     [&](const PerFamily& entry) { return !wanted(entry) || entry.in_place; });
}

void RulesKeeper::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void RulesKeeper::run() {
  std::unique_lock lock(mutex_);
  std::chrono::milliseconds pause = audit_period_;
  while (!stopping_) {
    changed_.wait_for(lock, pause, [this] {
      return stopping_ || std::any_of(families_.begin(), families_.end(), [](const auto& f) { return f.dirty; });
    });
    pause = audit_period_;
    for (const auto family : families) {
      auto& entry = families_[static_cast<std::size_t>(family)];
      if (stopping_ || !entry.wanted) continue;
      const RulesConfig config = *entry.wanted;
      entry.dirty = false;
      if (!may_write_()) {
        pause = std::chrono::seconds(1);
        continue;
      }
      lock.unlock();
      const auto ensured = iptables_.ensure(family, config);
      lock.lock();
      if (ensured)
        entry.in_place = true;
      else
        pause = std::chrono::seconds(1);
      lock.unlock();
      report_(family, ensured);
      lock.lock();
    }
  }
}

}  // namespace ipvsd
