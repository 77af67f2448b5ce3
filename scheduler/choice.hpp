// Which IPVS scheduler the virtual servers get.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "model/result.hpp"

namespace ipvsd {

// One of the kernel's schedulers: the module ip_vs_NAME (net/netfilter/ipvs/Kconfig, Linux 6.1).
struct KnownScheduler {
  std::string_view name;
  std::string_view meaning;
};
[[nodiscard]] std::span<const KnownScheduler> known_schedulers();

struct SchedulerChoice {
  std::string name = "rr";
  std::uint32_t flags = 0;  // IP_VS_SVC_F_SCHED*
  friend bool operator==(const SchedulerChoice&, const SchedulerChoice&) = default;
};

// From ipvs.scheduler: "" means rr. A name that is not known may still be a module of the user's own, so only its form
// is checked here (1 to 15 characters, IP_VS_SCHEDNAME_MAXLEN) and the kernel is asked at start. Error: malformed.
[[nodiscard]] Result<SchedulerChoice> choose_scheduler(std::string_view configured);

}  // namespace ipvsd
