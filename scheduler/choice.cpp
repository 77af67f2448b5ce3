#include "scheduler/choice.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "model/kernel.hpp"

namespace ipvsd {
namespace {

constexpr std::array<KnownScheduler, 13> schedulers{{
    {"rr", "round robin"},
    {"wrr", "weighted round robin"},
    {"lc", "least connections"},
    {"wlc", "weighted least connections"},
    {"lblc", "locality-based least connections"},
    {"lblcr", "locality-based least connections with replication"},
    {"dh", "destination hashing"},
    {"sh", "source hashing"},
    {"sed", "shortest expected delay"},
    {"nq", "never queue"},
    {"fo", "weighted failover"},
    {"ovf", "weighted overflow"},
    {"mh", "Maglev hashing"},
}};

bool is_module_character(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'; }

}  // namespace

std::span<const KnownScheduler> known_schedulers() { return schedulers; }

Result<SchedulerChoice> choose_scheduler(std::string_view configured) {
  if (configured.empty()) return SchedulerChoice{};
  if (configured.size() > 15 || !std::all_of(configured.begin(), configured.end(), is_module_character)) {
    std::string known;
    for (const auto& scheduler : schedulers) known += fmt::format("{}{}", known.empty() ? "" : ", ", scheduler.name);
    return fail(Errc::malformed, fmt::format("ipvs.scheduler: \"{}\" is no scheduler; the kernel's are {}",
                                             configured.substr(0, 64), known));
  }
  // kube-proxy asks for mh with the source port in the hash, and for nothing of the kind with sh.
  return SchedulerChoice{std::string(configured), configured == "mh" ? flag_sched2 : 0};
}

}  // namespace ipvsd
