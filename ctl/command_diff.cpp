#include <fmt/format.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "ctl/command_cluster.hpp"
#include "ctl/diff.hpp"

namespace ipvsd::ctl {
namespace {

constexpr int different_status = 1;
constexpr int failed_status = 2;

struct DiffWords {
  ClusterWords cluster;
  std::string format = "table";
};

KernelVersion running_kernel() {
  std::ifstream release("/proc/sys/kernel/osrelease");
  std::string text;
  std::getline(release, text);
  return parse_kernel_version(text);
}

std::string table_of(const std::vector<Difference>& all) {
  std::string text;
  for (const auto& difference : all) text += printable(to_string(difference)) + "\n";
  return text;
}

nlohmann::ordered_json json_of(const std::vector<Difference>& all) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& difference : all)
    list.push_back({{"difference", to_string(difference.sign)},
                    {"kind", difference.kind},
                    {"text", difference.text},
                    {"services", difference.services}});
  return {{"differences", std::move(list)}};
}

int run_diff(const DiffWords& words) {
  const auto format = parse_answer_format(words.format);
  if (!format) return complain(format.error(), usage_status);
  const auto cluster = read_cluster(words.cluster, warn_user);
  if (!cluster) return complain(cluster.error(), failed_status);
  const auto kernel = running_kernel();
  const auto cpus = std::thread::hardware_concurrency();
  std::vector<std::string> paths;
  for (const auto& sysctl : wanted_sysctls(cluster->config, kernel, cpus)) paths.push_back(sysctl.path);
  const auto facts = observe_node([](const VirtualServerKey&) { return true; }, paths);
  if (!facts) return complain(facts.error(), failed_status);
  const auto all = differences(*cluster, *facts, kernel, cpus);
  if (finish(write_out(*format == Format::table ? table_of(all) : structured(json_of(all), *format))) != 0)
    return failed_status;
  return all.empty() ? 0 : different_status;
}

}  // namespace

Command declare_diff(CLI::App& app) {
  const auto words = std::make_shared<DiffWords>();  // shared: as in declare_dump()
  auto* command = app.add_subcommand("diff", "What the Services ask for, beside what the kernel has");
  command->add_option("-o,--output", words->format, "table (default), json or yaml")->option_text("FORMAT");
  add_cluster_options(*command, words->cluster);
  command->footer(
      "Asks the daemon for the Services, or computes from --manifests or --kubeconfig without one; changes nothing.\n"
      "Exit status: 0 no difference, 1 some, 2 trouble. Needs root or CAP_NET_ADMIN.\n"
      "Example: kube-ipvsctl diff --kubeconfig /etc/kubernetes/kube-proxy.conf --config /etc/kube-proxy.yaml");
  return {command, [words] { return run_diff(*words); }};
}

}  // namespace ipvsd::ctl
