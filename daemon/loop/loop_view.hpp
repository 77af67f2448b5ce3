// The loop's state as others may look at it: on the loop's thread, between two turns, and only then.
#pragma once

#include <optional>

#include "daemon/loop/reconciler.hpp"
#include "daemon/serve/health.hpp"

namespace ipvsd {

struct LoopView {
  const Reconciler& reconciler;
  Moment now;
  std::optional<Moment> last_event;  // when the sources last had something to say
  bool rules_in_place = false;
};

}  // namespace ipvsd
