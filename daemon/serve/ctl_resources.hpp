// What the ctl socket serves: docs/ctl-api.md. The loop copies, this encodes.
#pragma once

#include <functional>

#include "daemon/config/config.hpp"
#include "daemon/serve/ctl_questions.hpp"
#include "daemon/serve/ctl_server.hpp"
#include "daemon/source/source.hpp"

namespace ipvsd {

// What the resources know besides the loop; constant, or safe to call from any thread.
struct CtlFacts {
  std::string version;
  Policy policy;
  std::string config;  // as config_json() writes it
  Moment started;
  std::function<std::vector<WatchStatus>()> sources;
  std::function<HealthAnswer(Moment)> health;
  std::function<std::string()> rules_error;  // of the last attempt to write the iptables rules; "" if none
};

// Answers /v1/status, /v1/config and /v1/objects. Both outlive it and its answers.
[[nodiscard]] CtlServer::Responder ctl_resources(const CtlFacts& facts, Questions& questions);

}  // namespace ipvsd
