// The language of `ipvsadm --save --numeric`, which `ipvsadm --restore` reads. Pure.
#pragma once

#include <string>

#include "ctl/observation.hpp"

namespace ipvsd::ctl {

// Line for line what ipvsadm 1.31 prints, its omissions (thresholds) and slips (a firewall mark above 2^31 as a
// negative number) included.
[[nodiscard]] std::string ipvsadm_text(const ObservedServer& server);

}  // namespace ipvsd::ctl
