#include "daemon/serve/ctl_resources.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "daemon/serve/ctl_objects.hpp"
#include "daemon/serve/ctl_status.hpp"

namespace ipvsd {
namespace {

using Json = nlohmann::ordered_json;

// Services, each with its slices, that the loop copies in one turn: some tens of microseconds.
constexpr std::size_t batch_size = 32;

CtlAnswer refusal(int status, const std::string& text) {
  return {status, Json{{"error", text}}.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n",
          [] { return std::nullopt; }};
}

CtlAnswer unavailable(const Error& error) { return refusal(503, error.context); }

std::string config_text(const CtlFacts& facts) {
  Json families_served = Json::array();
  for (const auto family : families)
    if (facts.policy.serves[static_cast<std::size_t>(family)]) families_served.push_back(to_string(family));
  return fmt::format("{{\"node\":{},\"families\":{},\"config\":{}}}\n", Json(facts.policy.node_name).dump(),
                     families_served.dump(), facts.config);
}

// One Service and its slices, copied at one moment.
struct Copied {
  Service service;
  std::vector<EndpointSlice> slices;
};

// A kind: List of all objects, written batch by batch. What is gone when its turn comes is left out.
class ObjectStream {
 public:
  ObjectStream(Questions& questions, std::vector<ObjectKey> keys) : questions_(questions), keys_(std::move(keys)) {}

  [[nodiscard]] std::string begin(const std::optional<Node>& node) {
    std::string text = R"({"apiVersion":"v1","kind":"List","items":[)";
    if (node) add(text, encode(*node));
    return text;
  }

  std::optional<std::string> next() {
    if (ended_) return {};
    if (position_ == keys_.size()) {
      ended_ = true;
      return "\n]}\n";
    }
    const auto count = std::min(batch_size, keys_.size() - position_);
    const std::vector<ObjectKey> batch(keys_.begin() + static_cast<std::ptrdiff_t>(position_),
                                       keys_.begin() + static_cast<std::ptrdiff_t>(position_ + count));
    position_ += count;
    const auto copied = questions_.ask([batch](const LoopView& view) { return copy(batch, view); });
    if (!copied) {  // the list breaks off, and its reader sees that
      ended_ = true;
      return {};
    }
    std::string text;
    for (const auto& [service, slices] : *copied) {
      add(text, encode(service));
      for (const auto& slice : slices) add(text, encode(slice));
    }
    return text;
  }

 private:
  static std::vector<Copied> copy(const std::vector<ObjectKey>& keys, const LoopView& view) {
    const auto& cluster = view.reconciler.cluster();
    std::vector<Copied> copied;
    for (const auto& key : keys) {
      const Service* service = cluster.known_service(key);
      if (service == nullptr) continue;
      auto& one = copied.emplace_back(Copied{*service, {}});
      for (const auto* slice : cluster.slices_of(key)) one.slices.push_back(*slice);
    }
    return copied;
  }

  void add(std::string& text, const std::string& object) {
    text += std::exchange(first_, false) ? "\n" : ",\n";
    text += object;
  }

  Questions& questions_;
  std::vector<ObjectKey> keys_;
  std::size_t position_ = 0;
  bool first_ = true;
  bool ended_ = false;
};

CtlAnswer objects(const CtlRequest& request, Questions& questions) {
  struct Start {
    bool listed = false;
    std::vector<ObjectKey> keys;
    std::optional<Node> node;
  };
  auto start = questions.ask([](const LoopView& view) {
    const auto& cluster = view.reconciler.cluster();
    const Node* node = cluster.node();
    return Start{cluster.synced(), cluster.service_keys(), node != nullptr ? std::optional(*node) : std::nullopt};
  });
  if (!start) return unavailable(start.error());
  if (!start->listed) return refusal(503, "the daemon has not read a complete list of all objects yet");
  if (const auto wanted = request.query.find("service"); wanted != request.query.end())
    std::erase_if(start->keys, [&](const ObjectKey& key) { return key.to_string() != wanted->second; });
  std::sort(start->keys.begin(), start->keys.end());
  // Shared: a std::function is copied.
  const auto stream = std::make_shared<ObjectStream>(questions, std::move(start->keys));
  return {200, stream->begin(start->node), [stream] { return stream->next(); }};
}

}  // namespace

CtlServer::Responder ctl_resources(const CtlFacts& facts, Questions& questions) {
  return [&facts, &questions](const CtlRequest& request) -> CtlAnswer {
    if (request.path == "/v1/status") {
      auto status = status_json(facts, questions);
      return status ? CtlAnswer{200, std::move(*status)} : unavailable(status.error());
    }
    if (request.path == "/v1/config") return {200, config_text(facts)};
    if (request.path == "/v1/objects") return objects(request, questions);
    return refusal(404,
                   fmt::format("{} is not served; there are /v1/status, /v1/config and /v1/objects", request.path));
  };
}

}  // namespace ipvsd
