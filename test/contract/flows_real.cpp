#include <fmt/format.h>
#include <sched.h>
#include <catch2/catch.hpp>

#include "netlink/conntrack.hpp"
#include "os/process.hpp"
#include "test/contract/flows_subject.hpp"

namespace ipvsd::test {
namespace {

// Entries are made by the program conntrack, which knows the messages independently of us.
class Real final : public FlowsSubject {
 public:
  explicit Real(nl::Conntrack flows) : flows_(std::move(flows)) {}
  Flows& flows() override { return flows_; }
  void create(const std::vector<Flow>& flows) override {
    std::string commands;
    for (const auto& flow : flows)
      commands += fmt::format(
          "-I -p {} -s {} -d {} --sport {} --dport {} -r {} -q {} --reply-port-src {} --reply-port-dst {} --timeout "
          "600{}\n",
          lower_name(flow.protocol), flow.original.source.to_string(), flow.original.destination.to_string(),
          flow.original.source_port.number, flow.original.destination_port.number, flow.reply.source.to_string(),
          flow.reply.destination.to_string(), flow.reply.source_port.number, flow.reply.destination_port.number,
          flow.protocol == Protocol::tcp ? " --state ESTABLISHED" : "");
    const auto done = run_process({"conntrack", "-R", "-"}, commands, std::chrono::seconds(30));
    REQUIRE(done);
    INFO(done->err);
    REQUIRE(done->exit_status == 0);
  }

 private:
  nl::Conntrack flows_;
};

}  // namespace

// Entries belong to a network namespace: a new one has none.
std::unique_ptr<FlowsSubject> make_flows() {
  REQUIRE(::unshare(CLONE_NEWNET) == 0);
  auto flows = nl::Conntrack::open();
  if (!flows) FAIL(flows.error().message());
  return std::make_unique<Real>(std::move(*flows));
}

}  // namespace ipvsd::test
