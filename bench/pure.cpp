// The pure parts one by one: desired, diff, encode.
#include "bench/benchmarks.hpp"
#include "bench/figure.hpp"
#include "bench/meter.hpp"
#include "bench/opened.hpp"
#include "bench/pipeline.hpp"
#include "netlink/ipvs_codec.hpp"

namespace ipvsd::bench {
namespace {

class Collector final : public EventSink {
 public:
  void push(std::vector<ClusterEvent> events) override {
    for (auto& event : events) {
      const auto* upserted = std::get_if<Upsert>(&event);
      if (upserted == nullptr) continue;
      if (const auto* service = std::get_if<Service>(&upserted->object)) services.push_back(*service);
      if (const auto* slice = std::get_if<EndpointSlice>(&upserted->object)) slices.push_back(*slice);
    }
  }
  std::vector<Service> services;
  std::vector<EndpointSlice> slices;
};

}  // namespace

void pure(const Options& options) {
  const std::size_t n = options.cluster.services;
  const double endpoints = static_cast<double>(n * options.cluster.endpoints);
  Collector objects;
  read_list(Kind::service, options.directory + "/services.json", objects);
  read_list(Kind::endpoint_slice, options.directory + "/endpointslices.json", objects);
  const Policy settings = policy();
  const NodeView view;
  const auto say = [&](const std::string& name, const Usage& used, double count, const std::string& per) {
    print({name + ".per_" + per, options.where, n, used.cpu * 1e9 / count, "ns", {}, {}, {}});
    print({name + ".allocations_per_" + per,
           options.where,
           n,
           static_cast<double>(used.allocations) / count,
           "count",
           {},
           {},
           {}});
  };

  std::vector<Contribution> contributions;
  contributions.reserve(n);
  Usage from = usage();
  for (std::size_t i = 0; i < n; ++i) {
    const EndpointSlice* slice = &objects.slices[i];
    contributions.push_back(desired(objects.services[i], {&slice, 1}, settings, view, {}));
  }
  const Usage computed = usage() - from;
  say("desired", computed, static_cast<double>(n), "service");
  say("desired", computed, endpoints, "endpoint");

  Ledger ledger({});
  from = usage();
  for (std::size_t i = 0; i < n; ++i) ledger.contribute(objects.services[i], std::move(contributions[i]));
  const Plan plan = ledger.plan();
  const Usage planned = usage() - from;
  say("diff.all_new", planned, static_cast<double>(n), "service");
  for (const auto& operation : plan.flat()) ledger.performed(operation);

  // Each Service touched anew with one endpoint of its ten replaced: nothing is allocated for the other nine.
  for (auto& slice : objects.slices) slice.endpoints.back().address = *IpAddress::parse("10.255.255.254");
  from = usage();
  for (std::size_t i = 0; i < n; ++i) {
    const EndpointSlice* slice = &objects.slices[i];
    ledger.contribute(objects.services[i], desired(objects.services[i], {&slice, 1}, settings, view, {}));
    (void)ledger.plan();
  }
  say("diff.one_endpoint", usage() - from, static_cast<double>(n), "service");

  nl::Batch batch(1);
  std::size_t messages = 0;
  from = usage();
  for (const auto phase : {Phase::serve, Phase::fill})
    for (const auto& operation : plan[phase]) {
      if (const auto* server = std::get_if<VirtualServer>(&operation.target))
        nl::encode_virtual_server(batch, 32, operation.verb, *server);
      else
        nl::encode_destination(batch, 32, operation.verb, std::get<DestinationOf>(operation.target));
      ++messages;
      if (batch.size() > 60000) batch.reset(1);
    }
  say("encode", usage() - from, static_cast<double>(messages), "operation");
}

}  // namespace ipvsd::bench
