// kube-ipvsd-bench: see scripts/bench.sh, which knows in what order and where.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <functional>
#include <map>

#include "bench/benchmarks.hpp"

using namespace ipvsd;
using namespace ipvsd::bench;

int main(int argc, char** argv) try {
  const std::map<std::string, std::function<void(const Options&)>> benchmarks{
      {"cold_start", cold_start},
      {"cold_start_api", cold_start_api},
      {"cold_start_changes", cold_start_changes},
      {"change", change},
      {"memory", memory},
      {"churn", churn},
      {"decode", decode},
      {"pure", pure},
      {"rollout", rollout},
      {"idle", idle},
      {"floor_cold_start", floor_cold_start},
      {"floor_rollout", floor_rollout},
      {"observe", observe},
      {"write_lists", [](const Options& options) { write_lists(options.cluster, options.directory); }},
  };
  Options options;
  options.where = BENCH_WHERE;
  std::string name;
  long seconds = 600;
  bool udp = false;
  CLI::App app{"One benchmark; a JSON line per figure on standard output."};
  std::set<std::string> names;
  for (const auto& [known, function] : benchmarks) names.insert(known);
  app.add_option("NAME", name)->required()->check(CLI::IsMember(names));
  app.add_option("--services", options.cluster.services);
  app.add_option("--endpoints", options.cluster.endpoints, "of each Service");
  app.add_flag("--udp", udp, "Services of UDP: destinations go at once");
  app.add_flag("--routed", options.routed, "VIPs are local by one route instead of an address each");
  app.add_option("--lists", options.directory, "directory with the lists");
  app.add_option("--kubeconfig", options.kubeconfig, "of the API server of cold_start_api");
  app.add_option("--seconds", seconds, "of idle")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (udp) options.cluster.protocol = Protocol::udp;
  options.idle = std::chrono::seconds(seconds);
  std::signal(SIGPIPE, SIG_IGN);
  benchmarks.at(name)(options);
  return 0;
} catch (const std::exception& thrown) {
  std::fprintf(stderr, "kube-ipvsd-bench: %s\n", thrown.what());
  return 1;
}
